/* Acknowledging one FLOW to the source: REPLCONF ACK <next LSN wanted> on the FLOW's own socket.
 *
 * Only what the target has acknowledged is acknowledged: the master's WAIT and TAKEOVER trust it. The
 * supervisor is the only one to write there, so that a worker's death never leaves half a command; what
 * the socket does not take at once is kept and finished before anything else. */
#ifndef DF2REDIS_SUPERVISOR_SOURCE_ACK_H
#define DF2REDIS_SUPERVISOR_SOURCE_ACK_H

#include <event2/event.h>

#include "common/ipc/cursor.h"

enum { ACK_INTERVAL_MS = 1000, ACK_ENTRIES = 1024, ACK_BYTES = 96 };

struct ack {
    int fd; /* the flow's; -1: none to write on (TLS: the worker does it) */
    uint64_t sent_lsn, sent_ms;
    bool ping;          /* a PING waits for its answer: until its LSN is applied, every progress is told */
    bool ping_answered; /* at least once */
    uint8_t rest[ACK_BYTES];
    size_t rest_len;
    struct event *writable;
};

void ack_init(struct ack *a, struct event_base *base, int fd);
void ack_free(struct ack *a);
void ack_ping(struct ack *a);
/* Pure: is there something to say now? */
bool ack_due(const struct ack *a, uint64_t applied_lsn, uint64_t now_ms);
/* Says it, if so. */
void ack_poll(struct ack *a, const struct cursor_marks *marks, uint64_t applied_lsn, uint64_t now_ms);

#endif
