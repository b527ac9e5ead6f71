/* Counting of divergences. Memory and the log are bounded, the counts are not. */
#include "supervisor/state/divergences.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/log/log.h"

bool divergences_init(struct divergences *d, const char *log_path, struct error *error)
{
    *d = (struct divergences){.log.fd = -1};
    if (!log_path)
        return true;
    d->log_path = x_strdup(log_path);
    return divergence_log_open(&d->log, log_path, error);
}

static void forget_counts(struct divergences *d)
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
    id_set_clear(&d->counted);
}

void divergences_free(struct divergences *d)
{
    forget_counts(d);
    divergence_log_close(&d->log);
    free(d->log_path);
    *d = (struct divergences){.log.fd = -1};
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

static void count_example(struct divergence *one, const struct divergence_line *line, uint64_t times)
{
    one->count += times;
    if (one->example_count == DIVERGENCE_EXAMPLES)
        return;
    one->examples = x_realloc(one->examples, (one->example_count + 1) * sizeof *one->examples);
    one->examples[one->example_count++] =
        (struct divergence_example){line->flow, times, x_strdup(line->command), x_strdup(line->key)};
}

/* The run's log names the first five; the file has all. */
static void log_example(const struct divergence *one, const struct divergence_line *line, const char *text)
{
    log_warning("not carried over (%s): %s %s from FLOW %u%s%s%s", one->reason, line->command, line->key,
                line->flow, text && *text ? ": " : "", text ? text : "",
                one->example_count == 5 ? "; more of this kind only in divergences.log" : "");
}

/* An identity counts once; what has none adds up. text: as in divergences_count. */
static void count_line(struct divergences *d, const struct divergence_line *line, const char *text,
                       bool quiet)
{
    if (line->id && !id_set_add(&d->counted, line->id))
        return;
    struct divergence *one = find_reason(d, line->reason[0] ? line->reason : "other");
    size_t examples = one->example_count;
    uint64_t times = line->id ? 1 : line->count;
    count_example(one, line, times);
    d->total += times;
    if (!quiet && one->example_count > examples && one->example_count <= 5)
        log_example(one, line, text);
}

void divergences_count(struct divergences *d, const struct divergence_line *line, const char *text)
{
    count_line(d, line, text, false);
}

void divergences_add(struct divergences *d, uint32_t flow, const char *reason, const char *command,
                     const char *key, uint64_t times)
{
    struct divergence_line line = {flow, 0, reason, command, key, times};
    divergence_log_add(&d->log, &line);
    count_line(d, &line, NULL, false);
}

/* The line has no count: it is not read as a divergence. */
void divergences_note_healed(struct divergences *d, uint32_t flow, const char *reason, const char *command,
                             const char *key)
{
    char text[768];
    snprintf(text, sizeof text, "healed %s %s %s", reason, command, key);
    divergence_log_note(&d->log, flow, text);
}

/* Reads the log from read_bytes on. Calls on_line with each line that is whole: others are still being written. */
static void read_log(struct divergences *d, void (*on_line)(struct divergences *d, char *line))
{
    FILE *log = d->log_path ? fopen(d->log_path, "re") : NULL;
    char *line = NULL;
    size_t room = 0;
    ssize_t n;
    if (!log)
        return;
    if (fseek(log, (long)d->read_bytes, SEEK_SET) == 0)
        while ((n = getline(&line, &room, log)) > 0 && line[n - 1] == '\n') {
            d->read_bytes += (uint64_t)n;
            on_line(d, line);
        }
    free(line);
    fclose(log);
}

static bool begins_copy(const char *line)
{
    return strcmp(line, DIVERGENCE_LOG_BEGIN "\n") == 0;
}

static void recall_line(struct divergences *d, char *text)
{
    struct divergence_line line;
    if (begins_copy(text))
        forget_counts(d);
    else if (divergence_line_parse(text, &line))
        count_line(d, &line, NULL, true);
}

/* The supervisor's own lines are counted already. */
static void read_worker_line(struct divergences *d, char *text)
{
    struct divergence_line line;
    if (divergence_line_parse(text, &line) && line.id)
        count_line(d, &line, NULL, false);
}

static void skip_line(struct divergences *d, char *text)
{
    (void)d, (void)text;
}

void divergences_begin(struct divergences *d)
{
    divergence_log_begin(&d->log);
    read_log(d, skip_line);
    forget_counts(d);
}

void divergences_read_on(struct divergences *d)
{
    read_log(d, read_worker_line);
}

void divergences_recall(struct divergences *d)
{
    d->read_bytes = 0;
    forget_counts(d);
    read_log(d, recall_line);
    if (d->total)
        log_warning("%llu divergence%s of the earlier run still count%s: see divergences.log",
                    (unsigned long long)d->total, d->total == 1 ? "" : "s", d->total == 1 ? "s" : "");
}
