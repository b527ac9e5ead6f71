/* Counting of divergences. Memory and the log are bounded, the counts are not. */
#include "supervisor/state/divergences.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/log/log.h"

static const uint64_t LOG_LIMIT_BYTES = (uint64_t)64 << 20;

bool divergences_init(struct divergences *d, const char *log_path, struct error *error)
{
    *d = (struct divergences){.log_limit_bytes = LOG_LIMIT_BYTES};
    if (!log_path)
        return true;
    d->log = fopen(log_path, "ae");
    if (!d->log)
        return error_fatal(error, EX_CANTCREAT, "cannot open %s: %s; the state directory must be writable",
                           log_path, strerror(errno));
    struct stat st;
    if (fstat(fileno(d->log), &st) == 0)
        d->log_bytes = (uint64_t)st.st_size;
    return true;
}

static void forget_reasons(struct divergences *d)
{
    for (size_t i = 0; i < d->reason_count; i++) {
        for (size_t j = 0; j < d->list[i].example_count; j++) {
            free(d->list[i].examples[j].command);
            free(d->list[i].examples[j].key);
        }
        free(d->list[i].examples);
    }
    free(d->list);
    d->list = NULL;
    d->reason_count = 0;
    d->total = 0;
}

void divergences_free(struct divergences *d)
{
    forget_reasons(d);
    if (d->log)
        fclose(d->log);
    *d = (struct divergences){0};
}

static struct divergence *find_reason(struct divergences *d, const char *reason)
{
    for (size_t i = 0; i < d->reason_count; i++)
        if (strcmp(d->list[i].reason, reason) == 0)
            return &d->list[i];
    if (d->reason_count + 1 >= DIVERGENCE_REASONS && strcmp(reason, "other") != 0)
        return find_reason(d, "other");
    d->list = x_realloc(d->list, (d->reason_count + 1) * sizeof *d->list);
    struct divergence *one = &d->list[d->reason_count++];
    *one = (struct divergence){0};
    snprintf(one->reason, sizeof one->reason, "%s", reason);
    return one;
}

static void append_line(struct divergences *d, uint32_t flow, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void append_line(struct divergences *d, uint32_t flow, const char *format, ...)
{
    va_list args;
    int64_t now_ms = clock_unix_ms();
    if (!d->log || d->log_bytes >= d->log_limit_bytes)
        return;
    int n = fprintf(d->log, "%lld.%03d flow=%u ", (long long)(now_ms / 1000), (int)(now_ms % 1000), flow);
    va_start(args, format);
    n += vfprintf(d->log, format, args);
    va_end(args);
    n += fputc('\n', d->log) != EOF;
    if (n > 0)
        d->log_bytes += (uint64_t)n;
    if (d->log_bytes >= d->log_limit_bytes) {
        fputs("This log is full; further ones are only counted.\n", d->log);
        log_warning("divergences.log is full (%llu bytes): further divergences are only counted",
                    (unsigned long long)d->log_bytes);
    }
    if (fflush(d->log) != 0) {
        log_warning("cannot write divergences.log: %s; further divergences are only counted",
                    strerror(errno));
        fclose(d->log);
        d->log = NULL;
    }
}

/* A worker's report has "entry=SEQ.NUMBER.STREAM@SESSION" in its line. */
static void append_log(struct divergences *d, const struct divergence_source *source, const char *reason,
                       const char *command, const char *key, uint64_t count)
{
    char entry[96] = "";
    if (source->position.seq)
        snprintf(entry, sizeof entry, "entry=%llu.%u.%u@%llu ", (unsigned long long)source->position.seq,
                 source->position.number, (unsigned)source->stream, (unsigned long long)source->session);
    append_line(d, source->flow, "%s%s %s %s ×%llu", entry, reason, command, key, (unsigned long long)count);
}

static void count_divergence(struct divergences *d, uint32_t flow, struct divergence *one,
                             const char *command, const char *key, uint64_t times)
{
    one->count += times;
    d->total += times;
    if (one->example_count == DIVERGENCE_EXAMPLES)
        return;
    one->examples = x_realloc(one->examples, (one->example_count + 1) * sizeof *one->examples);
    one->examples[one->example_count++] =
        (struct divergence_example){flow, times, x_strdup(command), x_strdup(key)};
}

void divergences_add(struct divergences *d, const struct divergence_source *source, const char *reason,
                     const char *command, const char *key, uint64_t times)
{
    struct divergence *one = find_reason(d, reason[0] ? reason : "other");
    size_t examples = one->example_count;
    append_log(d, source, one->reason, command, key, times);
    count_divergence(d, source->flow, one, command, key, times);
    /* The run's log names the first five; the file has all. */
    if (one->example_count > examples && one->example_count <= 5)
        log_warning("not carried over (%s): %s %s from FLOW %u%s%s%s", one->reason, command, key,
                    source->flow, source->text && *source->text ? ": " : "", source->text ? source->text : "",
                    one->example_count == 5 ? "; more of this kind only in divergences.log" : "");
}

/* The line has no count, so that divergences_recall skips it. */
void divergences_note_healed(struct divergences *d, uint32_t flow, const char *reason, const char *command,
                             const char *key)
{
    append_line(d, flow, "healed %s %s %s", reason, command, key);
}

static const char begin_line[] = "A copy begins.\n";

void divergences_begin(struct divergences *d)
{
    forget_reasons(d);
    if (!d->log || !d->log_bytes)
        return;
    fputs(begin_line, d->log);
    fflush(d->log);
    d->log_bytes += sizeof begin_line - 1;
}

/* True: the word is an entry. Logs of older versions have none. */
static bool parse_entry(const char *word, struct divergence_source *source)
{
    unsigned long long seq, session;
    unsigned number, stream;
    if (sscanf(word, "entry=%llu.%u.%u@%llu", &seq, &number, &stream, &session) != 4 ||
        stream >= REPORT_STREAMS)
        return false;
    source->position = (struct report_position){seq, number};
    source->stream = (enum report_stream)stream;
    source->session = session;
    return true;
}

/* "<time> flow=N [entry=…] REASON COMMAND KEY ×COUNT" */
static void recall_line(struct divergences *d, char *line, struct divergence_source *source)
{
    char *end = strrchr(line, '\n'), *rest = line;
    if (end)
        *end = '\0';
    strsep(&rest, " ");
    char *flow = strsep(&rest, " "), *reason = strsep(&rest, " ");
    if (reason && parse_entry(reason, source))
        reason = strsep(&rest, " ");
    char *command = strsep(&rest, " ");
    char *times = rest ? strrchr(rest, ' ') : NULL;
    uint64_t number, n;
    const size_t cross = sizeof "×" - 1;
    if (!reason || !command || !times || strncmp(flow, "flow=", 5) != 0 ||
        !slice_to_u64(slice_str(flow + 5), &number) || strncmp(times + 1, "×", cross) != 0 ||
        !slice_to_u64(slice_str(times + 1 + cross), &n))
        return;
    *times = '\0';
    source->flow = (uint32_t)number;
    count_divergence(d, source->flow, find_reason(d, reason), command, rest, n);
}

void divergences_recall(struct divergences *d, const char *log_path, uint64_t session,
                        struct report_position (*told)[REPORT_STREAMS], uint32_t flow_count)
{
    FILE *log = fopen(log_path, "re");
    char *line = NULL;
    size_t room = 0;
    long from = 0;
    if (!log)
        return;
    while (getline(&line, &room, log) > 0)
        if (strcmp(line, begin_line) == 0)
            from = ftell(log);
    if (fseek(log, from, SEEK_SET) == 0)
        while (getline(&line, &room, log) > 0) {
            struct divergence_source source = {0};
            recall_line(d, line, &source);
            if (source.position.seq && source.session == session && source.flow < flow_count)
                told[source.flow][source.stream] = source.position;
        }
    free(line);
    fclose(log);
    if (d->total)
        log_warning("%llu divergence%s of the earlier run still count%s: see divergences.log",
                    (unsigned long long)d->total, d->total == 1 ? "" : "s", d->total == 1 ? "s" : "");
}
