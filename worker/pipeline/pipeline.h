/* From the spool to the target, and back to the target's position after a failure. A file calls those below it:
 *
 *   answers.c     the target's answers, from the router
 *   pump.c        decode, translate, send; acknowledgements
 *   rewind.c      after a reconnect: the decoder goes back to the target's mark
 *   flush.c       FLUSHALL, FLUSHDB      cross_slot.c  cross-slot commands      omitted.c  unjournaled deletions
 *   commit.c      rounds, marks, the cursor                                     cut_scores.c  ZUNIONSTORE and its like
 *   retain.c      records and bytes kept for a rewind      drain.c  the ordered end
 *   report.c      divergences and suspects
 *
 * Below them are the parts of verify/, the source, the router and the FLOW.
 *
 * Invariants (common/log/invariant.h), numbered as in df2redis-design(7):
 *
 *   3.1  received >= decoded >= sent >= acknowledged >= released. Only rewind.c goes back, with all but received.
 *   3.2  Rounds are acknowledged in the order in which they were sent, none left out.
 *   3.3  A mark of the whole FLOW vouches for nothing that is not acknowledged with it.
 *   3.4  Nothing is sent before the decoder stands where the target is, nor while the FLOW is held at a global command.
 *   3.5  A command that must not run twice goes out in a MULTI with its mark, and nothing unanswered stands before it
 *        (in a cluster: but others of its kind, of other slots).
 *   3.6  Nothing counts as acknowledged on a connection on which a SELECT or a mark was refused, or a mark is gone.
 *   3.7  At the end of a session the LSN of the cursor is that of the mark.
 *   4.1  The spool holds every byte from the restart record on. */
#ifndef DF2REDIS_WORKER_PIPELINE_PIPELINE_H
#define DF2REDIS_WORKER_PIPELINE_PIPELINE_H

#include "worker/pipeline/commit.h"
#include "worker/pipeline/cross_slot.h"
#include "worker/pipeline/cut_scores.h"
#include "worker/pipeline/drain.h"
#include "worker/pipeline/flush.h"
#include "worker/translate/translator.h"
#include "worker/verify/expiry.h"
#include "worker/verify/heal.h"
#include "worker/verify/pops.h"

struct pipeline {
    struct flow *flow;
    struct source *source;
    struct spool *spool;
    struct router *router;
    struct output *output;
    struct translator translator;
    struct expiry *expiry;
    struct heal *heal;
    struct pops *pops;

    struct drain drain;
    struct commit commit;
    struct flush flush;
    struct cross *cross;
    struct cut_scores cut_scores;

    bool starved;       /* the decoder has consumed all bytes at hand */
    bool journal_broke; /* the journal cannot be followed further; the supervisor was sent BREAK */
    bool contact_waits; /* in_contact waits for the comparison of the journal */
    size_t resent_left; /* entries that run again, and whose keys are remembered */
    bool
        unheard; /* answers were lost with the connection: entries that the target has may have been refused */
    uint64_t answered_seq; /* entries up to it have been acknowledged before */
    uint64_t entry_offset; /* of the last decoded entry */
    bool omitted_told, snapshot_reported;
    double rate_tokens; /* bytes that may be decoded now, under --max-rate */
    uint64_t rate_at_ms;
    uint64_t crash_at_seq; /* for tests: DF2REDIS_TEST_CRASH_AT_SEQ */
};

/* worker/pipeline/pump.c */
/* Call once all parts are set; from then on flow_wake() schedules pump(). */
void pump_init(struct pipeline *p);
void pump(struct pipeline *p);
/* The target has acknowledged r. */
void pump_acknowledged(struct pipeline *p, struct round *r);

/* worker/pipeline/rewind.c */
/* Puts the decoder to the newest restart record at or before the target's mark. ERROR_REDIRECT: the spool no longer has
 * the bytes that the target lacks. */
bool rewind_to_target(struct pipeline *p, const struct position *at, struct error *error);

#endif
