/* Lines of divergences.log. */
#include "common/ipc/divergence_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/crc.h"
#include "common/log/log.h"

enum { LINE_BYTES = 1024 };

static const uint64_t LIMIT_BYTES = (uint64_t)64 << 20;
static const char full_line[] = "This log is full; further ones are only counted.\n";
static const char count_sign[] = " ×";

uint64_t divergence_id(const char *reason, const char *command, uint32_t db, struct slice key)
{
    const uint8_t number[] = {(uint8_t)db, (uint8_t)(db >> 8), (uint8_t)(db >> 16), (uint8_t)(db >> 24)};
    uint64_t id = crc64(0, reason, strlen(reason) + 1);
    id = crc64(id, command, strlen(command) + 1);
    id = crc64(id, number, sizeof number);
    id = crc64(id, key.data, key.len);
    return id ? id : 1;
}

bool divergence_log_open(struct divergence_log *log, const char *path, struct error *error)
{
    *log = (struct divergence_log){.limit_bytes = LIMIT_BYTES};
    log->fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    return log->fd >= 0 ||
           error_fatal(error, EX_CANTCREAT, "cannot open %s: %s; the state directory must be writable", path,
                       strerror(errno));
}

void divergence_log_close(struct divergence_log *log)
{
    if (log->fd >= 0)
        close(log->fd);
    log->fd = -1;
}

static bool write_failed(struct divergence_log *log, const char *why)
{
    if (!log->failed)
        log_warning("cannot write divergences.log: %s; divergences that are not in it are only counted", why);
    log->failed = true;
    return false;
}

/* Where the disk was full, or its writer was killed, the last line may lack its end. (While another process writes, its
 * size may be there before its bytes: then an empty line comes between, which is a note.) */
static bool ends_within_line(const struct divergence_log *log, uint64_t bytes)
{
    char last = '\n';
    return bytes && pread(log->fd, &last, 1, (off_t)bytes - 1) == 1 && last != '\n';
}

/* text: a whole line, with room for one character before it. Returns false if the log is at its limit or the write
 * fails. */
static bool append(struct divergence_log *log, uint64_t limit_bytes, char *text, size_t len)
{
    struct stat st;
    ssize_t n;
    if (log->fd < 0)
        return false;
    if (fstat(log->fd, &st) != 0)
        return write_failed(log, strerror(errno));
    if ((uint64_t)st.st_size >= limit_bytes)
        return false;
    if (ends_within_line(log, (uint64_t)st.st_size)) {
        *--text = '\n';
        len++;
    }
    do
        n = write(log->fd, text, len);
    while (n < 0 && errno == EINTR);
    if (n != (ssize_t)len)
        return write_failed(log, n < 0 ? strerror(errno) : "no space left");
    return true;
}

/* With O_APPEND the file offset is the end of the own line: of all writers one alone sees its line cross the limit. */
static void note_full(struct divergence_log *log, size_t len)
{
    off_t end = lseek(log->fd, 0, SEEK_CUR);
    if (end < 0 || (uint64_t)end < log->limit_bytes || (uint64_t)end - len >= log->limit_bytes)
        return;
    char line[sizeof full_line + 1];
    memcpy(line + 1, full_line, sizeof full_line);
    append(log, UINT64_MAX, line + 1, sizeof full_line - 1);
    log_warning("divergences.log is full (%llu bytes): further divergences are only counted",
                (unsigned long long)end);
}

bool divergence_log_note(struct divergence_log *log, uint32_t flow, const char *text)
{
    char line[LINE_BYTES + 64];
    int64_t now_ms = clock_unix_ms();
    int n = snprintf(line + 1, sizeof line - 1, "%lld.%03d flow=%u %.*s\n", (long long)(now_ms / 1000),
                     (int)(now_ms % 1000), flow, LINE_BYTES, text);
    if (n < 0 || !append(log, log->limit_bytes, line + 1, (size_t)n))
        return false;
    note_full(log, (size_t)n);
    return true;
}

bool divergence_log_add(struct divergence_log *log, const struct divergence_line *line)
{
    char id[32] = "", text[LINE_BYTES];
    if (line->id)
        snprintf(id, sizeof id, "id=%016llx ", (unsigned long long)line->id);
    snprintf(text, sizeof text, "%s%.64s %.256s %.512s%s%llu", id, line->reason, line->command, line->key,
             count_sign, (unsigned long long)line->count);
    return divergence_log_note(log, line->flow, text);
}

void divergence_log_begin(struct divergence_log *log)
{
    static const char begin[] = DIVERGENCE_LOG_BEGIN "\n";
    struct stat st;
    char line[sizeof begin + 1];
    memcpy(line + 1, begin, sizeof begin);
    if (log->fd >= 0 && fstat(log->fd, &st) == 0 && st.st_size > 0)
        append(log, UINT64_MAX, line + 1, sizeof begin - 1);
}

/* "id=ID", or "entry=SEQ.NUMBER.KIND@SESSION" of older versions. */
static bool parse_identity(const char *word, uint64_t *id, bool *old)
{
    char *end;
    *old = strncmp(word, "entry=", 6) == 0;
    if (*old)
        return true;
    if (strncmp(word, "id=", 3) != 0)
        return false;
    *id = strtoull(word + 3, &end, 16);
    return *end == '\0' && end == word + 3 + 16;
}

bool divergence_line_parse(char *text, struct divergence_line *line)
{
    bool old = false;
    char *rest = text;
    text[strcspn(text, "\n")] = '\0';
    *line = (struct divergence_line){0};
    strsep(&rest, " ");
    const char *flow = strsep(&rest, " "), *word = strsep(&rest, " ");
    if (word && parse_identity(word, &line->id, &old))
        word = strsep(&rest, " ");
    line->reason = word;
    line->command = strsep(&rest, " ");
    line->key = rest;
    char *count = rest ? strrchr(rest, ' ') : NULL;
    const size_t sign = sizeof count_sign - 1;
    uint64_t number;
    if (!line->command || !count || strncmp(flow, "flow=", 5) != 0 ||
        !slice_to_u64(slice_str(flow + 5), &number) || strncmp(count, count_sign, sign) != 0 ||
        !slice_to_u64(slice_str(count + sign), &line->count))
        return false;
    line->flow = (uint32_t)number;
    *count = '\0';
    if (old)
        line->id = divergence_id(line->reason, line->command, 0, slice_str(line->key));
    return true;
}
