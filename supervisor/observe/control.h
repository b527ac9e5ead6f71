/* STATE/NAME/control.sock: a Unix socket (mode 0660) that takes one request a connection, one line:
 *
 *   status   → one line of JSON (see status_document.c), then the end
 *   settings → to the same user or root: {"session":…}, for df2redis verify: the session, and the settings with their
 *              passwords (see settings_document.c), then the end
 *   stop     → {"stopping":true,"pid":N}; at the end of the run {"exit_code":N}, then the end
 *   cutover ORDER → lines of JSON (supervisor/cutover/cutover.h), the last one with "exit_code"; the client may send
 *                   "command ok" or "command TEXT", and orders it undone by its end
 *
 * What calls what in this folder:
 *
 *   supervisor.c ────────────────────> settings_document.c     settings for a verification
 *   control.c ─┐                       ┌─> status_document.c   the run as JSON ──> verify_status.c
 *              ├─> clients.c           │       └─> metrics.c   the same for Prometheus
 *   http.c ────┘       └─ on_input ────┤              └─> proc_stat.c
 *      └─> http_request.c              └─> http_page.c         the page
 *   progress.c                                                 the display on a terminal, after each log line */
#ifndef DF2REDIS_SUPERVISOR_OBSERVE_CONTROL_H
#define DF2REDIS_SUPERVISOR_OBSERVE_CONTROL_H

#include <cjson/cJSON.h>
#include <event2/event.h>

#include "common/base/error.h"

enum { CONTROL_REQUEST_BYTES = 256, CONTROL_CONNECTIONS = 64 };

struct cutover;

struct control_callbacks {
    void *arg;
    cJSON *(*status)(void *arg); /* the caller frees it */
    cJSON *(*settings)(void *arg);
    void (*stop)(void *arg);
    struct cutover *cutover; /* NULL: there are none */
};

struct control;

/* directory: STATE/NAME, locked by this run: a socket found there belongs to a dead run. */
struct control *control_open(struct event_base *base, const char *directory,
                             const struct control_callbacks *callbacks, struct error *error);
/* Sends the run's exit code to the clients that have requested its stop, and closes the socket. Their connections end
 * when the process exits: only then lock and pid file are free for the next run. */
void control_ended(struct control *c, int exit_code);
void control_close(struct control *c);

/* The address of directory/control.sock. A path longer than a socket's address leads through an open descriptor of the
 * directory; the caller keeps *directory_fd (otherwise -1) open until after bind or connect. */
struct sockaddr_un;
bool control_address(const char *directory, struct sockaddr_un *out, int *directory_fd, struct error *error);

#endif
