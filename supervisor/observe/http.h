/* HTTP for monitors and people: GET or HEAD; no request changes anything.
 *
 *   /             a page that shows the run, live
 *   /metrics      Prometheus text
 *   /status.json  what `df2redis status --json` prints
 *   /healthz      200 as long as the process works
 *   /readyz       200 when in step, 503 otherwise
 *
 * Each connection takes one request. */
#ifndef DF2REDIS_SUPERVISOR_OBSERVE_HTTP_H
#define DF2REDIS_SUPERVISOR_OBSERVE_HTTP_H

#include <cjson/cJSON.h>
#include <event2/event.h>

#include "common/base/error.h"
#include "common/base/mem.h"
#include "common/settings/settings.h"

struct http;

struct http_callbacks {
    void *arg;
    cJSON *(*status)(void *arg); /* the caller frees it */
};

/* Listens on settings->metrics (see settings_metrics_address). The caller keeps the settings, unchanged. */
struct http *http_open(struct event_base *base, const struct settings *settings,
                       const struct http_callbacks *callbacks, struct error *error);
/* Returns the address and port, as "127.0.0.1:9121". */
const char *http_listens_on(const struct http *h);
void http_close(struct http *h);

/* metrics.c: a status document as Prometheus text. */
void metrics_write(const cJSON *status, struct buf *out);

/* http_page.c: the page, NUL-terminated. */
extern const char http_page[];

#endif
