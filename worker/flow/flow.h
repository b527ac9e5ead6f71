/* The FLOW of a worker: its number, the contents of START, its decoder and cursor, and the socket to the supervisor.
 * All parts of the worker include this file; it includes only the decoder. */
#ifndef DF2REDIS_WORKER_FLOW_FLOW_H
#define DF2REDIS_WORKER_FLOW_FLOW_H

#include <event2/event.h>

#include "common/ipc/cursor.h"
#include "common/ipc/divergence_log.h"
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
    bool clock_told; /* by CLOCK, since the START */
    int64_t clock_told_ms;
    bool connect_anew; /* the target's import mode has changed: once it is connected */
    uint64_t seen_seq; /* entries up to it have been translated before */
    enum hold hold;
    bool ready; /* the target is connected, and the decoder is at its position */
    bool stable_reported;
    bool source_ended;
    bool drained;

    struct suspects *suspects;
    bool suspects_overflowed; /* told */

    struct divergence_log divergences;
    uint64_t *reported; /* worker/flow/divergence.c: divergences that were reported lately */
    bool untold;        /* the log has lines for which the channel to the supervisor had no room */

    bool failed;
    int exit_code;
};

/* Sends FAILED to the supervisor and ends the event loop. */
void flow_fail(struct flow *f, const struct error *error);
void flow_tell(struct flow *f, const struct message *m);
void flow_tell_simple(struct flow *f, enum message_type type);
/* Does not wait: false if the channel has no room. */
bool flow_tell_at_once(struct flow *f, const struct message *m);
/* Schedules the pump after this iteration of the event loop. */
void flow_wake(struct flow *f);
/* Whether a comparison may begin: the target is at the decoder's position, and the journal continues. */
bool flow_at_rest(const struct flow *f);

/* worker/flow/divergence.c */
/* One thing that the target lacks. */
struct report {
    const char *reason, *command; /* reason: a word of divergence.h */
    uint32_t db;
    struct slice key;
    uint64_t count;   /* the members, fields or commands of the key that are concerned; 0: 1 */
    const char *text; /* the target's error; NULL: none */
};
/* Opens divergences.log; without it reports are only counted. */
void flow_open_reports(struct flow *f);
void flow_close_reports(struct flow *f);
/* Appends the report to divergences.log, and tells it to the supervisor, which counts each divergence_id once. Call it
 * before the report's entry can be committed: a committed entry is not translated again. The supervisor is waited for
 * only if the report is not in the log. Returns false if it was reported lately. */
bool flow_report(struct flow *f, const struct report *r);
/* Sends LOGGED if it is due and the channel has room. */
void flow_tell_logged(struct flow *f);

/* worker/flow/suspicion.c */
/* Whether suspects are compared and healed. False if a key of the target may be foreign (--on-conflict skip, stop), and
 * without a target. */
bool flow_heals(const struct flow *f);
/* Single keys are not enough: the run compares all, from the beginning if it is about it. The reason is told once:
 * *told is set. */
void flow_compare_all(struct flow *f, const char *reason, bool *told);
/* Records the key as a suspect, on disk, for a comparison with the source. reason: a word of divergence.h; a
 * key that cannot be recorded counts as a divergence under it, or as unknown where it is most likely right. */
void flow_suspect(struct flow *f, uint32_t target_db, struct slice key, const char *reason,
                  const char *command);
/* Stores the number of suspects in the cursor. */
void flow_note_suspects(struct flow *f);

#endif
