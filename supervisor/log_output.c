/* The file is opened anew and put in standard error's place: log.c goes on writing to descriptor 2. */
#include "supervisor/log_output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sysexits.h>
#include <syslog.h>
#include <unistd.h>

#include "supervisor/syslog_output.h"

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

static bool open_file(struct error *error)
{
    int fd = open(file_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
    if (fd < 0 || dup2(fd, STDERR_FILENO) < 0) {
        int failure = errno;
        if (fd >= 0)
            close(fd);
        return error_fatal(
            error, failure == EACCES ? EX_NOPERM : EX_CANTCREAT,
            "cannot open the log file %s: %s; it and its directory must be writable by the user "
            "that runs df2redis",
            file_path, strerror(failure));
    }
    if (fd != STDERR_FILENO)
        close(fd);
    return true;
}

bool log_output_open(const struct settings *settings, struct error *error)
{
    log_output_close();
    if (settings->log_file)
        file_path = x_strdup(settings->log_file);
    to_syslog = settings->syslog;
    if (to_syslog) {
        syslog_output_open("/dev/log");
        log_set_sink(say_to_syslog);
    }
    return !file_path || open_file(error);
}

void log_output_close(void)
{
    if (to_syslog) {
        log_set_sink(NULL);
        syslog_output_close();
    }
    to_syslog = false;
    free(file_path);
    file_path = NULL;
}

bool log_output_reopen(struct error *error)
{
    return !file_path || open_file(error);
}

void log_output_turn(void)
{
    if (to_syslog)
        syslog_output_flush();
}

bool log_output_relays(void)
{
    return file_path || to_syslog;
}

void log_output_lines(struct slice lines)
{
    if (to_syslog) {
        say_to_syslog(lines);
        return;
    }
    ssize_t ignored = write(STDERR_FILENO, lines.data, lines.len);
    (void)ignored;
}
