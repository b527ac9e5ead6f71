/* STATE/NAME/control.sock: a Unix socket (mode 0660) that takes one request a connection, one line:
 *
 *   status   → one line of JSON (see status_document.c), then the end
 *   stop     → {"stopping":true,"pid":N}; the end comes when the run has ended */
#ifndef DF2REDIS_SUPERVISOR_OBSERVE_CONTROL_H
#define DF2REDIS_SUPERVISOR_OBSERVE_CONTROL_H

#include <cjson/cJSON.h>
#include <event2/event.h>

#include "common/base/error.h"

enum { CONTROL_REQUEST_BYTES = 256, CONTROL_CONNECTIONS = 64 };

struct control_callbacks {
    void *arg;
    cJSON *(*status)(void *arg); /* the caller frees it */
    void (*stop)(void *arg);
};

struct control;

/* directory: STATE/NAME, whose lock is held: a socket found there is a dead run's. */
struct control *control_open(struct event_base *base, const char *directory,
                             const struct control_callbacks *callbacks, struct error *error);
/* The run has ended: whoever asked it to stop is told how. */
void control_ended(struct control *c, int exit_code);
void control_close(struct control *c);

/* An address for directory/control.sock, also where the path is longer than a socket's may be: then it goes
 * through an open descriptor of the directory, kept in *directory_fd (else -1) until after bind or connect.
 */
struct sockaddr_un;
bool control_address(const char *directory, struct sockaddr_un *out, int *directory_fd, struct error *error);

#endif
