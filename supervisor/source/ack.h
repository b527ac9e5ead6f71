/* Acknowledging one FLOW to the source: REPLCONF ACK <next LSN wanted> on the FLOW's own socket.
 *
 * Only entries that the target acknowledged are acknowledged: the master's WAIT and TAKEOVER rely on it. Only the
 * supervisor writes to this socket, so a worker's death never leaves half a command. Bytes that the socket does
 * not take at once are kept, and sent before anything else. */
#ifndef DF2REDIS_SUPERVISOR_SOURCE_ACK_H
#define DF2REDIS_SUPERVISOR_SOURCE_ACK_H

#include <event2/event.h>

#include "common/ipc/cursor.h"

enum { ACK_INTERVAL_MS = 1000, ACK_ENTRIES = 1024, ACK_BYTES = 96 };

struct ack {
    int fd; /* the FLOW's socket; -1: none (with TLS the worker acknowledges) */
    uint64_t sent_lsn, sent_ms;
    bool ping;          /* a PING is unanswered: all progress is acknowledged until its LSN is applied */
    bool ping_answered; /* at least once */
    uint8_t rest[ACK_BYTES];
    size_t rest_len;
    struct event *writable;
};

void ack_init(struct ack *a, struct event_base *base, int fd);
void ack_free(struct ack *a);
void ack_ping(struct ack *a);
/* Pure. Returns true if an ACK is due. */
bool ack_due(const struct ack *a, uint64_t applied_lsn, uint64_t now_ms);
/* Sends an ACK if one is due. */
void ack_poll(struct ack *a, const struct cursor_marks *marks, uint64_t applied_lsn, uint64_t now_ms);

#endif
