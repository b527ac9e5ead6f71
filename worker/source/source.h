/* The FLOW's bytes, from its socket into the spool, independently of the target.
 *
 *   source.c ─┬─ source_tls.c   the same with TLS
 *             ├─ lag.c          age of the oldest byte that is not applied
 *             └─ received.c     number of bytes read before a restart */
#ifndef DF2REDIS_WORKER_SOURCE_SOURCE_H
#define DF2REDIS_WORKER_SOURCE_SOURCE_H

#include "common/net/client.h"
#include "worker/flow/flow.h"
#include "worker/source/lag.h"
#include "worker/spool/spool.h"

struct source_callbacks {
    void *arg;
    void (*begun)(void *arg);    /* the beginning of the FLOW is known: connect to the target */
    void (*received)(void *arg); /* after each turn of reading, with or without new bytes */
};

struct source;
typedef void source_tls_opened(struct source *s, bool full);

struct source {
    struct flow *flow;
    struct spool *spool;
    struct source_callbacks on;
    struct event *event;
    int fd;       /* the FLOW's socket, -1 when closed */
    bool resumed; /* the spool was opened by a restarted worker */
    bool opened;
    bool paused; /* the spool is full: not reading */
    uint64_t paused_ms;
    bool target_waits; /* `begun` is called at the first byte */
    char full_text[480];
    uint64_t warned_ms, said_full_ms; /* last */
    struct lag lag;
    uint64_t *lag_ms;    /* age of the oldest byte that is not applied */
    uint64_t read_bytes; /* for tests: DF2REDIS_TEST_READ_BYTES; 0: no limit */

    struct transport *tls; /* the socket with TLS; usable only by the process that connected it */
    struct client *tls_client;
    char sync_id[32];
    uint64_t tls_first_lsn; /* of a partial sync; 0: full sync */
    struct buf tls_asked;   /* arguments for DFLY FLOW of a partial sync */
    source_tls_opened *tls_opened;
    uint64_t acked_lsn, acked_at_ms;
};

void source_start(struct source *s);
void source_resume(struct source *s); /* once the spool has room again */
/* At each tick: a full spool ends the session with the source, according to --on-spool-full. */
void source_watch_full(struct source *s);
/* Stores in the cursor what is received and not applied; call after either has changed. */
void source_update_lag(struct source *s);
/* Counts the age of the bytes from `offset` on from now. */
void source_waits_from(struct source *s, uint64_t offset);
/* Frees the events, the connection and everything allocated here. */
void source_free(struct source *s);

/* worker/source/source_tls.c: with TLS the worker, not the supervisor, opens the FLOW and sends the ACKs. */
void source_tls_open(struct source *s, source_tls_opened *opened);
enum spool_read source_tls_read(struct source *s, size_t *got, struct error *error);
/* REPLCONF ACK: every second, every 1,024 entries, immediately if urgent. */
void source_tls_acknowledge(struct source *s, bool urgent);
void source_tls_close(struct source *s);

#endif
