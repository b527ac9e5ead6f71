#include "supervisor/cli/cutover.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sysexits.h>
#include <unistd.h>

#include "supervisor/cli/status.h"
#include "supervisor/observe/json.h"

enum { MOST_VARIABLES = 16, END_WAIT_S = 30 };

struct conversation {
    const struct settings *settings;
    const char *command;
    int run, exec; /* descriptors; exec -1: COMMAND does not run */
    struct buf input;
    bool switched; /* COMMAND has ended well */
    int exit_code; /* -1: not yet */
};

static void send_line(const struct conversation *c, const char *text)
{
    struct buf line = {0};
    buf_printf(&line, "%s\n", text);
    /* The run's end is noticed where it is read. */
    if (send(c->run, line.data, line.len, MSG_NOSIGNAL) < 0)
        errno = 0;
    buf_free(&line);
}

static void tell_outcome(const struct conversation *c, const char *text)
{
    char line[200];
    snprintf(line, sizeof line, "command %.180s", text);
    send_line(c, line);
}

static void start_command(struct conversation *c, const cJSON *order)
{
    const char *variables[MOST_VARIABLES + 1] = {NULL};
    const cJSON *one, *list = cJSON_GetObjectItem(order, "environment");
    struct error error = {0};
    size_t count = 0;
    if (!c->command || c->exec >= 0)
        return;
    cJSON_ArrayForEach(one, list)
    {
        if (cJSON_IsString(one) && count < MOST_VARIABLES)
            variables[count++] = one->valuestring;
    }
    printf("command: %s\n", c->command);
    c->exec = cutover_exec_start(c->command, variables, json_u64(order, "deadline_ms"), &error);
    if (c->exec < 0)
        tell_outcome(c, error.text);
}

static void take_line(struct conversation *c, const char *line)
{
    cJSON *json = cJSON_Parse(line);
    const cJSON *code = cJSON_GetObjectItem(json, "exit_code"),
                *command = cJSON_GetObjectItem(json, "command");
    const char *text = json_text(json, "say");
    if (cJSON_IsNumber(code))
        c->exit_code = code->valueint;
    if (cJSON_IsNumber(code) && code->valueint != EX_OK)
        fprintf(stderr, "df2redis: cut-over of run %s: %s\n", c->settings->name, text);
    else if (text[0])
        puts(text);
    if (command)
        start_command(c, command);
    if (json_text(json, "error")[0]) {
        fprintf(stderr, "df2redis: the run %s does not take the order: %s\n", c->settings->name,
                json_text(json, "error"));
        c->exit_code = EX_PROTOCOL;
    }
    cJSON_Delete(json);
    fflush(stdout);
}

/* Returns false at the end of the connection. */
static bool read_run(struct conversation *c)
{
    ssize_t n = read(c->run, buf_reserve(&c->input, 4096), 4096);
    if (n < 0 && errno == EINTR)
        return true;
    if (n <= 0)
        return false;
    c->input.len += (size_t)n;
    uint8_t *end;
    while (c->exit_code < 0 && c->input.len && (end = memchr(c->input.data, '\n', c->input.len))) {
        *end = '\0';
        size_t len = (size_t)(end - c->input.data) + 1;
        char *line = x_strndup((const char *)c->input.data, len);
        buf_consume(&c->input, len);
        take_line(c, line);
        free(line);
    }
    return c->exit_code < 0;
}

static void end_command(struct conversation *c)
{
    char text[120];
    c->switched = cutover_exec_end(c->exec, text, sizeof text);
    c->exec = -1;
    tell_outcome(c, c->switched ? "ok" : text);
}

static void talk(struct conversation *c)
{
    bool goes_on = true;
    while (goes_on && c->exit_code < 0) {
        struct pollfd fds[] = {{.fd = c->run, .events = POLLIN}, {.fd = c->exec, .events = POLLIN}};
        if (poll(fds, c->exec >= 0 ? 2 : 1, -1) < 0 && errno != EINTR)
            break;
        if (c->exec >= 0 && fds[1].revents)
            end_command(c);
        if (fds[0].revents)
            goes_on = read_run(c);
    }
}

/* The run ended without a word: it was killed. */
static int tell_silence(const struct conversation *c)
{
    const char *name = c->settings->name;
    if (c->switched)
        fprintf(stderr,
                "df2redis: the run %s has died after the command had ended well: the clients may be "
                "switched, and the "
                "source takes writes again when its pause ends. Shut the source down, or undo what the "
                "command did; "
                "df2redis status tells what the run does after its restart\n",
                name);
    else
        fprintf(stderr,
                "df2redis: the run %s has died: the source takes writes again when its pause ends%s; the run "
                "goes on "
                "after its restart\n",
                name, c->exec >= 0 ? ", and the command was killed: look whether it had an effect" : "");
    return c->switched ? EX_PROTOCOL : EX_TEMPFAIL;
}

/* If the run has ended, its process ends this connection: then lock and pid file are free. */
static void wait_for_end(int run)
{
    char rest[512];
    struct timeval limit = {.tv_sec = END_WAIT_S};
    setsockopt(run, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    while (read(run, rest, sizeof rest) > 0)
        ;
}

int cutover_command(const struct settings *settings, const struct cutover_order *order, const char *command)
{
    struct conversation c = {.settings = settings, .command = command, .exec = -1, .exit_code = -1};
    struct error error = {0};
    char text[CUTOVER_LINE_BYTES], line[CUTOVER_LINE_BYTES + 16];
    if (!status_connect(settings, &c.run, &error)) {
        fprintf(stderr, "df2redis: %s\n", error.text);
        return error.exit_code ? error.exit_code : EX_UNAVAILABLE;
    }
    signal(SIGPIPE, SIG_IGN);
    cutover_order_write(order, text, sizeof text);
    snprintf(line, sizeof line, "cutover %s", text);
    send_line(&c, line);
    talk(&c);
    int code = c.exit_code >= 0 ? c.exit_code : tell_silence(&c);
    if (c.exec >= 0)
        cutover_exec_end(c.exec, text, sizeof text);
    wait_for_end(c.run);
    close(c.run);
    buf_free(&c.input);
    return code;
}
