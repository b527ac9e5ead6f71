/* The part of HTTP/1.x that GET and HEAD need; see RFC 9112. Pure functions over memory. */
#ifndef DF2REDIS_SUPERVISOR_OBSERVE_HTTP_REQUEST_H
#define DF2REDIS_SUPERVISOR_OBSERVE_HTTP_REQUEST_H

#include <stdbool.h>

#include "common/base/mem.h"

enum { HTTP_REQUEST_BYTES = 16384 };

struct http_request {
    bool head_only;          /* HEAD */
    struct slice path, host; /* host: without port and brackets; empty: none given. Both lie in the text. */
};

/* Returns 0: incomplete; 200: *out is filled; otherwise the status code of the refusal. */
int http_request_parse(struct slice text, struct http_request *out);

/* False: the Host may be that of another site. The name of such a site can lead to this machine (DNS rebinding), and its
 * page could then read the answers; the browser sends that name as Host. An address, localhost, this machine's own name
 * and the given patterns (names, or NULL) cannot be such a site's. */
bool http_host_is_ours(struct slice host, char *const *names);

#endif
