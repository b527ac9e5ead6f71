/* The run's state, and what its files ask of each other:
 *
 *   run.c              the event queue; what ends a session, or the run
 *   checks.c           whether all FLOWs have come to the end of a phase
 *   session_actions.c  the session table's actions; session_start.c: up to SYNC, session_end.c: restarts and ends
 *   worker_start.c     what a worker is told at its start
 *   worker_messages.c  what workers report; worker_restarts.c: their ends and restarts
 *   run_in_step.c      what the watches on source and target mean for the run
 *   draining.c         up to where everything is applied, at the end of a run or a session
 *   timers.c           the timers: ACKs, stuck FLOWs, due restarts, log lines of progress
 *
 * Nothing here blocks. Whatever a callback notices is posted as an event and acted on from the event
 * loop, with no callback of the thing that may have to be freed on the stack. */
#ifndef DF2REDIS_SUPERVISOR_RUN_RUN_H
#define DF2REDIS_SUPERVISOR_RUN_RUN_H

#include <event2/event.h>

#include "common/redis/capabilities.h"
#include "supervisor/flow/flow.h"
#include "supervisor/rules/flush_guard.h"
#include "supervisor/run/barrier.h"
#include "supervisor/run/drain.h"
#include "supervisor/run/throughput.h"
#include "supervisor/run/totals.h"
#include "supervisor/source/addresses.h"
#include "supervisor/source/session.h"
#include "supervisor/source/source.h"
#include "supervisor/source/source_watch.h"
#include "supervisor/state/divergences.h"
#include "supervisor/state/state_dir.h"
#include "supervisor/target/target.h"
#include "supervisor/target/target_watch.h"

enum {
    RUN_QUEUE = 64,
    RUN_DRAIN_LIMIT_MS = 30000, /* without progress, at the end of a run */
    RUN_STOP_LIMIT_MS = 5000,   /* for workers to end, then SIGKILL */
    RUN_FIRST_ATTEMPTS = 8,     /* at a first session, before the run fails */
};

struct control;
struct operation;
struct options;
struct run;

/* Calls to the folders above, supervisor/observe and supervisor/service; supervisor.c fills them in. */
struct run_observer {
    void (*tick)(struct run *run, uint64_t now_ms); /* at the end of each slow turn of timers.c */
    bool (*shows_progress)(void);                   /* on a terminal: no log lines of progress */
    void (*summarize)(struct run *run);             /* the run has come to its end */
};

struct run {
    struct options *options;         /* what a reload reads and changes */
    const struct settings *settings; /* of it */
    struct event_base *base;
    struct state_dir dir;
    struct divergences divergences;
    struct control *control;
    struct operation *operation;
    struct run_observer observer;
    char *worker_path;
    char source_name[256], target_name[256]; /* the source's: of the address at hand */
    char source_list[1024];                  /* all of its addresses */
    struct addresses addresses;
    struct uri source_uri; /* at hand: of the session that is, or is tried */
    bool next_address;     /* it was no use, and another one is tried at once */
    char client_id[41];

    struct session session;
    enum session_event queue[RUN_QUEUE];
    size_t queued;
    struct event *pump;
    struct event *signals[4];
    struct error cause;         /* why the link was lost, or the run failed */
    struct error broken_stream; /* a FLOW cannot be read; the source is being asked for its role */

    struct target_job *target_job;
    struct topology target_nodes; /* of a cluster: its masters, as last found */
    struct capabilities target;
    struct target_watch *target_watch; /* NULL: everything is thrown away */
    bool target_owned;                 /* it was empty at the start, or flushed by us: ours to flush again */
    struct target_memory target_memory;
    struct findings findings; /* until they are told */
    bool findings_told;
    bool refused; /* the target cannot be used: the source is still asked, for the sake of a whole answer */
    bool target_stray;     /* marks of this name, and nothing here tells of that run */
    char sync_reason[240]; /* why the session began as it did: with a full sync or without */
    bool target_written;   /* a full sync was begun: the next one meets its keys */
    struct {               /* those keys, as the record says it */
        enum run_copy state;
        uint64_t session;
        char master_id[41], source[1024];
    } copy;

    struct source *source;
    struct source_watch *source_watch; /* as long as a session */
    struct greeting greeting;
    struct flow_set snapshots_done;
    struct globals globals;
    struct flow_context flow_context;
    struct flow *flows;
    uint32_t flow_count;
    uint64_t session_id;
    uint32_t sessions;
    /* For asking PARTIAL in the next session: one per FLOW, NULL: none. */
    struct resume_point *resume;
    uint32_t resume_count;
    char resume_master_id[41];
    char beyond_master_id
        [41];     /* the promoted master that no longer has what would be compared (resume.c); or "" */
    bool *beyond; /* for each FLOW, of that master */
    uint64_t *beyond_lsns;   /* its next LSNs, after it had said so; NULL: not asked yet */
    char last_master_id[41]; /* whose journal goes on in that of the session's master; or "" */
    int64_t role_changes;    /* of the source when the copy, or its journal, began; -1: not told */
    bool greeted;            /* the source was reached once */
    bool streamed;           /* and has answered SYNC: from then on, retry for ever */
    bool stable_before;      /* the copy was complete once */
    bool spool_full_waits;   /* until the session is stable, to be ended then */
    uint32_t spool_full_flow;
    struct error spool_full_why;
    bool told_why;   /* the session is over, and the log has said why */
    bool spool_full; /* a session was ended for that, and none has been in step since */

    struct backoff backoff;
    struct event *retry;
    uint64_t retry_due_ms, stop_deadline_ms;
    struct event *tick;
    bool tick_fast;
    uint64_t slow_ms, health_ms, activity, activity_ms, report_ms;
    struct drain drain;
    bool in_step_told;
    uint64_t in_step_ms, behind_warned_ms; /* when it was last in step; 0: not yet */

    struct totals past; /* of the sessions before this one */
    struct throughput throughput;
    int64_t started_unix_ms;
    uint64_t started_ms, state_ms, session_ms;
    bool stop_requested, signalled, ending;
    int exit_code;
};

/* run.c */
void run_post(struct run *run, enum session_event event);
/* The session with the source is over: retried after event, or at the first start the run's end. */
void run_session_over(struct run *run, enum session_event event, const struct error *why);
void run_link_lost(struct run *run, const struct error *why); /* EVENT_LINK_LOST */
void run_fatal(struct run *run, const struct error *why);
void run_stop(struct run *run); /* as an operator asks for it */
void run_forget_events(struct run *run);

/* earlier_run.c */
/* True: goes on with what an earlier run left, an event was posted. False: a first start. */
bool run_continue_previous(struct run *run, const struct target_marks *marks);
void run_save_record(struct run *run, enum run_copy copy);
/* What the target holds now, to be judged by its guard. */
void run_flush_facts(struct run *run, uint64_t keys, const struct target_marks *marks,
                     struct flush_facts *out);

/* run_findings.c */
/* False: the target lacks something. Of the job that has just asked it. */
bool run_find_on_target(struct run *run, bool flush_due);
/* With a source that was greeted. False: it lacks something, or the target did: all was told, and the run fails. */
bool run_find_on_source(struct run *run);
/* At a run's end, if there was no time to; the exit code of what was told, or 0. */
int run_tell_findings(struct run *run);

/* checks.c */
/* FLOWs that were given up. */
uint32_t run_failed_flows(const struct run *run);
void run_check_snapshots(struct run *run); /* all complete: EVENT_SNAPSHOT_DONE */
void run_check_stable(struct run *run);    /* all but failed ones in the journal: EVENT_ALL_STABLE */

/* session_actions.c */
void run_perform(struct run *run, enum session_action action);

/* session_start.c */
void run_connect(struct run *run);
/* What DFLY FLOW is asked behind the FLOW's number (resume.c). */
void run_put_question(const struct run *run, const struct flow *f, struct buf *out);
void run_open_flows(struct run *run);
void run_check_flows_answered(struct run *run);
/* At a first start: is the target one that may be used, as it is now? ERROR_FATAL tells the ways out. */
bool run_may_begin(struct run *run, uint64_t keys, const struct target_marks *marks, struct error *error);
void run_prepare_target(struct run *run);
void run_begin_workers(struct run *run);

/* session_end.c */
bool run_workers_gone(const struct run *run);
void run_stop_workers(struct run *run);
void run_close_source(struct run *run);
void run_free_flows(struct run *run);
void run_restart(struct run *run, bool with_lsns);
void run_end(struct run *run);
void run_end_early(struct run *run);
void run_fail(struct run *run);

/* worker_start.c */
/* After base, worker_path and dir. */
void run_flow_context_init(struct run *run);

/* worker_messages.c */
void run_on_message(struct worker_process *w, struct message *m, void *flow);
void run_on_worker_log(struct slice lines, void *flow);
void run_reap(struct run *run); /* after SIGCHLD */
void run_restart_due(struct run *run, uint64_t now_ms);
void run_end_full_session(struct run *run); /* a spool is full */
/* A global command has reached every FLOW: the source is asked whether it is a master, then it is run. */
void run_confirm_globals(struct run *run);

/* timers.c */
bool run_watch_start(struct run *run);
void run_watch_stop(struct run *run);

/* run_in_step.c */
void run_watch_source(struct run *run);
/* goes_on: with an earlier run. */
void run_watch_target(struct run *run, bool goes_on);
/* *age_ms: how old the source's LSNs are that are applied. reason: why it is not in step. All may be NULL. */
bool run_in_step(struct run *run, uint64_t *age_ms, char *reason, size_t reason_bytes);
/* The next LSN of this FLOW's shard, as the source last told it; 0: not known. */
uint64_t run_source_lsn(const struct run *run, uint32_t flow);
void run_tell_in_step(struct run *run, uint64_t now_ms);

/* draining.c */
void run_drain(struct run *run);       /* up to the source's LSNs, then EVENT_DRAINED */
void run_settle(struct run *run);      /* what was received, then EVENT_SETTLED */
void run_drain_flow(struct flow *f);   /* a successor is told, too */
void run_source_told(struct run *run); /* the source's LSNs came */
void run_check_drained(struct run *run);
void run_drain_turn(struct run *run, uint64_t now_ms);
/* Everything this FLOW received, or was to receive, is applied and acknowledged: its marks are exact. */
bool run_flow_settled(const struct flow *f);
/* Drained up to the source's LSNs? What is lacking, or why that is not known. */
bool run_drained_all(struct run *run, char *lacking, size_t bytes);

#endif
