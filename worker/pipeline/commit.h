/* Rounds, checkpoints, marks and the cursor.
 *
 * A round carries the checkpoint at its end. Once the target has acknowledged the round, and so all rounds before it,
 * the checkpoint becomes the cursor's restart record, and the spool may release the bytes before it. */
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

    uint64_t skip_seq; /* the target has the entries up to it (its mark); in a cluster: some slot has them */
    uint64_t skip_lsn; /* the target has the journal before it, by the mark of an earlier session; 0: none */
    uint64_t marked_seq;                       /* of the last acknowledged mark */
    uint64_t sent_marked_seq, sent_marked_lsn; /* of the last mark in a round */
    uint64_t marked_at_ms, marked_offset;      /* of the last mark in a round */
    uint64_t mark_every_bytes;                 /* small after a reconnect, then growing */
    bool had_trouble;                          /* the target failed before, or the worker was restarted */
    bool mark_wanted;                          /* probes whether the target accepts writes again */
    bool marks_owed;     /* a cluster: a mark of the whole FLOW is due, in a separate round */
    bool last_mark_sent; /* at the end of a drain */
    bool unmarking;      /* a migration is complete: its marks are removed */
    uint64_t kept_at_ms; /* when the newest record of the history was added */
    uint64_t acknowledged_offset, acknowledged_seq; /* since the decoder was last repositioned */
    uint64_t done_seq;                              /* of the last acknowledged round */
    uint64_t entries, keys;                         /* of the open round */
    struct checkpoint sent;                         /* of the last round sent */
    uint64_t ping_lsn; /* acknowledge immediately when applied_lsn reaches it; 0: none */
};

/* A restart record: the seq of the last mark before it, 8 bytes, then the decoder's state. */
enum { RECORD_HEADER = 8 };
bool commit_may_send(struct commit *c); /* whether the open round can be sent now */
void commit_send(struct commit *c, bool force_mark);
/* At the end of a drain: sends a mark of the last position for a later start; after a migration, removes the marks.
 * True: sent, acknowledgement pending. */
bool commit_last_mark(struct commit *c);
void commit_acknowledged(struct commit *c, struct round *r);
/* A cross-slot command may have written its destination, and has not written its source. */
bool commit_between_steps(const struct commit *c);
/* Call with no round in flight and an empty open round: the decoder's position is applied. */
void commit_idle(struct commit *c);
/* The FLOW is held at a command, whose first byte is at `offset`, and all before it is acknowledged. */
void commit_note_held(struct commit *c, uint64_t offset);
/* The held command is done and needed no round: the next round begins after it. */
void commit_hold_done(struct commit *c);
void commit_save_record(struct commit *c, const struct checkpoint *at);
/* Stores in the cursor the LSN after the last applied entry, and the check of the last command before it. */
void commit_note_lsn(struct commit *c, uint64_t next_lsn, struct journal_check check);
/* The decoder was repositioned: discards the open round, and makes the decoder's position the last checkpoint. */
void commit_restart(struct commit *c);
/* Whether the target is ahead of the decoder. */
bool commit_is_behind(const struct commit *c);
bool commit_marks_on(const struct commit *c);
/* Call when everything is applied and nothing follows. */
void commit_check_end(const struct commit *c);

/* worker/pipeline/retain.c */
/* Adds the checkpoint to the history. The target has acknowledged a mark at or after it. */
void retain_keep(struct commit *c, const struct checkpoint *at);
/* Releases applied bytes of the spool, except those after the newest record of the history. */
void retain_release(struct commit *c);

#endif
