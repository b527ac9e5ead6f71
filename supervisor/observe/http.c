/* Five paths. Requests are small, connections few and short, and a script of another site cannot read the answers. */
#include "supervisor/observe/http.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/uri.h"
#include "common/log/log.h"
#include "supervisor/observe/clients.h"
#include "supervisor/observe/http_request.h"

enum { REQUEST_TIMEOUT_MS = 10000, CONNECTIONS = 64, BACKLOG = 128 };

struct http {
    struct clients *clients;
    struct http_callbacks callbacks;
    char *const *names;
    char listens_on[300];
};

/* A request that is being answered. */
struct exchange {
    const struct http *http;
    struct client *client;
    bool head_only;
};

static void send_answer(const struct exchange *e, int code, const char *reason, const char *type,
                        const void *body, size_t len)
{
    struct evbuffer *out = client_output(e->client);
    evbuffer_add_printf(
        out,
        "HTTP/1.1 %d %s\r\n"
        "Content-Type: %s\r\n"
        "Content-Length: %zu\r\n"
        "Connection: close\r\n"
        "Cache-Control: no-store\r\n"
        "X-Content-Type-Options: nosniff\r\n"
        "Content-Security-Policy: default-src 'none'; script-src 'unsafe-inline'; style-src "
        "'unsafe-inline'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors "
        "'none'\r\n%s\r\n",
        code, reason, type, len, code == 405 ? "Allow: GET, HEAD\r\n" : "");
    if (!e->head_only)
        evbuffer_add(out, body, len);
    client_answered(e->client);
}

static void answer_text(const struct exchange *e, int code, const char *reason, const char *text)
{
    send_answer(e, code, reason, "text/plain; charset=utf-8", text, strlen(text));
}

static cJSON *status_of(const struct exchange *e)
{
    return e->http->callbacks.status(e->http->callbacks.arg);
}

static void answer_not_ready(const struct exchange *e, const cJSON *status)
{
    char text[500];
    const cJSON *reason = cJSON_GetObjectItem(status, "in_step_reason");
    snprintf(text, sizeof text, "not in step%s%.400s\n", cJSON_IsString(reason) ? ": " : "",
             cJSON_IsString(reason) ? reason->valuestring : "");
    answer_text(e, 503, "Service Unavailable", text);
}

static void serve_health(const struct exchange *e)
{
    answer_text(e, 200, "OK", "alive\n");
}

static void serve_ready(const struct exchange *e)
{
    cJSON *status = status_of(e);
    if (cJSON_IsTrue(cJSON_GetObjectItem(status, "in_step")))
        answer_text(e, 200, "OK", "in step\n");
    else
        answer_not_ready(e, status);
    cJSON_Delete(status);
}

static void serve_status(const struct exchange *e)
{
    cJSON *status = status_of(e);
    char *text = cJSON_PrintUnformatted(status);
    if (text)
        send_answer(e, 200, "OK", "application/json", text, strlen(text));
    else
        answer_text(e, 500, "Internal Server Error", "out of memory\n");
    cJSON_free(text);
    cJSON_Delete(status);
}

static void serve_metrics(const struct exchange *e)
{
    struct buf text = {0};
    cJSON *status = status_of(e);
    metrics_write(status, &text);
    send_answer(e, 200, "OK", "text/plain; version=0.0.4; charset=utf-8", text.data, text.len);
    buf_free(&text);
    cJSON_Delete(status);
}

static void serve_page(const struct exchange *e)
{
    send_answer(e, 200, "OK", "text/html; charset=utf-8", http_page, strlen(http_page));
}

static const struct {
    const char *path;
    void (*serve)(const struct exchange *e);
} paths[] = {{"/", serve_page},
             {"/metrics", serve_metrics},
             {"/status.json", serve_status},
             {"/healthz", serve_health},
             {"/readyz", serve_ready}};

static void serve_path(const struct exchange *e, struct slice path)
{
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        if (slice_eq(path, slice_str(paths[i].path))) {
            paths[i].serve(e);
            return;
        }
    answer_text(e, 404, "Not Found", "see /, /metrics, /status.json, /healthz, /readyz\n");
}

static void refuse_host(const struct exchange *e, struct slice host)
{
    char text[400];
    snprintf(text, sizeof text,
             "the name %s is not known here: add it with --metrics-host (addresses, localhost and this "
             "machine's own name need none)\n",
             log_key(host));
    answer_text(e, 403, "Forbidden", text);
}

static void on_http_input(struct client *client, struct evbuffer *input, void *arg)
{
    struct http *h = arg;
    struct http_request request;
    struct exchange e = {.http = h, .client = client};
    size_t len = evbuffer_get_length(input);
    struct slice text = slice_of(evbuffer_pullup(input, -1), len);
    int code = http_request_parse(text, &request);
    e.head_only = request.head_only;
    switch (code) {
    case 0:
        break;
    case 200:
        if (http_host_is_ours(request.host, h->names))
            serve_path(&e, request.path);
        else
            refuse_host(&e, request.host);
        break;
    case 405:
        answer_text(&e, code, "Method Not Allowed", "GET and HEAD only\n");
        break;
    case 431:
        answer_text(&e, code, "Request Header Fields Too Large", "too large\n");
        break;
    default:
        answer_text(&e, 400, "Bad Request", "not understood\n");
    }
}

/* The kernel has chosen a number for port 0. */
static void note_address(struct http *h, int fd)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof address;
    char host[64], port[16];
    if (getsockname(fd, (struct sockaddr *)&address, &len) != 0 ||
        getnameinfo((struct sockaddr *)&address, len, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return;
    snprintf(h->listens_on, sizeof h->listens_on, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
}

/* Listens on the first usable address of the name. -1 and errno; errno 0: the name has no address. */
static int bind_first(const char *host, const char *port)
{
    struct addrinfo hints = {.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM}, *list = NULL;
    int fd = -1, failure = 0, on = 1;
    if (host ? uri_look_up(host, port, &hints, &list) : getaddrinfo(host, port, &hints, &list)) {
        errno = 0;
        return -1;
    }
    for (const struct addrinfo *a = list; a && fd < 0; a = a->ai_next) {
        fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
            bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
            break;
        failure = errno;
        if (fd >= 0)
            close(fd);
        fd = -1;
    }
    freeaddrinfo(list);
    errno = failure;
    return fd;
}

static int listen_on(struct http *h, const char *text, struct error *error)
{
    char host[256], number[8];
    uint16_t port;
    if (!settings_metrics_address(text, host, sizeof host, &port)) {
        error_fatal(error, EX_USAGE, "metrics: \"%.80s\" is not an address and port", text);
        return -1;
    }
    snprintf(number, sizeof number, "%u", port);
    int fd = bind_first(host, number);
    if (fd < 0)
        error_fatal(error, errno == EACCES ? EX_NOPERM : EX_UNAVAILABLE,
                    "metrics: cannot listen on %.200s port %u: %s; choose another with --metrics", host, port,
                    errno ? strerror(errno) : "no such address here");
    else
        note_address(h, fd);
    return fd;
}

struct http *http_open(struct event_base *base, const struct settings *settings,
                       const struct http_callbacks *callbacks, struct error *error)
{
    struct http *h = x_calloc(1, sizeof *h);
    struct clients_config config = {.what = "the HTTP port",
                                    .limit = CONNECTIONS,
                                    .deadline_ms = REQUEST_TIMEOUT_MS,
                                    .request_bytes = HTTP_REQUEST_BYTES,
                                    .on_input = on_http_input,
                                    .arg = h};
    h->callbacks = *callbacks;
    h->names = settings->metrics_hosts;
    int fd = listen_on(h, settings->metrics, error);
    if (fd >= 0)
        h->clients = clients_open(base, fd, &config);
    if (h->clients)
        return h;
    if (fd >= 0) {
        close(fd);
        error_fatal(error, EX_OSERR, "metrics: cannot set up an HTTP server");
    }
    free(h);
    return NULL;
}

const char *http_listens_on(const struct http *h)
{
    return h->listens_on;
}

void http_close(struct http *h)
{
    if (h)
        clients_close(h->clients);
    free(h);
}
