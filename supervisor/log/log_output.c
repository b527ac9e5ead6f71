/* All log lines pass here: those of this process, and those of the workers from their pipes. A log file replaces standard
 * error (descriptor 2), to which one thread alone writes. */
#include "supervisor/log/log_output.h"

#include <errno.h>
#include <stdlib.h>
#include <sysexits.h>
#include <syslog.h>
#include <unistd.h>

#include "common/log/invariant.h"
#include "common/log/log.h"
#include "supervisor/log/log_writer.h"
#include "supervisor/log/syslog_output.h"

enum { LAST_MS = 1000 };

static char *file_path;
static bool to_syslog;

/* "2026-05-01T10:00:00.000Z warning flow=1 text", or a JSON object with "level":"warning" in it. */
int log_output_priority(struct slice line, struct slice *text)
{
    static const struct {
        const char *name;
        int priority;
    } levels[] = {
        {"error", LOG_ERR}, {"warning", LOG_WARNING}, {"info", LOG_INFO}, {"debug", LOG_DEBUG}, {NULL, 0}};
    bool json = line.len && line.data[0] == '{';
    static const char member[] = "\"level\":\"";
    const uint8_t *at =
        json ? memmem(line.data, line.len, member, sizeof member - 1) : memchr(line.data, ' ', line.len);
    *text = line;
    if (!at)
        return LOG_INFO;
    at += json ? sizeof member - 1 : 1;
    size_t left = line.len - (size_t)(at - line.data);
    for (unsigned i = 0; levels[i].name; i++) {
        size_t len = strlen(levels[i].name);
        if (left <= len || memcmp(at, levels[i].name, len) != 0 || at[len] != (json ? '"' : ' '))
            continue;
        while (!json && len < left && at[len] == ' ')
            len++;
        if (!json)
            *text = slice_of(at + len, left - len);
        return levels[i].priority;
    }
    return LOG_INFO;
}

static void say_to_syslog(struct slice lines)
{
    while (lines.len) {
        const uint8_t *end = memchr(lines.data, '\n', lines.len);
        struct slice text, line = slice_of(lines.data, end ? (size_t)(end - lines.data) : lines.len);
        size_t used = line.len + (end != NULL);
        int priority = log_output_priority(line, &text);
        if (text.len)
            syslog_output_line(priority, text);
        lines = slice_of(lines.data + used, lines.len - used);
    }
}

static bool open_failed(int failure, struct error *error)
{
    if (failure == ENXIO)
        return error_fatal(error, EX_CANTCREAT,
                           "cannot open the log file %s: nobody reads this FIFO; start its reader first",
                           file_path);
    return error_fatal(error, failure == EACCES ? EX_NOPERM : EX_CANTCREAT,
                       "cannot open the log file %s: %s; it and its directory must be writable by the user "
                       "that runs df2redis",
                       file_path, strerror(failure));
}

static bool open_file(struct error *error)
{
    int fd = log_writer_open(file_path);
    if (fd < 0)
        return open_failed(errno, error);
    log_writer_replace(fd);
    return true;
}

bool log_output_open(const struct settings *settings, struct error *error)
{
    log_output_close();
    if (!log_writer_start())
        return error_fatal(error, EX_OSERR, "cannot start the thread that writes the log: %s",
                           strerror(errno));
    if (settings->log_file)
        file_path = x_strdup(settings->log_file);
    to_syslog = settings->syslog;
    if (to_syslog)
        syslog_output_open("/dev/log");
    log_set_sink(to_syslog ? say_to_syslog : log_writer_put);
    invariant_before_abort(log_output_close);
    if (file_path && !open_file(error))
        return false;
    log_writer_flush(LAST_MS); /* from here on standard error is the file */
    return true;
}

void log_output_close(void)
{
    invariant_before_abort(NULL);
    log_set_sink(NULL);
    if (to_syslog)
        syslog_output_close();
    log_writer_stop(LAST_MS);
    to_syslog = false;
    free(file_path);
    file_path = NULL;
}

void log_output_reopen(void)
{
    if (file_path)
        log_writer_reopen(file_path);
}

static void tell_failed_reopening(void)
{
    struct error error = {0};
    int failure = log_writer_open_failure();
    if (!failure || !file_path)
        return;
    open_failed(failure, &error);
    log_error("%s; the old log file stays in use", error.text);
}

void log_output_turn(void)
{
    log_turn();
    if (to_syslog)
        syslog_output_flush();
    tell_failed_reopening();
    log_writer_turn();
}

bool log_output_elsewhere(void)
{
    return file_path || to_syslog;
}
