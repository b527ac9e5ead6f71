/* libevent's evhttp with five paths. Whoever connects is given little: small requests, a few seconds, and no
 * other site's script may read the answers. */
#include "supervisor/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/http.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/log.h"
#include "common/settings.h"

enum { REQUEST_TIMEOUT_S = 10, HEADERS_MAX_BYTES = 16384, BODY_MAX_BYTES = 1024 };

struct http {
    struct evhttp *server;
    struct http_callbacks callbacks;
    char listens_on[300];
};

static void answer(struct evhttp_request *request, int code, const char *reason, const char *type,
                   const void *body, size_t len)
{
    struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
    evhttp_add_header(headers, "Content-Type", type);
    evhttp_add_header(headers, "Cache-Control", "no-store");
    evhttp_add_header(headers, "X-Content-Type-Options", "nosniff");
    evhttp_add_header(headers, "Content-Security-Policy",
                      "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
                      "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
    if (evhttp_request_get_command(request) == EVHTTP_REQ_HEAD) {
        char text[24];
        snprintf(text, sizeof text, "%zu", len);
        evhttp_add_header(headers, "Content-Length", text); /* libevent would send the body as well */
    } else {
        evbuffer_add(evhttp_request_get_output_buffer(request), body, len);
    }
    evhttp_send_reply(request, code, reason, NULL);
}

static void answer_text(struct evhttp_request *request, int code, const char *reason, const char *text)
{
    answer(request, code, reason, "text/plain; charset=utf-8", text, strlen(text));
}

static void on_health(struct evhttp_request *request, void *arg)
{
    (void)arg;
    answer_text(request, HTTP_OK, "OK", "alive\n");
}

static void answer_not_ready(struct evhttp_request *request, const cJSON *status)
{
    char text[500];
    const cJSON *reason = cJSON_GetObjectItem(status, "in_step_reason");
    snprintf(text, sizeof text, "not in step%s%.400s\n", cJSON_IsString(reason) ? ": " : "",
             cJSON_IsString(reason) ? reason->valuestring : "");
    answer_text(request, HTTP_SERVUNAVAIL, "Service Unavailable", text);
}

static void on_ready(struct evhttp_request *request, void *arg)
{
    const struct http *h = arg;
    cJSON *status = h->callbacks.status(h->callbacks.arg);
    if (cJSON_IsTrue(cJSON_GetObjectItem(status, "in_step")))
        answer_text(request, HTTP_OK, "OK", "in step\n");
    else
        answer_not_ready(request, status);
    cJSON_Delete(status);
}

static void on_status(struct evhttp_request *request, void *arg)
{
    const struct http *h = arg;
    cJSON *status = h->callbacks.status(h->callbacks.arg);
    char *text = cJSON_PrintUnformatted(status);
    if (text)
        answer(request, HTTP_OK, "OK", "application/json", text, strlen(text));
    else
        answer_text(request, HTTP_INTERNAL, "Internal Server Error", "out of memory\n");
    cJSON_free(text);
    cJSON_Delete(status);
}

static void on_metrics(struct evhttp_request *request, void *arg)
{
    const struct http *h = arg;
    struct buf text = {0};
    cJSON *status = h->callbacks.status(h->callbacks.arg);
    metrics_write(status, &text);
    answer(request, HTTP_OK, "OK", "text/plain; version=0.0.4; charset=utf-8", text.data, text.len);
    buf_free(&text);
    cJSON_Delete(status);
}

static void on_page(struct evhttp_request *request, void *arg)
{
    (void)arg;
    answer(request, HTTP_OK, "OK", "text/html; charset=utf-8", http_page, strlen(http_page));
}

static void on_other(struct evhttp_request *request, void *arg)
{
    (void)arg;
    answer_text(request, HTTP_NOTFOUND, "Not Found", "see /, /metrics, /status.json, /healthz, /readyz\n");
}

/* Port 0 was given a number by the kernel. */
static void note_address(struct http *h, evutil_socket_t fd)
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

static bool listen_on(struct http *h, const char *text, struct error *error)
{
    char host[256];
    uint16_t port;
    if (!settings_metrics_address(text, host, sizeof host, &port))
        return error_fatal(error, EX_USAGE, "metrics: \"%.80s\" is no address and port", text);
    errno = 0;
    struct evhttp_bound_socket *bound = evhttp_bind_socket_with_handle(h->server, host, port);
    if (!bound)
        return error_fatal(error, errno == EACCES ? EX_NOPERM : EX_UNAVAILABLE,
                           "metrics: cannot listen on %.200s port %u: %s; choose another with --metrics",
                           host, port, errno ? strerror(errno) : "no such address here");
    evutil_socket_t fd = evhttp_bound_socket_get_fd(bound);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    note_address(h, fd);
    return true;
}

struct http *http_open(struct event_base *base, const char *address, const struct http_callbacks *callbacks,
                       struct error *error)
{
    struct http *h = x_calloc(1, sizeof *h);
    h->callbacks = *callbacks;
    h->server = evhttp_new(base);
    if (!h->server) {
        error_fatal(error, EX_OSERR, "metrics: cannot set up an HTTP server");
        http_close(h);
        return NULL;
    }
    evhttp_set_allowed_methods(h->server, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
    evhttp_set_timeout(h->server, REQUEST_TIMEOUT_S);
    evhttp_set_max_headers_size(h->server, HEADERS_MAX_BYTES);
    evhttp_set_max_body_size(h->server, BODY_MAX_BYTES);
    evhttp_set_cb(h->server, "/", on_page, h);
    evhttp_set_cb(h->server, "/metrics", on_metrics, h);
    evhttp_set_cb(h->server, "/status.json", on_status, h);
    evhttp_set_cb(h->server, "/healthz", on_health, h);
    evhttp_set_cb(h->server, "/readyz", on_ready, h);
    evhttp_set_gencb(h->server, on_other, h);
    if (listen_on(h, address, error))
        return h;
    http_close(h);
    return NULL;
}

const char *http_listens_on(const struct http *h)
{
    return h->listens_on;
}

void http_close(struct http *h)
{
    if (h && h->server)
        evhttp_free(h->server);
    free(h);
}
