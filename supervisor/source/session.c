/* The session's state table, and the guard of the phase commands.
 *
 *   starting ─→ connecting ─→ handshake ─→ flows ─all FULL─→ preparing ─→ workers ─→ SYNC ─→ full-sync ─→ barrier
 *                    ↑                       ├─all PARTIAL─→ workers ──────────────→ STARTSTABLE ────────────┤
 *                    ↑                       ├─the same, v1.31 to v1.34─→ workers ─→ SYNC ─→ full-sync …
 *                 waiting ←── link lost ─────┴─a mix (then without LSNs)                                     ↓
 *                    ↑                                                                                    entering
 *                    └──────────── settling ←── link lost ── stable ←────────────────────────────────────────┘
 *                                     └──────→ draining ←───────┘
 *                                                 └→ stopped
 *
 * SYNC leaves only workers-full and workers-blobs; STARTSTABLE only full-sync and workers-partial. A master that refuses
 * a phase command is left, and the next session starts from nothing: the master's state is unknown. */
#include "supervisor/source/session.h"

#include <string.h>

#include "common/log/log.h"

/* Transitions of every state of a live session, for events that may come at any time. */
#define ANY_TIME                                                                                             \
    [EVENT_STOP] = {ACTION_END_EARLY, SESSION_STOPPED},                                                      \
    [EVENT_LINK_LOST] = {ACTION_RESTART, SESSION_WAITING},                                                   \
    [EVENT_RESYNC] = {ACTION_RESTART_FULL, SESSION_WAITING}, [EVENT_FATAL] = {ACTION_FAIL, SESSION_FAILED}

#define OVER(state)                                                                                          \
    [EVENT_PREVIOUS] = {ACTION_NONE, state}, [EVENT_TARGET_READY] = {ACTION_NONE, state},                    \
    [EVENT_CONNECTED] = {ACTION_NONE, state}, [EVENT_GREETED] = {ACTION_NONE, state},                        \
    [EVENT_FLOWS_FULL] = {ACTION_NONE, state}, [EVENT_FLOWS_PARTIAL] = {ACTION_NONE, state},                 \
    [EVENT_FLOWS_BLOBS] = {ACTION_NONE, state}, [EVENT_FLOWS_MIXED] = {ACTION_NONE, state},                  \
    [EVENT_FLOWS_AGAIN] = {ACTION_NONE, state}, [EVENT_WORKERS_READY] = {ACTION_NONE, state},                \
    [EVENT_PHASE_OK] = {ACTION_NONE, state}, [EVENT_PHASE_REFUSED] = {ACTION_NONE, state},                   \
    [EVENT_SNAPSHOT_DONE] = {ACTION_NONE, state}, [EVENT_ALL_STABLE] = {ACTION_NONE, state},                 \
    [EVENT_COMPLETE] = {ACTION_NONE, state}, [EVENT_STOP] = {ACTION_NONE, state},                            \
    [EVENT_DRAINED] = {ACTION_NONE, state}, [EVENT_LINK_LOST] = {ACTION_NONE, state},                        \
    [EVENT_SETTLED] = {ACTION_NONE, state}, [EVENT_RESYNC] = {ACTION_NONE, state},                           \
    [EVENT_RETRY] = {ACTION_NONE, state}, [EVENT_FATAL] = {ACTION_NONE, state}

static const struct session_transition table[SESSION_STATES][SESSION_EVENTS] = {
    [SESSION_STARTING] = {ANY_TIME, [EVENT_TARGET_READY] = {ACTION_CONNECT, SESSION_CONNECTING},
                          [EVENT_PREVIOUS] = {ACTION_SETTLE_PREVIOUS, SESSION_SETTLING}},
    [SESSION_CONNECTING] = {ANY_TIME, [EVENT_CONNECTED] = {ACTION_GREET, SESSION_HANDSHAKE}},
    [SESSION_HANDSHAKE] = {ANY_TIME, [EVENT_GREETED] = {ACTION_OPEN_FLOWS, SESSION_FLOWS}},
    [SESSION_FLOWS] = {ANY_TIME, [EVENT_FLOWS_FULL] = {ACTION_PREPARE_TARGET, SESSION_PREPARING},
                       [EVENT_FLOWS_PARTIAL] = {ACTION_START_WORKERS, SESSION_WORKERS_PARTIAL},
                       [EVENT_FLOWS_BLOBS] = {ACTION_START_WORKERS, SESSION_WORKERS_BLOBS},
                       [EVENT_FLOWS_MIXED] = {ACTION_RESTART_FULL, SESSION_WAITING},
                       [EVENT_FLOWS_AGAIN] = {ACTION_RESTART, SESSION_WAITING}},
    [SESSION_PREPARING] = {ANY_TIME, [EVENT_TARGET_READY] = {ACTION_START_WORKERS, SESSION_WORKERS_FULL}},
    [SESSION_WORKERS_FULL] = {ANY_TIME, [EVENT_WORKERS_READY] = {ACTION_SEND_SYNC, SESSION_SYNC_SENT}},
    [SESSION_WORKERS_BLOBS] = {ANY_TIME, [EVENT_WORKERS_READY] = {ACTION_SEND_SYNC, SESSION_SYNC_SENT}},
    [SESSION_WORKERS_PARTIAL] = {ANY_TIME, [EVENT_WORKERS_READY] = {ACTION_SEND_STARTSTABLE,
                                                                    SESSION_PARTIAL_SENT}},
    [SESSION_SYNC_SENT] = {ANY_TIME, [EVENT_PHASE_OK] = {ACTION_NONE, SESSION_FULL_SYNC},
                           [EVENT_PHASE_REFUSED] = {ACTION_RESTART_FULL, SESSION_WAITING}},
    [SESSION_FULL_SYNC] = {ANY_TIME, [EVENT_SNAPSHOT_DONE] = {ACTION_SEND_STARTSTABLE, SESSION_BARRIER}},
    [SESSION_BARRIER] = {ANY_TIME, [EVENT_PHASE_OK] = {ACTION_ENTER_STABLE, SESSION_ENTERING},
                         [EVENT_PHASE_REFUSED] = {ACTION_RESTART_FULL, SESSION_WAITING}},
    [SESSION_PARTIAL_SENT] = {ANY_TIME, [EVENT_PHASE_OK] = {ACTION_ENTER_STABLE, SESSION_ENTERING},
                              [EVENT_PHASE_REFUSED] = {ACTION_RESTART_FULL, SESSION_WAITING}},
    [SESSION_ENTERING] = {ANY_TIME, [EVENT_ALL_STABLE] = {ACTION_ANNOUNCE_STABLE, SESSION_STABLE}},
    [SESSION_STABLE] = {[EVENT_COMPLETE] = {ACTION_DRAIN, SESSION_DRAINING},
                        [EVENT_STOP] = {ACTION_DRAIN, SESSION_DRAINING},
                        [EVENT_LINK_LOST] = {ACTION_SETTLE, SESSION_SETTLING},
                        [EVENT_RESYNC] = {ACTION_RESTART_FULL, SESSION_WAITING},
                        [EVENT_FATAL] = {ACTION_FAIL, SESSION_FAILED}},
    [SESSION_SETTLING] = {[EVENT_SETTLED] = {ACTION_RESTART, SESSION_WAITING},
                          [EVENT_STOP] = {ACTION_DRAIN, SESSION_DRAINING},
                          [EVENT_COMPLETE] = {ACTION_DRAIN, SESSION_DRAINING},
                          [EVENT_LINK_LOST] = {ACTION_NONE, SESSION_SETTLING},
                          [EVENT_RESYNC] = {ACTION_RESTART_FULL, SESSION_WAITING},
                          [EVENT_FATAL] = {ACTION_FAIL, SESSION_FAILED}},
    /* Everything needed was received: a broken link changes nothing. */
    [SESSION_DRAINING] = {[EVENT_DRAINED] = {ACTION_END, SESSION_STOPPED},
                          [EVENT_COMPLETE] = {ACTION_NONE, SESSION_DRAINING},
                          [EVENT_STOP] = {ACTION_NONE, SESSION_DRAINING},
                          [EVENT_LINK_LOST] = {ACTION_NONE, SESSION_DRAINING},
                          [EVENT_SETTLED] = {ACTION_NONE, SESSION_DRAINING},
                          [EVENT_RESYNC] = {ACTION_FAIL, SESSION_FAILED},
                          [EVENT_FATAL] = {ACTION_FAIL, SESSION_FAILED}},
    [SESSION_WAITING] = {[EVENT_RETRY] = {ACTION_CONNECT, SESSION_CONNECTING},
                         [EVENT_STOP] = {ACTION_END_EARLY, SESSION_STOPPED},
                         [EVENT_LINK_LOST] = {ACTION_NONE, SESSION_WAITING},
                         [EVENT_RESYNC] = {ACTION_NONE, SESSION_WAITING},
                         [EVENT_FATAL] = {ACTION_FAIL, SESSION_FAILED}},
    [SESSION_STOPPED] = {OVER(SESSION_STOPPED)},
    [SESSION_FAILED] = {OVER(SESSION_FAILED)},
};

/* The state's name in the log, and its phase in status and manual. */
static const struct {
    const char *name, *phase;
} state_names[SESSION_STATES] = {
    [SESSION_STARTING] = {"starting", "connecting"},
    [SESSION_CONNECTING] = {"connecting", "connecting"},
    [SESSION_HANDSHAKE] = {"handshake", "handshake"},
    [SESSION_FLOWS] = {"flows", "flows"},
    [SESSION_PREPARING] = {"preparing", "flows"},
    [SESSION_WORKERS_FULL] = {"workers-full", "flows"},
    [SESSION_WORKERS_PARTIAL] = {"workers-partial", "flows"},
    [SESSION_WORKERS_BLOBS] = {"workers-blobs", "flows"},
    [SESSION_SYNC_SENT] = {"sync-sent", "full-sync"},
    [SESSION_FULL_SYNC] = {"full-sync", "full-sync"},
    [SESSION_BARRIER] = {"barrier", "barrier"},
    [SESSION_PARTIAL_SENT] = {"partial-sent", "barrier"},
    [SESSION_ENTERING] = {"entering", "barrier"},
    [SESSION_STABLE] = {"stable", "stable"},
    [SESSION_DRAINING] = {"draining", "draining"},
    [SESSION_SETTLING] = {"settling", "connecting"},
    [SESSION_WAITING] = {"waiting", "connecting"},
    [SESSION_STOPPED] = {"stopped", "stopped"},
    [SESSION_FAILED] = {"failed", "failed"},
};

static const char *const event_names[SESSION_EVENTS] = {
    [EVENT_TARGET_READY] = "target-ready",
    [EVENT_PREVIOUS] = "previous",
    [EVENT_CONNECTED] = "connected",
    [EVENT_GREETED] = "greeted",
    [EVENT_FLOWS_FULL] = "flows-full",
    [EVENT_FLOWS_PARTIAL] = "flows-partial",
    [EVENT_FLOWS_BLOBS] = "flows-blobs",
    [EVENT_FLOWS_MIXED] = "flows-mixed",
    [EVENT_FLOWS_AGAIN] = "flows-again",
    [EVENT_WORKERS_READY] = "workers-ready",
    [EVENT_PHASE_OK] = "phase-ok",
    [EVENT_PHASE_REFUSED] = "phase-refused",
    [EVENT_SNAPSHOT_DONE] = "snapshot-done",
    [EVENT_ALL_STABLE] = "all-stable",
    [EVENT_COMPLETE] = "complete",
    [EVENT_STOP] = "stop",
    [EVENT_DRAINED] = "drained",
    [EVENT_LINK_LOST] = "link-lost",
    [EVENT_SETTLED] = "settled",
    [EVENT_RESYNC] = "resync",
    [EVENT_RETRY] = "retry",
    [EVENT_FATAL] = "fatal",
};

static const char *const action_names[SESSION_ACTIONS] = {
    [ACTION_FORBIDDEN] = "forbidden",
    [ACTION_NONE] = "none",
    [ACTION_CONNECT] = "connect",
    [ACTION_GREET] = "greet",
    [ACTION_OPEN_FLOWS] = "open-flows",
    [ACTION_PREPARE_TARGET] = "prepare-target",
    [ACTION_START_WORKERS] = "start-workers",
    [ACTION_SEND_SYNC] = "send-sync",
    [ACTION_SEND_STARTSTABLE] = "send-startstable",
    [ACTION_ENTER_STABLE] = "enter-stable",
    [ACTION_ANNOUNCE_STABLE] = "announce-stable",
    [ACTION_DRAIN] = "drain",
    [ACTION_SETTLE] = "settle",
    [ACTION_SETTLE_PREVIOUS] = "settle-previous",
    [ACTION_RESTART] = "restart",
    [ACTION_RESTART_FULL] = "restart-full",
    [ACTION_END] = "end",
    [ACTION_END_EARLY] = "end-early",
    [ACTION_FAIL] = "fail",
};

const char *session_state_name(enum session_state state)
{
    return (unsigned)state < SESSION_STATES ? state_names[state].name : "unknown";
}

const char *session_phase_name(enum session_state state)
{
    return (unsigned)state < SESSION_STATES ? state_names[state].phase : "unknown";
}

const char *session_event_name(enum session_event event)
{
    return (unsigned)event < SESSION_EVENTS ? event_names[event] : "unknown";
}

const char *session_action_name(enum session_action action)
{
    return (unsigned)action < SESSION_ACTIONS ? action_names[action] : "unknown";
}

void session_init(struct session *s)
{
    *s = (struct session){.state = SESSION_STARTING};
}

struct session_transition session_transition(enum session_state state, enum session_event event)
{
    struct session_transition t = table[state][event];
    if (t.action == ACTION_FORBIDDEN)
        t.next = SESSION_FAILED;
    return t;
}

enum session_action session_step(struct session *s, enum session_event event)
{
    struct session_transition t = session_transition(s->state, event);
    log_debug("session: %s × %s → %s, %s", session_state_name(s->state), session_event_name(event),
              session_action_name(t.action), session_state_name(t.next));
    if (s->state == SESSION_SYNC_SENT && event == EVENT_PHASE_OK && s->sync_sent)
        s->sync_answered = true;
    s->state = t.next;
    s->permit = t.action == ACTION_SEND_SYNC          ? PHASE_SYNC
                : t.action == ACTION_SEND_STARTSTABLE ? PHASE_STARTSTABLE
                                                      : PHASE_NONE;
    return t.action;
}

bool session_take_permit(struct session *s, enum phase_command command)
{
    enum phase_command permit = s->permit;
    s->permit = PHASE_NONE;
    if (command == PHASE_NONE || permit != command || s->flow_count == 0)
        return false;
    bool all_full = s->full == s->flow_count && s->partial == 0;
    bool all_partial = s->partial == s->flow_count && s->full == 0;
    bool wants_sync = all_full || (all_partial && s->sync_after_partial);
    switch (command) {
    case PHASE_SYNC:
        if (s->state != SESSION_SYNC_SENT || !wants_sync || s->sync_sent)
            return false;
        s->sync_sent = true;
        return true;
    case PHASE_STARTSTABLE:
        if (s->state == SESSION_PARTIAL_SENT)
            return all_partial && !s->sync_after_partial && !s->sync_sent;
        return s->state == SESSION_BARRIER && wants_sync && s->sync_answered &&
               s->snapshots_done == s->flow_count;
    case PHASE_NONE:
        break;
    }
    return false;
}

void session_flows_asked(struct session *s, uint32_t flow_count)
{
    s->permit = PHASE_NONE;
    s->flow_count = flow_count;
    s->full = s->partial = s->snapshots_done = 0;
    s->sync_sent = s->sync_answered = s->sync_after_partial = false;
}

void session_sync_after_partial(struct session *s, bool wanted)
{
    s->sync_after_partial = wanted;
}

void session_flow_answered(struct session *s, bool full)
{
    if (full)
        s->full++;
    else
        s->partial++;
}

void session_snapshot_done(struct session *s)
{
    s->snapshots_done++;
}
