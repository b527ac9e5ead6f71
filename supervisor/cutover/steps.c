/* The table of the cut-over, and the names. A cell that is not named ignores its event: an answer that comes late. */
#include "supervisor/cutover/steps.h"

/* While the source holds back writes, and the clients are not switched. */
#define UNDONE                                                                                               \
    [CUTOVER_REFUSED] = {CUTOVER_UNDO, CUTOVER_UNDOING}, [CUTOVER_TROUBLE] = {CUTOVER_UNDO, CUTOVER_UNDOING}

static const struct cutover_transition table[CUTOVER_STATES][CUTOVER_EVENTS] = {
    [CUTOVER_NONE] = {[CUTOVER_ORDERED] = {CUTOVER_CHECK, CUTOVER_CHECKING}},
    [CUTOVER_CHECKING] = {[CUTOVER_READY] = {CUTOVER_PAUSE, CUTOVER_PAUSING},
                          [CUTOVER_READY_DRY] = {CUTOVER_TELL_READY, CUTOVER_NONE},
                          [CUTOVER_REFUSED] = {CUTOVER_GIVE_UP, CUTOVER_NONE},
                          [CUTOVER_TROUBLE] = {CUTOVER_GIVE_UP, CUTOVER_NONE}},
    /* A pause that the source has refused is none. */
    [CUTOVER_PAUSING] = {[CUTOVER_PAUSED] = {CUTOVER_ASK, CUTOVER_ASKING},
                         [CUTOVER_REFUSED] = {CUTOVER_GIVE_UP, CUTOVER_NONE},
                         [CUTOVER_TROUBLE] = {CUTOVER_UNDO, CUTOVER_UNDOING}},
    [CUTOVER_ASKING] = {UNDONE, [CUTOVER_LSNS] = {CUTOVER_AWAIT, CUTOVER_APPLYING}},
    [CUTOVER_APPLYING] = {UNDONE, [CUTOVER_APPLIED] = {CUTOVER_ASK, CUTOVER_CONFIRMING}},
    [CUTOVER_CONFIRMING] = {UNDONE, [CUTOVER_UNCHANGED] = {CUTOVER_RUN_COMMAND, CUTOVER_SWITCHING},
                            [CUTOVER_CHANGED] = {CUTOVER_AWAIT, CUTOVER_APPLYING}},
    [CUTOVER_SWITCHING] = {UNDONE, [CUTOVER_SWITCHED] = {CUTOVER_CLOSE, CUTOVER_CLOSING},
                           [CUTOVER_SWITCHED_TAKEOVER] = {CUTOVER_TAKE_OVER, CUTOVER_TAKING_OVER}},
    /* The LSNs from before COMMAND are good enough if newer ones cannot be had. */
    [CUTOVER_CLOSING] = {[CUTOVER_CLOSED] = {CUTOVER_END_RUN, CUTOVER_ENDING},
                         [CUTOVER_REFUSED] = {CUTOVER_END_RUN, CUTOVER_ENDING},
                         [CUTOVER_TROUBLE] = {CUTOVER_END_RUN, CUTOVER_ENDING}},
    [CUTOVER_TAKING_OVER] = {[CUTOVER_TAKEN] = {CUTOVER_END_RUN, CUTOVER_ENDING},
                             [CUTOVER_REFUSED] = {CUTOVER_GIVE_UP_LATE, CUTOVER_NONE},
                             [CUTOVER_TROUBLE] = {CUTOVER_GIVE_UP_LATE, CUTOVER_NONE}},
    [CUTOVER_ENDING] = {[CUTOVER_ENDED] = {CUTOVER_FINISH, CUTOVER_DONE},
                        [CUTOVER_ENDED_REVERSE] = {CUTOVER_REVERSE, CUTOVER_REVERSING},
                        [CUTOVER_ENDED_EARLY] = {CUTOVER_GIVE_UP_LATE, CUTOVER_DONE}},
    [CUTOVER_REVERSING] = {[CUTOVER_REVERSED] = {CUTOVER_FINISH, CUTOVER_DONE},
                           [CUTOVER_REFUSED] = {CUTOVER_GIVE_UP_LATE, CUTOVER_DONE},
                           [CUTOVER_TROUBLE] = {CUTOVER_GIVE_UP_LATE, CUTOVER_DONE}},
    /* The pause ends by itself, if not by us. */
    [CUTOVER_UNDOING] = {[CUTOVER_UNPAUSED] = {CUTOVER_GIVE_UP, CUTOVER_NONE},
                         [CUTOVER_REFUSED] = {CUTOVER_GIVE_UP, CUTOVER_NONE},
                         [CUTOVER_TROUBLE] = {CUTOVER_GIVE_UP, CUTOVER_NONE}},
};

struct cutover_transition cutover_transition(enum cutover_state state, enum cutover_event event)
{
    struct cutover_transition t = table[state][event];
    if (t.action == CUTOVER_IGNORE)
        t.next = state;
    return t;
}

bool cutover_pauses(enum cutover_state state)
{
    return state >= CUTOVER_PAUSING && state <= CUTOVER_SWITCHING;
}

static const char *const state_names[CUTOVER_STATES] = {
    [CUTOVER_NONE] = "none",
    [CUTOVER_CHECKING] = "checking",
    [CUTOVER_PAUSING] = "pausing",
    [CUTOVER_ASKING] = "asking",
    [CUTOVER_APPLYING] = "applying",
    [CUTOVER_CONFIRMING] = "confirming",
    [CUTOVER_SWITCHING] = "switching",
    [CUTOVER_CLOSING] = "closing",
    [CUTOVER_TAKING_OVER] = "taking-over",
    [CUTOVER_ENDING] = "ending",
    [CUTOVER_REVERSING] = "reversing",
    [CUTOVER_UNDOING] = "undoing",
    [CUTOVER_DONE] = "done",
};

static const char *const event_names[CUTOVER_EVENTS] = {
    [CUTOVER_ORDERED] = "ordered",
    [CUTOVER_READY] = "ready",
    [CUTOVER_READY_DRY] = "ready-dry",
    [CUTOVER_PAUSED] = "paused",
    [CUTOVER_LSNS] = "lsns",
    [CUTOVER_APPLIED] = "applied",
    [CUTOVER_UNCHANGED] = "unchanged",
    [CUTOVER_CHANGED] = "changed",
    [CUTOVER_SWITCHED] = "switched",
    [CUTOVER_SWITCHED_TAKEOVER] = "switched-takeover",
    [CUTOVER_CLOSED] = "closed",
    [CUTOVER_TAKEN] = "taken",
    [CUTOVER_ENDED] = "ended",
    [CUTOVER_ENDED_REVERSE] = "ended-reverse",
    [CUTOVER_ENDED_EARLY] = "ended-early",
    [CUTOVER_REVERSED] = "reversed",
    [CUTOVER_UNPAUSED] = "unpaused",
    [CUTOVER_REFUSED] = "refused",
    [CUTOVER_TROUBLE] = "trouble",
};

static const char *const action_names[CUTOVER_ACTIONS] = {
    [CUTOVER_IGNORE] = "ignore",
    [CUTOVER_CHECK] = "check",
    [CUTOVER_TELL_READY] = "tell-ready",
    [CUTOVER_PAUSE] = "pause",
    [CUTOVER_ASK] = "ask",
    [CUTOVER_AWAIT] = "await",
    [CUTOVER_RUN_COMMAND] = "run-command",
    [CUTOVER_CLOSE] = "close",
    [CUTOVER_TAKE_OVER] = "take-over",
    [CUTOVER_END_RUN] = "end-run",
    [CUTOVER_REVERSE] = "reverse",
    [CUTOVER_FINISH] = "finish",
    [CUTOVER_UNDO] = "undo",
    [CUTOVER_GIVE_UP] = "give-up",
    [CUTOVER_GIVE_UP_LATE] = "give-up-late",
};

const char *cutover_state_name(enum cutover_state state)
{
    return (unsigned)state < CUTOVER_STATES ? state_names[state] : "unknown";
}

const char *cutover_event_name(enum cutover_event event)
{
    return (unsigned)event < CUTOVER_EVENTS ? event_names[event] : "unknown";
}

const char *cutover_action_name(enum cutover_action action)
{
    return (unsigned)action < CUTOVER_ACTIONS ? action_names[action] : "unknown";
}
