/* The FLOW of a worker: which it is, what START said, where it stands, and the supervisor that is told about it. All
 * parts of the worker know it; it knows none of them. */
#ifndef DF2REDIS_WORKER_FLOW_FLOW_H
#define DF2REDIS_WORKER_FLOW_FLOW_H

#include <event2/event.h>

#include "common/ipc/cursor.h"
#include "common/ipc/message.h"
#include "common/redis/capabilities.h"
#include "common/settings/settings.h"
#include "worker/decode/decoder.h"

/* A global command waits for all FLOWs; one whose keys lie in several slots of a cluster goes in steps
 * (cross_slot.h). Meanwhile nothing else is decoded. */
enum global_state {
    GLOBAL_NONE,
    GLOBAL_DRAINING,   /* what comes before it is on its way to the target */
    GLOBAL_WAITING,    /* AT_GLOBAL was said */
    GLOBAL_CLEARING,   /* we run it on a cluster, for the first time */
    GLOBAL_RUNNING,    /* we run it */
    CROSS_DRAINING,    /* what comes before it is on its way to the target */
    CROSS_READING,     /* its sources */
    CROSS_WRITING,     /* its destination */
    CROSS_REPLICATING, /* its destination's node waits for its replicas */
    CROSS_LAST,        /* the last step, of the source: when it is acknowledged the command is done */
};

struct flow {
    struct event_base *base;
    struct settings settings;
    int supervisor;     /* socket */
    struct event *wake; /* the pump */

    /* From START. */
    uint32_t number, count;
    uint64_t session;
    char master_id[41], last_master_id[41];
    char directory[512], mark_key[128], mark_field[32], node_field[32], client_name[128], heal_name[128];
    struct decoder_config decoder_config;

    struct cursor cursor;
    struct decoder *decoder;
    struct capabilities target;
    uint64_t seen_seq; /* entries up to it were translated once before */
    enum global_state global;
    bool ready; /* the link is, and the decoder stands where the target is */
    bool said_stable;
    bool source_ended;
    bool drained;

    struct suspects *suspects;
    bool suspects_overflowed;
    bool reports_unread; /* perhaps */
    bool failed;
    int exit_code;
};

/* Tells the supervisor why and ends the loop. */
void flow_fail(struct flow *f, const struct error *error);
void flow_tell(struct flow *f, const struct message *m);
void flow_tell_simple(struct flow *f, enum message_type type);
/* Until the supervisor has read all reports: what it has not would be lost with it, once the target or the
 * cursor is beyond what they are about. */
void flow_wait_until_told(struct flow *f);
/* About what no entry tells: not counted twice only by the caller's care. */
void flow_tell_divergence(struct flow *f, const char *reason, const char *command, struct slice key);
/* The pump runs when this turn of the loop is over. */
void flow_wake(struct flow *f);
/* Nothing keeps a comparison from being begun: the target is where the decoder is, and more may come. */
bool flow_at_rest(const struct flow *f);

/* worker/flow/suspicion.c */
/* Are suspects compared and healed? Not where a key of the target may be another's (--on-conflict skip, stop), or where
 * there is no target. */
bool flow_heals(const struct flow *f);
/* The key may have come out wrong on the target, though it could be right: it is kept for a comparison with
 * the source's, from now on, whatever happens to this process. reason: a word of divergence.h, under which it
 * counts as a divergence if it cannot be kept. */
void flow_suspect(struct flow *f, uint32_t target_db, struct slice key, const char *reason,
                  const char *command);
/* How many suspects there are, into the cursor. */
void flow_note_suspects(struct flow *f);

#endif
