/* The control socket's server: each connection takes a line and gets an answer. */
#include "supervisor/observe/control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "supervisor/cutover/cutover.h"
#include "supervisor/observe/clients.h"

enum { CONTROL_DEADLINE_MS = 10000 };

struct control {
    struct control_callbacks callbacks;
    struct clients *clients;
    char *path;
};

bool control_address(const char *directory, struct sockaddr_un *out, int *directory_fd, struct error *error)
{
    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    *directory_fd = -1;
    int n = snprintf(out->sun_path, sizeof out->sun_path, "%s/control.sock", directory);
    if (n > 0 && (size_t)n < sizeof out->sun_path)
        return true;
    *directory_fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (*directory_fd < 0)
        return error_fatal(error, EX_UNAVAILABLE, "cannot open %s: %s", directory, strerror(errno));
    snprintf(out->sun_path, sizeof out->sun_path, "/proc/self/fd/%d/control.sock", *directory_fd);
    return true;
}

static void send_answer(struct client *client, cJSON *json)
{
    char *text = json ? cJSON_PrintUnformatted(json) : NULL;
    if (text)
        evbuffer_add_printf(client_output(client), "%s\n", text);
    cJSON_free(text);
    cJSON_Delete(json);
}

/* ---- cut-over ---- */

struct talk {
    struct cutover *cutover;
    struct client *client; /* NULL: gone */
};

static void talk_say(const char *line, void *arg)
{
    struct talk *t = arg;
    evbuffer_add_printf(client_output(t->client), "%s\n", line);
}

static void talk_over(bool run_ends, void *arg)
{
    struct talk *t = arg;
    client_end_dialog(t->client, run_ends);
    free(t);
}

static void talk_line(const char *line, void *arg)
{
    struct talk *t = arg;
    if (strncmp(line, "command ", 8) == 0)
        cutover_command_ended(t->cutover, strcmp(line + 8, "ok") == 0 ? NULL : line + 8);
}

static void talk_gone(void *arg)
{
    struct talk *t = arg;
    cutover_abandoned(t->cutover);
    free(t);
}

static void begin_cutover(struct control *c, struct client *client, const char *order)
{
    struct talk *t = x_calloc(1, sizeof *t);
    *t = (struct talk){c->callbacks.cutover, client};
    struct client_dialog dialog = {.arg = t, .on_line = talk_line, .on_gone = talk_gone};
    struct cutover_listener listener = {.arg = t, .say = talk_say, .over = talk_over};
    client_begin_dialog(client, &dialog);
    cutover_begin(c->callbacks.cutover, order, &listener);
}

static void serve_request(struct control *c, struct client *client, const char *line)
{
    if (strcmp(line, "status") == 0) {
        send_answer(client, c->callbacks.status(c->callbacks.arg));
        client_answered(client);
    } else if (strcmp(line, "settings") == 0 && client_is_owner(client)) {
        send_answer(client, c->callbacks.settings(c->callbacks.arg));
        client_answered(client);
    } else if (strcmp(line, "stop") == 0) {
        cJSON *json = cJSON_CreateObject();
        cJSON_AddTrueToObject(json, "stopping");
        cJSON_AddNumberToObject(json, "pid", (double)getpid());
        send_answer(client, json);
        client_hold(client);
        c->callbacks.stop(c->callbacks.arg);
    } else if (c->callbacks.cutover && strncmp(line, "cutover ", 8) == 0) {
        begin_cutover(c, client, line + 8);
    } else {
        cJSON *json = cJSON_CreateObject();
        cJSON_AddStringToObject(json, "error",
                                strcmp(line, "settings") == 0
                                    ? "only the user that runs df2redis, or root, may verify"
                                    : "unknown request; status, stop and cutover are understood");
        send_answer(client, json);
        client_answered(client);
    }
}

static void on_control_input(struct client *client, struct evbuffer *input, void *arg)
{
    char *line = evbuffer_readln(input, NULL, EVBUFFER_EOL_CRLF);
    if (line)
        serve_request(arg, client, line);
    free(line);
}

static int make_socket(const char *directory, const char *path, struct error *error)
{
    struct sockaddr_un address;
    int directory_fd, fd = -1;
    if (!control_address(directory, &address, &directory_fd, error))
        return -1;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool ok = fd >= 0 && (unlink(path) == 0 || errno == ENOENT);
    /* The umask gives the socket its mode from the start: a later chmod would leave a moment to connect. */
    mode_t before = umask(0117);
    ok = ok && bind(fd, (struct sockaddr *)&address, sizeof address) == 0;
    umask(before);
    ok = ok && listen(fd, 16) == 0;
    int failure = errno;
    if (directory_fd >= 0)
        close(directory_fd);
    if (ok)
        return fd;
    if (fd >= 0)
        close(fd);
    error_fatal(error, EX_CANTCREAT, "cannot make the control socket %s: %s", path, strerror(failure));
    return -1;
}

struct control *control_open(struct event_base *base, const char *directory,
                             const struct control_callbacks *callbacks, struct error *error)
{
    struct control *c = x_calloc(1, sizeof *c);
    c->callbacks = *callbacks;
    struct buf path = {0};
    buf_printf(&path, "%s/control.sock", directory);
    c->path = x_strndup((const char *)path.data, path.len);
    buf_free(&path);
    struct clients_config config = {.what = "the control socket",
                                    .limit = CONTROL_CONNECTIONS,
                                    .deadline_ms = CONTROL_DEADLINE_MS,
                                    .request_bytes = CONTROL_REQUEST_BYTES,
                                    .on_input = on_control_input,
                                    .arg = c};
    int fd = make_socket(directory, c->path, error);
    if (fd >= 0)
        c->clients = clients_open(base, fd, &config);
    if (c->clients)
        return c;
    if (fd >= 0) {
        close(fd);
        error_fatal(error, EX_OSERR, "cannot listen on %s", c->path);
    }
    free(c->path);
    free(c);
    return NULL;
}

static void free_control(struct control *c)
{
    unlink(c->path);
    free(c->path);
    free(c);
}

void control_ended(struct control *c, int exit_code)
{
    char line[48];
    if (!c)
        return;
    snprintf(line, sizeof line, "{\"exit_code\":%d}", exit_code);
    clients_tell_held(c->clients, line);
    clients_leave(c->clients);
    free_control(c);
}

void control_close(struct control *c)
{
    if (!c)
        return;
    clients_close(c->clients);
    free_control(c);
}
