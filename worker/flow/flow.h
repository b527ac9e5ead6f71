/* The FLOW of a worker: its number, the contents of START, its decoder and cursor, and the socket to the supervisor.
 * All parts of the worker include this file; it includes only the decoder. */
#ifndef DF2REDIS_WORKER_FLOW_FLOW_H
#define DF2REDIS_WORKER_FLOW_FLOW_H

#include <event2/event.h>

#include "common/ipc/cursor.h"
#include "common/ipc/message.h"
#include "common/redis/capabilities.h"
#include "common/settings/settings.h"
#include "worker/decode/decoder.h"

/* The FLOW is held at a command: nothing after it is decoded until the command is done. A flush waits for all FLOWs
 * (pipeline/flush.h), a cross-slot command runs in steps (pipeline/cross_slot.h). */
enum hold {
    HOLD_NONE,
    HOLD_FLUSH_DRAINING,    /* waits until the entries before the flush are acknowledged */
    HOLD_FLUSH_WAITING,     /* AT_GLOBAL is sent */
    HOLD_FLUSH_CLEARING,    /* a cluster: this FLOW runs the flush the first time */
    HOLD_FLUSH_RUNNING,     /* this FLOW runs the flush; in a cluster for the second time */
    HOLD_CROSS_DRAINING,    /* waits until the entries before the command are acknowledged */
    HOLD_CROSS_READING,     /* reads the sources */
    HOLD_CROSS_WRITING,     /* writes the destination */
    HOLD_CROSS_REPLICATING, /* waits for the replicas of the destination's node */
    HOLD_CROSS_LAST,        /* writes the source; its acknowledgement ends the command */
};

struct flow {
    struct event_base *base;
    struct settings settings;
    int supervisor;     /* socket; < 0: none */
    struct event *wake; /* runs the pump */

    /* From START. */
    uint32_t number, count;
    uint64_t session;
    char master_id[41], last_master_id[41];
    char directory[512], mark_key[128], mark_field[32], node_field[32], client_name[128], heal_name[128];
    struct decoder_config decoder_config;

    struct cursor cursor;
    struct decoder *decoder;
    struct capabilities target;
    uint64_t seen_seq; /* entries up to it have been translated before */
    enum hold hold;
    bool ready; /* the target is connected, and the decoder is at its position */
    bool stable_reported;
    bool source_ended;
    bool drained;

    struct suspects *suspects;
    bool suspects_overflowed;
    bool reports_unread; /* the supervisor may not have read all reports */
    bool failed;
    int exit_code;
};

/* Sends FAILED to the supervisor and ends the event loop. */
void flow_fail(struct flow *f, const struct error *error);
void flow_tell(struct flow *f, const struct message *m);
void flow_tell_simple(struct flow *f, enum message_type type);
/* Blocks until the supervisor has read all reports: call before the target or the cursor gets past their entries, as
 * unread reports are lost if the supervisor dies. */
void flow_wait_until_told(struct flow *f);
/* Counts one divergence, without report_dedup: the caller must not report it twice. */
void flow_tell_divergence(struct flow *f, const char *reason, const char *command, struct slice key);
/* Schedules the pump after this iteration of the event loop. */
void flow_wake(struct flow *f);
/* Whether a comparison may begin: the target is at the decoder's position, and the journal continues. */
bool flow_at_rest(const struct flow *f);

/* worker/flow/suspicion.c */
/* Whether suspects are compared and healed. False if a key of the target may be foreign (--on-conflict skip, stop), and
 * without a target. */
bool flow_heals(const struct flow *f);
/* Records the key as a suspect, on disk, for a comparison with the source. reason: a word of divergence.h; the key
 * counts as a divergence under it if it cannot be recorded. */
void flow_suspect(struct flow *f, uint32_t target_db, struct slice key, const char *reason,
                  const char *command);
/* Stores the number of suspects in the cursor. */
void flow_note_suspects(struct flow *f);

#endif
