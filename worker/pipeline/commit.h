/* Rounds out, acknowledgements in: checkpoints, marks, the cursor.
 *
 * A sealed round carries the checkpoint it leads to. When the target has acknowledged it, and so all
 * before it, the checkpoint becomes the cursor's restart record and the spool may let go. */
#ifndef DF2REDIS_WORKER_PIPELINE_COMMIT_H
#define DF2REDIS_WORKER_PIPELINE_COMMIT_H

#include "worker/flow/flow.h"
#include "worker/pipeline/drain.h"
#include "worker/source/source.h"
#include "worker/spool/history.h"
#include "worker/target/router.h"
#include "worker/verify/expiry.h"

struct commit {
    struct flow *flow;
    struct source *source;
    struct spool *spool;
    struct history *history;
    struct router *router;
    struct expiry *expiry;
    const struct drain *drain;

    uint64_t skip_seq; /* entries up to it are in the target already (its mark); in a cluster: in some slot */
    uint64_t skip_lsn; /* the same of the journal before it, by the mark of an earlier session */
    uint64_t marked_seq;                  /* of the last mark that was acknowledged */
    uint64_t sealed_marked_seq;           /* of the last mark that was put into a round */
    uint64_t marked_at_ms, marked_offset; /* of the last mark put into a round */
    uint64_t mark_every_bytes;            /* after a reconnect few, then more and more */
    bool had_trouble;                     /* with the target, or it is a successor */
    bool mark_wanted;                     /* to see whether the target takes writes again */
    bool marks_owed;          /* a cluster: a mark of the whole FLOW is due, in a round of its own */
    bool last_mark_sent;      /* at the end of a drain */
    bool unmarking;           /* a migration is over: there are no marks any more */
    uint64_t kept_at_ms;      /* of the history's newest */
    uint64_t entries, keys;   /* of the open round */
    struct checkpoint sealed; /* of the last round that was sealed */
    uint64_t ping_lsn;        /* acknowledge at once when applied_lsn reaches it; 0: none */
};

/* A restart record begins with the seq of the last mark before it, then the decoder's state. */
enum { RECORD_HEADER = 8 };
bool seal_may_send(struct commit *c); /* the open round could go out now */
void seal_and_send(struct commit *c, bool force_mark);
/* At the end of a drain: a mark of the very last position for a later start, or, after a migration,
 * none at all any more. True: it is on its way. */
bool seal_last_mark(struct commit *c);
void seal_acknowledged(struct commit *c, struct round *r);
/* Of a command across slots: its destination may have it, its source has not. */
bool seal_between_steps(const struct commit *c);
/* Nothing on its way and nothing in the open round: where the decoder stands is applied. */
void seal_settle(struct commit *c);
/* A held command is done without a round of its own: what comes after is not mixed up with it. */
void seal_held_done(struct commit *c);
void seal_save_record(struct commit *c, const struct checkpoint *at);
/* In the cursor: the next LSN wanted after all that is applied, and the last command before it. */
void seal_note_lsn(struct commit *c, uint64_t next_lsn, struct journal_check check);
/* The decoder was put elsewhere: what was open is forgotten, and where it stands is the last checkpoint. */
void seal_restart(struct commit *c);
/* The target is ahead of the decoder. */
bool seal_is_behind(const struct commit *c);
bool seal_marks_on(const struct commit *c);

/* worker/pipeline/retain.c */
/* The target has acknowledged a mark of this position or a later one. */
void retain_keep(struct commit *c, const struct checkpoint *at);
/* Lets the spool go, but for what a target might need that comes back with its last mark. */
void retain_release(struct commit *c);

#endif
