/* One run: its state, and the functions that its files offer each other.
 *
 * The main calls, from caller to callee; nothing calls upward:
 *
 *   supervisor.c ──→ session_actions.c   the session table's actions
 *      │                ├─→ session_start.c    from the connection to SYNC: FLOWs, target, workers
 *      │                │      └─→ resume.c, run_findings.c, run_in_step.c
 *      │                └─→ session_end.c      restart of the session; end of the run
 *      ├─→ worker_restarts.c   ends of workers: restarts, failed FLOWs
 *      ├─→ comparison.c      the comparison of all keys, by a worker of its own
 *      ├─→ worker_start.c      the message START; struct flow_context
 *      │      └─→ worker_messages.c   messages of workers
 *      └─→ timers.c            ACKs, stuck FLOWs, due restarts, log lines of progress
 *
 *   below them: draining.c      applies all that is due, at the end of a run or a session
 *               earlier_run.c   run.json; resumes an earlier run
 *               other_history.c masters whose history is not the copy's
 *               checks.c        conditions over all FLOWs
 *               target_clock.c  a target's clock that is set
 *               barrier.c, totals.c, throughput.c
 *               run.c           event queue; the end of a session or a run
 *
 * Nothing here blocks. Callbacks only post events: supervisor.c takes them from the queue and acts on them in the
 * event loop, where nothing that is freed is still on the stack. */
#ifndef DF2REDIS_SUPERVISOR_RUN_RUN_H
#define DF2REDIS_SUPERVISOR_RUN_RUN_H

#include <event2/event.h>

#include "common/redis/capabilities.h"
#include "supervisor/flow/flow.h"
#include "supervisor/rules/flush_guard.h"
#include "supervisor/run/barrier.h"
#include "supervisor/run/comparison.h"
#include "supervisor/run/drain.h"
#include "supervisor/run/throughput.h"
#include "supervisor/run/totals.h"
#include "supervisor/source/addresses.h"
#include "supervisor/source/session.h"
#include "supervisor/source/source.h"
#include "supervisor/source/source_watch.h"
#include "supervisor/state/divergences.h"
#include "supervisor/state/run_record.h"
#include "supervisor/target/target.h"
#include "supervisor/target/target_watch.h"

enum {
    RUN_QUEUE = 64,
    RUN_DRAIN_LIMIT_MS = 30000, /* longest pause in progress at the end of a run */
    RUN_STOP_LIMIT_MS = 5000,   /* until workers that were told to stop get SIGKILL */
    RUN_WRONG_CLOCK_MS = 1000,  /* from here on a target's clock that was set is warned of, and waited for */
    RUN_FIRST_ATTEMPTS = 8,     /* attempts at the first session; then the run fails */
};

struct control;
struct cutover;
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
    struct options *options;         /* read and changed by a reload */
    const struct settings *settings; /* of it */
    struct event_base *base;
    struct state_dir dir;
    struct divergences divergences;
    struct control *control;
    struct operation *operation;
    struct cutover *cutover;
    struct run_observer observer;
    char *worker_path;
    char source_name[256], target_name[256]; /* the source's: of the current address */
    char source_list[1024];                  /* all of its addresses */
    struct addresses addresses;
    struct uri source_uri; /* the current address: of this session, or of the attempt */
    bool next_address;     /* the current address failed: the next one is tried at once */
    struct {          /* a master among several addresses whose history is not the copy's (other_history.c) */
        bool greeted; /* … is the one of this session, and is not accepted yet */
        bool asked_again;        /* the next session asks it again */
        char last_master_id[41]; /* as it was before that session */
        uint64_t
            since_ms; /* the first one was passed over, and none with the copy's history has answered since; 0: none */
        bool all_asked; /* every address was asked since */
    } other;
    char client_id[41];

    struct session session;
    enum session_event queue[RUN_QUEUE];
    size_t queued;
    struct event *pump;
    struct event *signals[4];
    struct error cause;         /* why the link was lost, or the run failed */
    struct error broken_stream; /* a FLOW cannot be decoded; the source's role is being asked */

    struct target_job *target_job;
    struct topology target_nodes; /* the cluster's masters, as last found */
    struct capabilities target;
    struct target_watch *target_watch; /* NULL: null sink */
    struct {
        bool told, anew;  /* told: to the workers */
        bool was_set;     /* since the run was started */
        int64_t ahead_ms; /* the target's clock, of ours */
        char doubt[160];  /* why all keys are to be compared in the next session; "": no reason */
    } clock;
    bool target_owned; /* it was empty at the start, or flushed by a run: it may be flushed again */
    struct target_memory target_memory;
    struct findings findings; /* not yet reported */
    bool findings_told;
    bool
        refused; /* the target cannot be used; the source is still probed, so that all findings are reported */
    bool target_stray; /* the target has marks of this name, perhaps, but there is no record of that run */
    bool target_done;  /* it has a complete copy by this run, by the record, and the run cannot resume it */
    char sync_reason[240]; /* reason for a full sync, or for none */
    bool target_written;   /* a full sync has begun: the next one meets its keys */
    bool copies_anew;      /* this session's full sync finds the target empty, or flushes it */
    struct {               /* those keys, from the record */
        enum run_copy state;
        bool kept; /* written over by a later full sync, not flushed, and not pruned since */
        uint64_t session;
        char master_id[41], source[1024];
    } copy;

    struct source *source;
    struct comparison comparison;
    struct source_watch *source_watch; /* lives as long as the session */
    struct greeting greeting;
    struct flow_set snapshots_done;
    struct globals globals;
    struct flow_context flow_context;
    struct flow *flows;
    uint32_t flow_count;
    uint64_t session_id;
    uint32_t sessions;
    /* Where the next session resumes the journal, per FLOW; NULL: nowhere. */
    struct resume_point *resume;
    bool resume_by_marks; /* the target may have more than that: entries that carried no mark */
    uint32_t resume_count;
    char resume_master_id[41];
    char beyond_master_id
        [41];     /* the promoted master that no longer has what would be compared (resume.c); or "" */
    bool *beyond; /* for each FLOW, of that master */
    uint64_t *beyond_lsns;    /* its next LSNs, asked after that; NULL: not asked yet */
    uint64_t beyond_until_ms; /* the end of the wait for a write to each of them */
    char last_master_id[41];  /* master that this session's master was promoted from; or "" */
    int64_t role_changes;     /* of the source at the start of the copy, or of its journal; -1: unknown */
    bool greeted;             /* the source has answered once */
    bool streamed;            /* the source has answered SYNC once: from then on the run retries for ever */
    bool stable_before;       /* the copy was complete once */
    bool spool_full_waits;    /* the session ends for a full spool as soon as it is stable */
    uint32_t spool_full_flow;
    struct error spool_full_why;
    bool told_why;   /* the log has the reason for the session's end */
    bool spool_full; /* a session ended for a full spool, and none was in step since */

    struct backoff backoff;
    struct event *retry;
    uint64_t retry_due_ms, stop_deadline_ms;
    struct event *tick;
    bool tick_fast;
    uint64_t slow_ms, health_ms, activity, activity_ms, report_ms;
    struct drain drain;
    uint64_t
        *final_lsns; /* per FLOW: the source's last ones, told by a cut-over; NULL: it is asked for them */
    bool in_step_told;
    uint64_t in_step_ms, behind_warned_ms; /* when the run was last in step; 0: not yet */

    struct totals past; /* sums over the earlier sessions */
    struct throughput throughput;
    int64_t started_unix_ms;
    uint64_t started_ms, state_ms, session_ms;
    bool stop_requested, signalled, ending;
    int exit_code;
};

/* run.c */
void run_post(struct run *run, enum session_event event);
/* Ends the session with the source by `event`; a first start that failed ends the run instead. */
void run_session_over(struct run *run, enum session_event event, const struct error *why);
void run_link_lost(struct run *run, const struct error *why); /* EVENT_LINK_LOST */
void run_fatal(struct run *run, const struct error *why);
/* A worker says that only a full sync helps. After run_fatal it says nothing new. */
void run_resync(struct run *run, const struct error *why);
void run_stop(struct run *run);          /* requested by an operator */
void run_forget_events(struct run *run); /* all but EVENT_STOP and EVENT_FATAL */

/* earlier_run.c */
/* Returns true if the run resumes an earlier one; an event was posted. False: a first start. */
bool run_resume_earlier(struct run *run, const struct target_marks *marks);
void run_save_record(struct run *run, enum run_copy copy);
/* Gathers the facts about the target's keys for flush_guard(). */
void run_flush_facts(struct run *run, uint64_t keys, const struct target_marks *marks,
                     struct flush_facts *out);

/* run_findings.c */
/* Adds the findings of the target's probe. Returns false if one of them is an error. */
bool run_find_on_target(struct run *run, bool flush_due);
/* Adds the findings of the greeted source. even_if_refused: source_facts.h. */
void run_judge_source(struct run *run, bool even_if_refused);
/* The same, and reports all. Returns false if one is an error; the run fails. */
bool run_find_on_source(struct run *run);
/* Reports the findings that are left at the end of a run. Returns their exit code, or 0. */
int run_tell_findings(struct run *run);

/* checks.c */
/* Returns the number of FLOWs given up. */
uint32_t run_failed_flows(const struct run *run);
void run_check_snapshots(struct run *run); /* all complete: EVENT_SNAPSHOT_DONE */
void run_check_stable(struct run *run);    /* all but failed ones in the journal: EVENT_ALL_STABLE */

/* other_history.c */
/* A master answered: accepts the address, or leaves that to the answers of its FLOWs. */
void run_meet_master(struct run *run);
/* Its journal, or its full sync, will be followed. */
void run_accept_master(struct run *run);
/* Returns true if a full sync from it has to wait, as another address may have the copy's history. *error: why. */
bool run_pass_over(struct run *run, struct error *error);
/* Goes to the next address if the last session's master was passed over, or its link was lost before it was accepted. */
void run_leave_other_master(struct run *run);
/* The round over the addresses has ended without a master. */
void run_round_ended(struct run *run);

/* session_actions.c */
void run_perform(struct run *run, enum session_action action);

/* session_start.c */
void run_connect(struct run *run);
/* Appends the words of DFLY FLOW after the FLOW's number (resume.c). */
void run_put_question(const struct run *run, const struct flow *f, struct buf *out);
void run_open_flows(struct run *run);
void run_check_flows_answered(struct run *run);
/* At a first start: returns false and sets *error, with the ways out, if the target must not be used as it is. */
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
void run_end_full_session(struct run *run); /* ends the session for a full spool */
/* A global command has reached every FLOW: asks the source for its role, and runs the command if it is a master. */
void run_confirm_globals(struct run *run);

/* worker_restarts.c */
void run_reap(struct run *run); /* after SIGCHLD */
void run_restart_due(struct run *run, uint64_t now_ms);

/* timers.c */
bool run_watch_start(struct run *run);
void run_watch_stop(struct run *run);

/* run_in_step.c */
void run_watch_source(struct run *run);
/* goes_on: the run resumes an earlier one. */
void run_watch_target(struct run *run, bool goes_on);
/* The copy goes on: a release that marked no databases may have made it. */
void run_expect_databases(struct run *run);
/* Returns true if the target is in step. *age_ms: age of the source's LSNs that are applied. reason: why not in
 * step. All may be NULL. */
bool run_in_step(struct run *run, uint64_t *age_ms, char *reason, size_t reason_bytes);
/* The same with these LSNs of the source, one per FLOW. */
bool run_in_step_with(struct run *run, const uint64_t *lsns, char *reason, size_t reason_bytes);
/* Returns the source's next LSN of this FLOW's shard; 0: unknown. */
uint64_t run_source_lsn(const struct run *run, uint32_t flow);
void run_tell_in_step(struct run *run, uint64_t now_ms);

/* target_clock.c */
/* Of target_watch.h's callbacks. */
void run_on_clock_set(const char *node, int64_t by_ms, int64_t ahead_ms, void *run);
void run_on_import_mode(const char *node, bool on, void *run);
void run_tell_clock(struct run *run); /* to the workers, if it has changed */
/* Stable: a comparison of all keys becomes due if one was needed between two sessions. */
void run_doubt_times(struct run *run);

/* draining.c */
void run_drain(struct run *run);       /* applies up to the source's LSNs, then EVENT_DRAINED */
void run_settle(struct run *run);      /* applies received data, then EVENT_SETTLED */
void run_drain_flow(struct flow *f);   /* sends DRAIN to this worker, too */
void run_source_told(struct run *run); /* new LSNs of the source have come */
void run_check_drained(struct run *run);
void run_drain_turn(struct run *run, uint64_t now_ms);
/* Returns true if all that this FLOW received, or had to receive, is applied: its cursor is exact. */
bool run_flow_settled(const struct flow *f);
/* Returns true if all is applied up to the source's LSNs. lacking: what is missing, or why that is unknown. */
bool run_drained_all(struct run *run, char *lacking, size_t bytes);

#endif
