/* The control socket's server: a few connections, each a line in and an answer out. */
#include "supervisor/control.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"

struct connection {
    struct control *control;
    struct bufferevent *stream;
    bool answered, held; /* held: open until the run ends */
};

struct control {
    struct control_callbacks callbacks;
    struct evconnlistener *listener;
    char *path;
    struct connection *connections[CONTROL_CONNECTIONS];
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

static void connection_free(struct connection *one)
{
    for (size_t i = 0; i < CONTROL_CONNECTIONS; i++)
        if (one->control->connections[i] == one)
            one->control->connections[i] = NULL;
    bufferevent_free(one->stream);
    free(one);
}

static void answer(struct connection *one, cJSON *json)
{
    char *text = json ? cJSON_PrintUnformatted(json) : NULL;
    if (text) {
        evbuffer_add(bufferevent_get_output(one->stream), text, strlen(text));
        evbuffer_add(bufferevent_get_output(one->stream), "\n", 1);
    }
    cJSON_free(text);
    cJSON_Delete(json);
    one->answered = true;
}

static void serve(struct connection *one, const char *line)
{
    struct control *c = one->control;
    if (strcmp(line, "status") == 0) {
        answer(one, c->callbacks.status(c->callbacks.arg));
    } else if (strcmp(line, "stop") == 0) {
        cJSON *json = cJSON_CreateObject();
        cJSON_AddTrueToObject(json, "stopping");
        cJSON_AddNumberToObject(json, "pid", (double)getpid());
        one->held = true;
        answer(one, json);
        c->callbacks.stop(c->callbacks.arg);
    } else {
        cJSON *json = cJSON_CreateObject();
        cJSON_AddStringToObject(json, "error", "unknown request; status and stop are understood");
        answer(one, json);
    }
}

static void on_read(struct bufferevent *stream, void *arg)
{
    struct connection *one = arg;
    struct evbuffer *input = bufferevent_get_input(stream);
    if (one->answered) {
        evbuffer_drain(input, evbuffer_get_length(input));
        return;
    }
    char *line = evbuffer_readln(input, NULL, EVBUFFER_EOL_CRLF);
    if (line) {
        serve(one, line);
        free(line);
    } else if (evbuffer_get_length(input) >= CONTROL_REQUEST_BYTES) {
        connection_free(one);
    }
}

static void on_written(struct bufferevent *stream, void *arg)
{
    struct connection *one = arg;
    if (one->answered && !one->held && evbuffer_get_length(bufferevent_get_output(stream)) == 0)
        connection_free(one);
}

static void on_event(struct bufferevent *stream, short what, void *arg)
{
    (void)stream, (void)what;
    connection_free(arg);
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address, int len,
                      void *arg)
{
    (void)address, (void)len;
    struct control *c = arg;
    size_t i = 0;
    while (i < CONTROL_CONNECTIONS && c->connections[i])
        i++;
    struct bufferevent *stream =
        i < CONTROL_CONNECTIONS
            ? bufferevent_socket_new(evconnlistener_get_base(listener), fd, BEV_OPT_CLOSE_ON_FREE)
            : NULL;
    if (!stream) {
        close(fd);
        return;
    }
    struct connection *one = x_calloc(1, sizeof *one);
    *one = (struct connection){.control = c, .stream = stream};
    c->connections[i] = one;
    bufferevent_setcb(stream, on_read, on_written, on_event, one);
    bufferevent_enable(stream, EV_READ | EV_WRITE);
}

static int make_socket(const char *directory, const char *path, struct error *error)
{
    struct sockaddr_un address;
    int directory_fd, fd = -1;
    if (!control_address(directory, &address, &directory_fd, error))
        return -1;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool ok = fd >= 0 && (unlink(path) == 0 || errno == ENOENT);
    /* The mode counts from the first moment: nobody else may connect before a chmod. */
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
    int fd = make_socket(directory, c->path, error);
    if (fd >= 0)
        c->listener =
            evconnlistener_new(base, on_accept, c, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
    if (c->listener)
        return c;
    if (fd >= 0) {
        close(fd);
        error_fatal(error, EX_OSERR, "cannot listen on %s", c->path);
    }
    free(c->path);
    free(c);
    return NULL;
}

/* A run may end in the very turn in which it was asked to: what is still to be said goes out before the end. */
static void say_the_rest(struct connection *one)
{
    struct evbuffer *output = bufferevent_get_output(one->stream);
    evbuffer_unfreeze(output, 1); /* libevent's own writing is over */
    while (evbuffer_get_length(output) && evbuffer_write(output, bufferevent_getfd(one->stream)) > 0)
        ;
}

void control_close(struct control *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < CONTROL_CONNECTIONS; i++)
        if (c->connections[i]) {
            say_the_rest(c->connections[i]);
            connection_free(c->connections[i]);
        }
    evconnlistener_free(c->listener);
    unlink(c->path);
    free(c->path);
    free(c);
}
