/* One worker: one FLOW, from its socket to its target.
 *
 *   FLOW socket ─read─> spool ─peek─> decoder ─entries─> translator ─commands─> round ─> router ─> target
 *        source.c                     pump.c                              commit.c    router.c
 *                                        acknowledged: cursor, spool_release (commit.c)
 *
 * One thread, one event loop. Every file of this list holds the functions of one arrow; struct worker
 * is what they share. */
#ifndef DF2REDIS_WORKER_WORKER_H
#define DF2REDIS_WORKER_WORKER_H

#include <event2/event.h>

#include "worker/flow/flow.h"
#include "worker/keys/deadlines.h"
#include "worker/keys/suspects.h"
#include "worker/link/batch.h"
#include "worker/pipeline/report_dedup.h"
#include "worker/source/source.h"
#include "worker/spool/history.h"
#include "worker/spool/spool.h"
#include "worker/target/router.h"
#include "worker/translate/translator.h"
#include "worker/verify/expiry.h"
#include "worker/verify/heal.h"
#include "worker/verify/inventory.h"
#include "worker/verify/pops.h"

enum { REFUSED_SCRIPTS = 64 };

struct cross;

struct worker {
    struct flow *flow;
    struct event *supervisor_event, *pump_event, *tick_event;

    char masters[1024]; /* of a cluster, to begin with */

    struct source source;
    bool journal_broke; /* it can be followed no further, and the supervisor was told */
    struct spool *spool;
    struct history *history;
    struct deadlines *deadlines;
    struct translator translator;
    struct output *output;
    struct router *router;

    bool contact_waits; /* it would be in contact, but the journal was not compared yet */
    bool starved;       /* the decoder has had all there is */
    uint64_t skip_seq;  /* entries up to it are in the target already (its mark) */
    uint64_t all_seq,
        all_lsn;           /* a cluster: no slot is behind them; skip_seq, skip_lsn: those furthest ahead */
    uint64_t skip_lsn;     /* the same of the journal before it, by the mark of an earlier session */
    bool unheard;          /* what of that is not acknowledged may have been refused: its answers were lost */
    uint64_t answered_seq; /* entries up to it were acknowledged once before */
    struct suspects *left_out; /* left_out.h */
    bool omitted_told;
    char refused_scripts[REFUSED_SCRIPTS][41]; /* their SHAs, the last ones */
    size_t refused_script_next;
    struct heal *heal;
    struct inventory *inventory;
    struct pops *pops;
    struct expiry *expiry;
    struct flow_cursors *cursors; /* of all FLOWs */
    struct reports reports;
    uint64_t marked_seq;                  /* of the last mark that was acknowledged */
    uint64_t sealed_marked_seq;           /* of the last mark that was put into a round */
    uint64_t marked_at_ms, marked_offset; /* of the last mark put into a round */
    uint64_t mark_every_bytes;            /* after a reconnect few, then more and more */
    bool had_trouble;                     /* with the target, or it is a successor */
    bool mark_wanted;                     /* to see whether the target takes writes again */
    uint64_t kept_at_ms;                  /* of the history's newest */
    uint64_t entries, keys;               /* of the open round */
    struct checkpoint sealed;             /* of the last round that was sealed */
    uint64_t ping_lsn;                    /* acknowledge at once when applied_lsn reaches it; 0: none */

    uint64_t global_txid, global_seq;
    bool global_again;     /* it was decoded once before */
    uint64_t flushed_txid; /* the newest global command of this session that the target has */
    uint64_t doubted_txid; /* the target was asked about it */
    struct cross *cross;
    bool cross_written; /* the step's commands are in a round */
    bool marks_owed;    /* a cluster: a mark of the whole FLOW is due, in a round of its own */
    uint32_t global_db;
    char global_command[32];

    bool draining, last_mark_sent, unmarking;
    bool reached_drain_lsn;   /* when it was drained */
    uint64_t drain_lsn;       /* up to where; 0: up to drain_offset, */
    uint64_t drain_offset;    /* which had been received by then */
    uint64_t drain_progress;  /* what was looked for and compared until the last tick */
    uint64_t drain_due_ms;    /* a drain begins then, or once no suspects are left; 0: none was asked for */
    uint64_t drain_latest_ms; /* of a replication: not put off beyond that */
    bool entered_stable, said_snapshot_done;

    double rate_tokens; /* bytes that may be decoded now, under --max-rate */
    uint64_t rate_at_ms;

    uint64_t crash_at_seq; /* for tests: DF2REDIS_TEST_CRASH_AT_SEQ */
};

/* worker.c */
bool worker_start(struct worker *w, const struct message *start, struct error *error);
void worker_finish(struct worker *w);
void worker_report(void *arg, const char *reason, const char *command, struct slice key, uint64_t count);

/* pump.c */
void pump_schedule(struct worker *w);
void pump(struct worker *w);
/* All entries before the LSN that DRAIN named are decoded. */
bool pump_reached_drain_lsn(const struct worker *w);

/* commit.c */
/* A restart record begins with the seq of the last mark before it, then the decoder's state. */
enum { RECORD_HEADER = 8 };
bool seal_may_send(struct worker *w); /* the open round could go out now */
void seal_and_send(struct worker *w, bool force_mark);
/* At the end of a drain: a mark of the very last position for a later start, or, after a migration,
 * none at all any more. True: it is on its way. */
bool seal_last_mark(struct worker *w);
void seal_acknowledged(struct worker *w, struct round *r);
/* Nothing on its way and nothing in the open round: where the decoder stands is applied. */
void seal_settle(struct worker *w);
/* A held command is done without a round of its own: what comes after is not mixed up with it. */
void seal_held_done(struct worker *w);
void seal_save_record(struct worker *w, const struct checkpoint *at);
/* In the cursor: the next LSN wanted after all that is applied, and the last command before it. */
void seal_note_lsn(struct worker *w, uint64_t next_lsn, struct journal_check check);
/* The decoder was put elsewhere: what was open is forgotten, and where it stands is the last checkpoint. */
void seal_restart(struct worker *w);
/* The target is ahead of the decoder. */
bool seal_is_behind(const struct worker *w);
bool seal_marks_on(const struct worker *w);

/* rewind.c */
/* Back to where the target is: its mark, and the newest decoder state at or before it. ERROR_REDIRECT: what
 * it lacks is no longer here. */
bool rewind_to_target(struct worker *w, const struct position *at, struct error *error);
/* The target has acknowledged a mark of this position or a later one. */
void rewind_keep(struct worker *w, const struct checkpoint *at);
/* Lets the spool go, but for what a target might need that comes back with its last mark. */
void rewind_release(struct worker *w);

/* flush.c */
bool global_begin(struct worker *w, const struct entry *e, struct error *error);
void global_advance(struct worker *w); /* after everything before it is acknowledged */
void global_run(struct worker *w, uint64_t txid);
/* age_ms: it was run no longer ago; 0: not known. */
void global_pass(struct worker *w, uint64_t txid, uint64_t age_ms);
void global_cleared(struct worker *w);
/* The target has refused a part of the flush at hand: the run ends. False: there is none at hand. */
bool global_refused(struct worker *w, const char *text);
void global_acknowledged(struct worker *w);

#endif
