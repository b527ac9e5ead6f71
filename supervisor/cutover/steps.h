/* The cut-over as a state machine: one table of state × event → action, next state. Pure: no sockets, no time.
 *
 *                                                                         then: stop, reverse
 *   none ─→ checking ─→ pausing ─→ asking ─→ applying ⇄ confirming ─→ switching ─┬─→ closing ─────→ ending ─┬─→ done
 *     ↑        │           │         │          │           │             │      │                    ↑      │     ↑
 *     ↑        │           └─────────┴─ undoing ┴───────────┴─────────────┘      └─→ taking-over ─────┘      └─→ reversing
 *     └────────┴───────────────────────────┘                                      then: takeover
 *     └──────────────────────────────────────────── the source refuses ──────────────────┘
 *
 * checking changes nothing. From pausing until switching is over the source holds back writes, for a limited time that
 * it keeps itself: any trouble there leads to undoing, which lets the source take writes again. Once the clients are
 * switched nothing is undone: what fails then is told, with what is left to do. */
#ifndef DF2REDIS_SUPERVISOR_CUTOVER_STEPS_H
#define DF2REDIS_SUPERVISOR_CUTOVER_STEPS_H

#include <stdbool.h>

enum cutover_state {
    CUTOVER_NONE,        /* none is under way */
    CUTOVER_CHECKING,    /* conditions and rights */
    CUTOVER_PAUSING,     /* CLIENT PAUSE is sent */
    CUTOVER_ASKING,      /* writes are paused; the source is asked for its LSNs */
    CUTOVER_APPLYING,    /* until every FLOW has applied them, and no suspect is left */
    CUTOVER_CONFIRMING,  /* the LSNs are asked for once more */
    CUTOVER_SWITCHING,   /* COMMAND runs */
    CUTOVER_CLOSING,     /* the LSNs, for the last time; stop: clients that wait there are disconnected */
    CUTOVER_TAKING_OVER, /* DFLY TAKEOVER is sent */
    CUTOVER_ENDING,      /* the run applies what is left and ends */
    CUTOVER_REVERSING,   /* REPLICAOF is sent to the source */
    CUTOVER_UNDOING,     /* CLIENT UNPAUSE is sent */
    CUTOVER_DONE,
    CUTOVER_STATES
};

enum cutover_event {
    CUTOVER_ORDERED,
    CUTOVER_READY,     /* all conditions hold */
    CUTOVER_READY_DRY, /* the same, and nothing else was asked for */
    CUTOVER_PAUSED,
    CUTOVER_LSNS,
    CUTOVER_APPLIED,
    CUTOVER_UNCHANGED, /* the LSNs are those that are applied: nothing was written since */
    CUTOVER_CHANGED,
    CUTOVER_SWITCHED, /* COMMAND has ended well, or there is none; then: stop or reverse */
    CUTOVER_SWITCHED_TAKEOVER,
    CUTOVER_CLOSED,
    CUTOVER_TAKEN,
    CUTOVER_ENDED, /* the run has, all is applied; then: stop or takeover */
    CUTOVER_ENDED_REVERSE,
    CUTOVER_ENDED_EARLY, /* … and not all is known to be applied */
    CUTOVER_REVERSED,
    CUTOVER_UNPAUSED,
    CUTOVER_REFUSED, /* by a condition, the source, or COMMAND */
    CUTOVER_TROUBLE, /* a deadline, a lost connection, the command line is gone, the run has left stable sync */
    CUTOVER_EVENTS
};

enum cutover_action {
    CUTOVER_IGNORE, /* the state stays */
    CUTOVER_CHECK,
    CUTOVER_TELL_READY,
    CUTOVER_PAUSE,
    CUTOVER_ASK,
    CUTOVER_AWAIT,
    CUTOVER_RUN_COMMAND,
    CUTOVER_CLOSE,
    CUTOVER_TAKE_OVER,
    CUTOVER_END_RUN,
    CUTOVER_REVERSE,
    CUTOVER_FINISH,
    CUTOVER_UNDO,
    CUTOVER_GIVE_UP,      /* everything is as it was */
    CUTOVER_GIVE_UP_LATE, /* the clients are switched, the last step was not carried out */
    CUTOVER_ACTIONS
};

struct cutover_transition {
    enum cutover_action action;
    enum cutover_state next;
};

struct cutover_transition cutover_transition(enum cutover_state state, enum cutover_event event);

/* The source may hold back writes on our order. */
bool cutover_pauses(enum cutover_state state);

const char *cutover_state_name(enum cutover_state state);
const char *cutover_event_name(enum cutover_event event);
const char *cutover_action_name(enum cutover_action action);

#endif
