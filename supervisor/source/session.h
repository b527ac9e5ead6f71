/* The session with the source as a state machine: one table of state × event → action, next state.
 *
 * Pure: no sockets, no time. It also guards the two phase commands, since a wrong one crashes a real
 * master: DFLY SYNC and DFLY STARTSTABLE are sent only with a permit, which a transition grants and
 * session_take_permit() hands out once, after it has checked the facts again.
 *
 * Invariants (common/log/invariant.h), numbered as in df2redis-design(7); supervisor/run asserts them:
 *
 *   1.1  STARTSTABLE is sent only after the snapshot of every FLOW is complete, or every FLOW was granted PARTIAL.
 *   1.2  No worker begins with a FLOW that is PARTIAL and was not asked for so.
 *   2.1  The target is flushed only as flush_guard() says, and before SYNC is sent.
 *   2.2  A flush of the source is run only while every FLOW that has not failed is held at it. */
#ifndef DF2REDIS_SUPERVISOR_SOURCE_SESSION_H
#define DF2REDIS_SUPERVISOR_SOURCE_SESSION_H

#include <stdbool.h>
#include <stdint.h>

enum session_state {
    SESSION_STARTING,        /* the target is being probed */
    SESSION_CONNECTING,      /* control connection to the source */
    SESSION_HANDSHAKE,       /* greeting on it */
    SESSION_FLOWS,           /* DFLY FLOW for each */
    SESSION_PREPARING,       /* all FULL: the target is flushed where that was decided */
    SESSION_WORKERS_FULL,    /* workers start, a snapshot will follow */
    SESSION_WORKERS_PARTIAL, /* workers start, the journal will follow */
    SESSION_WORKERS_BLOBS,   /* workers start, the journal will follow after SYNC, as from a snapshot */
    SESSION_SYNC_SENT,       /* DFLY SYNC sent */
    SESSION_FULL_SYNC,       /* it was answered +OK; snapshots flow */
    SESSION_BARRIER,         /* every snapshot is complete, DFLY STARTSTABLE sent */
    SESSION_PARTIAL_SENT,    /* all PARTIAL, DFLY STARTSTABLE sent */
    SESSION_ENTERING,        /* it was answered +OK; FLOWs enter stable sync */
    SESSION_STABLE,
    SESSION_DRAINING, /* received data is applied before the run ends */
    SESSION_SETTLING, /* the link broke: received data is applied, and the next session asks for the rest by
                         LSN */
    SESSION_WAITING,  /* backoff */
    SESSION_STOPPED,
    SESSION_FAILED,
    SESSION_STATES
};

enum session_event {
    EVENT_TARGET_READY, /* probed, or flushed */
    EVENT_PREVIOUS,     /* an earlier run's copy: workers apply the contents of its spools */
    EVENT_CONNECTED,
    EVENT_GREETED,
    EVENT_FLOWS_FULL,
    EVENT_FLOWS_PARTIAL,
    EVENT_FLOWS_BLOBS, /* all PARTIAL, from a master that expects SYNC next */
    EVENT_FLOWS_MIXED, /* FULL and PARTIAL, or neither */
    EVENT_FLOWS_AGAIN, /* the next session asks for other LSNs */
    EVENT_WORKERS_READY,
    EVENT_PHASE_OK, /* +OK to SYNC or STARTSTABLE */
    EVENT_PHASE_REFUSED,
    EVENT_SNAPSHOT_DONE, /* of every FLOW */
    EVENT_ALL_STABLE,
    EVENT_COMPLETE, /* migrate: the copy is complete */
    EVENT_STOP,     /* requested by an operator */
    EVENT_DRAINED,  /* of every FLOW */
    EVENT_LINK_LOST,
    EVENT_SETTLED,
    EVENT_RESYNC, /* a full sync is needed */
    EVENT_RETRY,
    EVENT_FATAL,
    SESSION_EVENTS
};

enum session_action {
    ACTION_FORBIDDEN, /* impossible transition: the run ends */
    ACTION_NONE,
    ACTION_CONNECT,
    ACTION_GREET,
    ACTION_OPEN_FLOWS,
    ACTION_PREPARE_TARGET,
    ACTION_START_WORKERS,
    ACTION_SEND_SYNC,
    ACTION_SEND_STARTSTABLE,
    ACTION_ENTER_STABLE,
    ACTION_ANNOUNCE_STABLE,
    ACTION_DRAIN,
    ACTION_SETTLE,
    ACTION_SETTLE_PREVIOUS,
    ACTION_RESTART,      /* close everything, wait, start over */
    ACTION_RESTART_FULL, /* the same, and ask for FULL on every FLOW */
    ACTION_END,
    ACTION_END_EARLY, /* stopped before the copy was complete */
    ACTION_FAIL,
    SESSION_ACTIONS
};

enum phase_command { PHASE_NONE, PHASE_SYNC, PHASE_STARTSTABLE };

struct session_transition {
    enum session_action action;
    enum session_state next;
};

struct session {
    enum session_state state;
    enum phase_command permit;
    /* Answers of the master since ACTION_OPEN_FLOWS. */
    uint32_t flow_count, full, partial, snapshots_done;
    bool sync_sent, sync_answered;
    bool sync_after_partial; /* expected by releases 1.31 to 1.34 */
};

void session_init(struct session *s);
struct session_transition session_transition(enum session_state state, enum session_event event);
/* Makes the transition. Returns the action, which the caller performs. */
enum session_action session_step(struct session *s, enum session_event event);
/* Returns true once per permit; false: the command must not be sent. */
bool session_take_permit(struct session *s, enum phase_command command);

/* Facts for the guard. */
void session_flows_asked(struct session *s, uint32_t flow_count);
void session_sync_after_partial(struct session *s, bool wanted); /* after session_flows_asked */
void session_flow_answered(struct session *s, bool full);
void session_snapshot_done(struct session *s);

const char *session_state_name(enum session_state state);
/* Returns the name in status and manual: several states are one phase to an operator. */
const char *session_phase_name(enum session_state state);
const char *session_event_name(enum session_event event);
const char *session_action_name(enum session_action action);

#endif
