/* What of HTTP/1.x is needed to answer GET and HEAD; see RFC 9112. Pure functions over memory. */
#ifndef DF2REDIS_SUPERVISOR_OBSERVE_HTTP_REQUEST_H
#define DF2REDIS_SUPERVISOR_OBSERVE_HTTP_REQUEST_H

#include <stdbool.h>

#include "common/base/mem.h"

enum { HTTP_REQUEST_BYTES = 16384 };

struct http_request {
    bool head_only;          /* HEAD */
    struct slice path, host; /* host: without port and brackets; empty: none given. Both lie in the text. */
};

/* 0: not whole yet; 200: *out is filled; otherwise the status code to refuse it with. */
int http_request_parse(struct slice text, struct http_request *out);

/* A page of another site could have its name lead here (DNS rebinding), and would then be allowed to read the answers: its
 * browser gives that name as Host. An address, localhost, this machine's own name and the patterns given (names, or NULL)
 * cannot be such a page's. */
bool http_host_is_ours(struct slice host, char *const *names);

#endif
