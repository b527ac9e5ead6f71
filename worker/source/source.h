/* The FLOW's bytes: from its socket into the spool as soon as there are some, whatever the target does.
 *
 *   source.c ─┬─ source_tls.c   the same with TLS
 *             ├─ lag.c          since when the oldest byte waits
 *             └─ received.c     what a predecessor had read */
#ifndef DF2REDIS_WORKER_SOURCE_SOURCE_H
#define DF2REDIS_WORKER_SOURCE_SOURCE_H

#include "common/net/client.h"
#include "worker/flow/flow.h"
#include "worker/source/lag.h"
#include "worker/spool/spool.h"

struct source_callbacks {
    void *arg;
    void (*begun)(void *arg);    /* it is known where the FLOW begins: the target may be connected to */
    void (*received)(void *arg); /* after a turn of reading, which may have brought nothing */
};

struct source;
typedef void source_tls_opened(struct source *s, bool full);

struct source {
    struct flow *flow;
    struct spool *spool;
    struct source_callbacks on;
    struct event *event;
    int fd;       /* the FLOW's socket, -1 when closed */
    bool resumed; /* the spool goes on where a dead process left it */
    bool opened;
    bool paused; /* the spool is at its limit */
    uint64_t paused_ms;
    bool target_waits; /* `begun` is called when the stream begins */
    char full_text[480];
    uint64_t warned_ms, said_full_ms; /* last */
    struct waiting waiting;
    uint64_t *lag_ms;    /* how old the entry at hand may be since it came */
    uint64_t read_bytes; /* for tests: DF2REDIS_TEST_READ_BYTES; 0: as many as there are */

    struct transport *tls; /* the socket with TLS, which only the process that made it can use */
    struct client *tls_client;
    char sync_id[32];
    uint64_t tls_first_lsn; /* of the next entry wanted; 0: a full sync is asked for */
    struct buf tls_asked;   /* words for DFLY FLOW */
    source_tls_opened *tls_opened;
    uint64_t acked_lsn, acked_at_ms;
};

void source_start(struct source *s);
void source_resume(struct source *s); /* after the spool had no room */
/* At a tick: a full spool ends the session with the source, as --on-spool-full says. */
void source_watch_full(struct source *s);
/* The cursor's figures of what is here and what waits, after bytes came or were applied. */
void source_note_waiting(struct source *s);
/* Bytes from `offset` on wait since now. */
void source_waits_from(struct source *s, uint64_t offset);
/* Its events and connection, and what it has allocated itself. */
void source_free(struct source *s);

/* worker/source/source_tls.c: with TLS the worker opens the FLOW itself, and acknowledges itself. */
void source_tls_open(struct source *s, source_tls_opened *opened);
enum spool_read source_tls_read(struct source *s, size_t *got, struct error *error);
/* REPLCONF ACK: every second, every 1,024 entries, at once when urgent. */
void source_tls_acknowledge(struct source *s, bool urgent);
void source_tls_close(struct source *s);

#endif
