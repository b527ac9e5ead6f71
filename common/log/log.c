/* Log lines to a sink, or to standard error: one write(2) a line, so that lines of several processes never mix. */
#include "common/log/log.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/log/log_kinds.h"

static enum log_level current_level = LOG_LEVEL_INFO;
static enum log_format current_format = LOG_FORMAT_TEXT;
static int current_flow = -1;
static void (*hook_before)(void);
static void (*hook_after)(void);
static void (*line_sink)(struct slice line);

static const char *const level_names[] = {"error", "warning", "info", "debug"};

void log_setup(enum log_level level, enum log_format format)
{
    current_level = level;
    current_format = format;
}

bool log_level_parse(const char *name, enum log_level *out)
{
    for (unsigned i = 0; i < sizeof level_names / sizeof *level_names; i++)
        if (strcasecmp(name, level_names[i]) == 0) {
            *out = (enum log_level)i;
            return true;
        }
    return false;
}

bool log_format_parse(const char *name, enum log_format *out)
{
    if (strcasecmp(name, "text") == 0)
        *out = LOG_FORMAT_TEXT;
    else if (strcasecmp(name, "json") == 0)
        *out = LOG_FORMAT_JSON;
    else
        return false;
    return true;
}

void log_set_flow(int flow)
{
    current_flow = flow;
}

bool log_enabled(enum log_level level)
{
    return level <= current_level;
}

void log_set_hooks(void (*before)(void), void (*after)(void))
{
    hook_before = before;
    hook_after = after;
}

void log_set_sink(void (*sink)(struct slice line))
{
    line_sink = sink;
}

/* Length in bytes of the UTF-8 character at p; 0: invalid. A text may contain bytes from a peer, so any bytes. */
static size_t character_bytes(const unsigned char *p)
{
    size_t n = *p < 0x80                 ? 1
               : *p >= 0xc2 && *p < 0xe0 ? 2
               : *p >= 0xe0 && *p < 0xf0 ? 3
               : *p >= 0xf0 && *p < 0xf5 ? 4
                                         : 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (*p == 0xe0 && p[1] < 0xa0) || (*p == 0xf0 && p[1] < 0x90);
    bool none = (*p == 0xed && p[1] >= 0xa0) || (*p == 0xf4 && p[1] >= 0x90); /* surrogates, beyond Unicode */
    return overlong || none ? 0 : n;
}

static bool is_control(const unsigned char *p)
{
    return *p < 0x20 || *p == 0x7f || (*p == 0xc2 && p[1] < 0xa0);
}

static void put_json_text(struct buf *line, const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p;) {
        size_t n = character_bytes(p);
        if (*p == '"' || *p == '\\')
            buf_printf(line, "\\%c", *p);
        else if (*p < 0x20)
            buf_printf(line, "\\u%04x", *p);
        else if (n)
            buf_put(line, p, n);
        else
            buf_put_u8(line, '?');
        p += n ? n : 1;
    }
}

/* Replaces control characters, which could move the cursor of a terminal or begin a second line. */
static void put_plain_text(struct buf *line, const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p;) {
        size_t n = character_bytes(p);
        if (!n)
            buf_put_u8(line, '?');
        else if (is_control(p))
            buf_put_u8(line, ' ');
        else
            buf_put(line, p, n);
        p += n ? n : 1;
    }
}

static void put_time(struct buf *line)
{
    struct timespec now;
    struct tm tm;
    char text[32];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    size_t n = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    buf_put(line, text, n);
    buf_printf(line, ".%03ldZ", now.tv_nsec / 1000000);
}

/* The FLOW that a message of the supervisor is about; -1: none, or several ("FLOW 1 2"). */
static int flow_of(const char *text)
{
    const char *at = strstr(text, "FLOW ");
    if (!at || (at != text && at[-1] != ' ') || at[5] < '0' || at[5] > '9')
        return -1;
    char *end;
    long flow = strtol(at + 5, &end, 10);
    bool list = *end == ' ' && end[1] >= '0' && end[1] <= '9';
    return list || flow > INT32_MAX || strstr(end, "FLOW ") ? -1 : (int)flow;
}

void log_format_line(struct buf *out, enum log_level level, const char *text)
{
    if (current_format == LOG_FORMAT_JSON) {
        buf_printf(out, "{\"time\":\"");
        put_time(out);
        buf_printf(out, "\",\"level\":\"%s\",\"pid\":%d", level_names[level], (int)getpid());
        int flow = current_flow >= 0 ? current_flow : flow_of(text);
        if (flow >= 0)
            buf_printf(out, ",\"flow\":%d", flow);
        buf_printf(out, ",\"message\":\"");
        put_json_text(out, text);
        buf_printf(out, "\"}\n");
    } else {
        put_time(out);
        buf_printf(out, " %-7s ", level_names[level]);
        if (current_flow >= 0)
            buf_printf(out, "flow=%d ", current_flow);
        put_plain_text(out, text);
        buf_put_u8(out, '\n');
    }
}

void log_relay(struct slice lines)
{
    if (hook_before)
        hook_before();
    if (line_sink) {
        line_sink(lines);
    } else {
        ssize_t ignored = write(STDERR_FILENO, lines.data, lines.len);
        (void)ignored;
    }
    if (hook_after)
        hook_after();
}

static void write_line(enum log_level level, const char *text)
{
    struct buf line = {0};
    log_format_line(&line, level, text);
    log_relay(buf_slice(&line));
    buf_free(&line);
}

void log_write(enum log_level level, const char *format, ...)
{
    char text[2048];
    if (!log_enabled(level))
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (log_kinds_take(level, format, text, clock_monotonic_ms()))
        write_line(level, text);
}

void log_write_always(enum log_level level, const char *format, ...)
{
    char text[2048];
    if (!log_enabled(level))
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    write_line(level, text);
}

void log_turn(void)
{
    log_kinds_tell(clock_monotonic_ms(), false, write_line);
}

void log_end(void)
{
    log_kinds_tell(clock_monotonic_ms(), true, write_line);
}

const char *log_key(struct slice key)
{
    static char ring[8][4 * 96 + 8];
    static unsigned next;
    char *out = ring[next++ % 8];
    size_t n = 0;
    out[n++] = '"';
    for (size_t i = 0; i < key.len && i < 96; i++) {
        uint8_t c = key.data[i];
        if (c == '"' || c == '\\') {
            out[n++] = '\\';
            out[n++] = (char)c;
        } else if (c >= 0x20 && c < 0x7f) {
            out[n++] = (char)c;
        } else {
            n += (size_t)snprintf(out + n, 5, "\\x%02x", c);
        }
    }
    out[n++] = '"';
    if (key.len > 96) {
        memcpy(out + n, "...", 3);
        n += 3;
    }
    out[n] = '\0';
    return out;
}
