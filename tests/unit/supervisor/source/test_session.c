/* The session's table: total, and no path through it sends a phase command that a master would not survive.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/mem.h"
#include "supervisor/source/session.h"

static bool is_over(enum session_state state)
{
    return state == SESSION_STOPPED || state == SESSION_FAILED;
}

static void every_name_is_there_and_unique(void **state)
{
    (void)state;
    for (int i = 0; i < SESSION_STATES; i++) {
        assert_non_null(session_state_name((enum session_state)i));
        assert_non_null(session_phase_name((enum session_state)i));
        for (int j = 0; j < i; j++)
            assert_string_not_equal(session_state_name((enum session_state)i),
                                    session_state_name((enum session_state)j));
    }
    for (int i = 0; i < SESSION_EVENTS; i++)
        assert_non_null(session_event_name((enum session_event)i));
    for (int i = 0; i < SESSION_ACTIONS; i++)
        assert_non_null(session_action_name((enum session_action)i));
}

static void stop_fatal_and_a_lost_link_are_answered_everywhere(void **state)
{
    (void)state;
    static const enum session_event any_time[] = {EVENT_STOP, EVENT_FATAL, EVENT_LINK_LOST, EVENT_RESYNC};
    for (int s = 0; s < SESSION_STATES; s++)
        for (size_t i = 0; i < sizeof any_time / sizeof *any_time; i++)
            assert_int_not_equal(session_transition((enum session_state)s, any_time[i]).action,
                                 ACTION_FORBIDDEN);
}

static void fatal_always_fails_what_is_not_over(void **state)
{
    (void)state;
    for (int s = 0; s < SESSION_STATES; s++) {
        struct session_transition t = session_transition((enum session_state)s, EVENT_FATAL);
        if (is_over((enum session_state)s)) {
            assert_int_equal(t.next, s);
        } else {
            assert_int_equal(t.next, SESSION_FAILED);
            assert_int_equal(t.action, ACTION_FAIL);
        }
    }
}

static void the_end_is_never_left(void **state)
{
    (void)state;
    for (int e = 0; e < SESSION_EVENTS; e++) {
        assert_int_equal(session_transition(SESSION_STOPPED, (enum session_event)e).next, SESSION_STOPPED);
        assert_int_equal(session_transition(SESSION_FAILED, (enum session_event)e).next, SESSION_FAILED);
    }
}

static void forbidden_cells_lead_to_failed(void **state)
{
    (void)state;
    unsigned forbidden = 0;
    for (int s = 0; s < SESSION_STATES; s++)
        for (int e = 0; e < SESSION_EVENTS; e++) {
            struct session_transition t = session_transition((enum session_state)s, (enum session_event)e);
            if (t.action == ACTION_FORBIDDEN) {
                forbidden++;
                assert_int_equal(t.next, SESSION_FAILED);
            }
        }
    assert_true(forbidden > 0);
}

/* From the table alone: what leads to the two commands. */
static void phase_commands_leave_only_their_states(void **state)
{
    (void)state;
    for (int s = 0; s < SESSION_STATES; s++)
        for (int e = 0; e < SESSION_EVENTS; e++) {
            enum session_action a = session_transition((enum session_state)s, (enum session_event)e).action;
            if (a == ACTION_SEND_SYNC)
                assert_true((s == SESSION_WORKERS_FULL || s == SESSION_WORKERS_BLOBS) &&
                            e == EVENT_WORKERS_READY);
            if (a == ACTION_SEND_STARTSTABLE)
                assert_true((s == SESSION_FULL_SYNC && e == EVENT_SNAPSHOT_DONE) ||
                            (s == SESSION_WORKERS_PARTIAL && e == EVENT_WORKERS_READY));
        }
}

/* ---- the exhaustive walk: every event and every fact in every order, for two FLOWs ---- */

enum { FLOWS = 2, MAX_NODES = 200000 };

/* What a master has seen of this session. */
struct node {
    struct session session;
    bool asked, sync_sent, startstable_sent;
};

struct walk {
    struct node *nodes;
    size_t count, next;
    unsigned syncs, startstables;
    bool sync_after_partial; /* a master of such a release */
};

static void visit(struct walk *w, const struct node *n)
{
    for (size_t i = 0; i < w->count; i++)
        if (memcmp(&w->nodes[i], n, sizeof *n) == 0)
            return;
    assert_true(w->count < MAX_NODES);
    w->nodes[w->count++] = *n;
}

static void send_if_permitted(struct walk *w, struct node *n, enum phase_command command)
{
    struct session before = n->session;
    if (!session_take_permit(&n->session, command))
        return;
    assert_true(n->asked);
    /* All PARTIAL, of a release that refuses a lone STARTSTABLE then: SYNC first, and every FULLSYNC_END. */
    bool blobs = before.partial == FLOWS && before.full == 0 && before.sync_after_partial;
    if (command == PHASE_SYNC) {
        assert_true(blobs || (before.full == FLOWS && before.partial == 0));
        assert_false(n->sync_sent);
        assert_false(n->startstable_sent);
        n->sync_sent = true;
        w->syncs++;
    } else {
        bool after_snapshot = (before.full == FLOWS || blobs) && n->sync_sent && before.sync_answered &&
                              before.snapshots_done == FLOWS;
        bool partial =
            before.partial == FLOWS && before.full == 0 && !n->sync_sent && !before.sync_after_partial;
        assert_true(after_snapshot || partial);
        assert_false(n->startstable_sent);
        n->startstable_sent = true;
        w->startstables++;
    }
    /* Never twice for one permit. */
    assert_false(session_take_permit(&n->session, command));
}

static void follow(struct walk *w, const struct node *from)
{
    for (int e = 0; e < SESSION_EVENTS; e++) {
        struct node n;
        memcpy(&n, from, sizeof n);
        enum session_action action = session_step(&n.session, (enum session_event)e);
        if (action == ACTION_OPEN_FLOWS) {
            session_flows_asked(&n.session, FLOWS);
            session_sync_after_partial(&n.session, w->sync_after_partial);
            n.asked = true;
            n.sync_sent = n.startstable_sent = false;
        }
        /* Whatever the caller tries at this point. */
        struct node sync, startstable;
        memcpy(&sync, &n, sizeof n);
        memcpy(&startstable, &n, sizeof n);
        send_if_permitted(w, &sync, PHASE_SYNC);
        send_if_permitted(w, &startstable, PHASE_STARTSTABLE);
        visit(w, &n);
        visit(w, &sync);
        visit(w, &startstable);
    }
    if (!from->asked)
        return;
    for (int fact = 0; fact < 3; fact++) {
        struct node n;
        memcpy(&n, from, sizeof n);
        if (fact < 2 && n.session.full + n.session.partial < FLOWS)
            session_flow_answered(&n.session, fact == 0);
        else if (fact == 2 && n.session.snapshots_done < FLOWS)
            session_snapshot_done(&n.session);
        visit(w, &n);
    }
}

static void walk_all(bool sync_after_partial)
{
    struct walk w = {.nodes = x_calloc(MAX_NODES, sizeof *w.nodes), .sync_after_partial = sync_after_partial};
    struct node first;
    memset(&first, 0, sizeof first);
    session_init(&first.session);
    visit(&w, &first);
    while (w.next < w.count) {
        struct node n;
        memcpy(&n, &w.nodes[w.next++], sizeof n);
        follow(&w, &n);
    }
    /* The walk was one: both commands were sent on some paths. */
    assert_true(w.count > 100);
    assert_true(w.syncs > 0 && w.startstables > 0);
    free(w.nodes);
}

static void no_path_sends_a_phase_command_that_the_master_would_not_survive(void **state)
{
    (void)state;
    walk_all(false);
    walk_all(true);
}

static void take_events(struct session *s, const enum session_event *events, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        enum session_action action = session_step(s, events[i]);
        assert_int_not_equal(action, ACTION_FORBIDDEN);
        if (action == ACTION_OPEN_FLOWS)
            session_flows_asked(s, FLOWS);
    }
}

static void full_sync_goes_through_to_the_end(void **state)
{
    (void)state;
    struct session s;
    session_init(&s);
    take_events(&s, (enum session_event[]){EVENT_TARGET_READY, EVENT_CONNECTED, EVENT_GREETED}, 3);
    session_flow_answered(&s, true);
    session_flow_answered(&s, true);
    take_events(&s, (enum session_event[]){EVENT_FLOWS_FULL, EVENT_TARGET_READY, EVENT_WORKERS_READY}, 3);
    assert_true(session_take_permit(&s, PHASE_SYNC));
    take_events(&s, (enum session_event[]){EVENT_PHASE_OK}, 1);
    session_snapshot_done(&s);
    session_snapshot_done(&s);
    take_events(&s, (enum session_event[]){EVENT_SNAPSHOT_DONE}, 1);
    assert_string_equal(session_phase_name(s.state), "barrier");
    assert_true(session_take_permit(&s, PHASE_STARTSTABLE));
    take_events(&s, (enum session_event[]){EVENT_PHASE_OK, EVENT_ALL_STABLE}, 2);
    assert_string_equal(session_phase_name(s.state), "stable");
    take_events(&s, (enum session_event[]){EVENT_STOP, EVENT_DRAINED}, 2);
    assert_int_equal(s.state, SESSION_STOPPED);
}

static void partial_of_an_older_master_goes_by_sync(void **state)
{
    (void)state;
    struct session s;
    session_init(&s);
    take_events(&s, (enum session_event[]){EVENT_TARGET_READY, EVENT_CONNECTED, EVENT_GREETED}, 3);
    session_sync_after_partial(&s, true);
    session_flow_answered(&s, false);
    session_flow_answered(&s, false);
    take_events(&s, (enum session_event[]){EVENT_FLOWS_BLOBS, EVENT_WORKERS_READY}, 2);
    assert_false(session_take_permit(&s, PHASE_STARTSTABLE));
    session_init(&s);
    take_events(&s, (enum session_event[]){EVENT_TARGET_READY, EVENT_CONNECTED, EVENT_GREETED}, 3);
    session_sync_after_partial(&s, true);
    session_flow_answered(&s, false);
    session_flow_answered(&s, false);
    take_events(&s, (enum session_event[]){EVENT_FLOWS_BLOBS, EVENT_WORKERS_READY}, 2);
    assert_true(session_take_permit(&s, PHASE_SYNC));
    take_events(&s, (enum session_event[]){EVENT_PHASE_OK}, 1);
    session_snapshot_done(&s);
    session_snapshot_done(&s);
    take_events(&s, (enum session_event[]){EVENT_SNAPSHOT_DONE}, 1);
    assert_true(session_take_permit(&s, PHASE_STARTSTABLE));
    take_events(&s, (enum session_event[]){EVENT_PHASE_OK, EVENT_ALL_STABLE}, 2);
    assert_string_equal(session_phase_name(s.state), "stable");
}

static void permit_is_refused_when_the_facts_do_not_agree_with_the_state(void **state)
{
    (void)state;
    struct session s;
    session_init(&s);
    take_events(&s, (enum session_event[]){EVENT_TARGET_READY, EVENT_CONNECTED, EVENT_GREETED}, 3);
    session_flow_answered(&s, true);
    session_flow_answered(&s, false);
    /* The caller says that all were FULL, and is wrong. */
    take_events(&s, (enum session_event[]){EVENT_FLOWS_FULL, EVENT_TARGET_READY, EVENT_WORKERS_READY}, 3);
    assert_false(session_take_permit(&s, PHASE_SYNC));
}

static void refused_phase_command_starts_over_without_lsns(void **state)
{
    (void)state;
    static const enum session_state sent[] = {SESSION_SYNC_SENT, SESSION_BARRIER, SESSION_PARTIAL_SENT};
    for (size_t i = 0; i < sizeof sent / sizeof *sent; i++) {
        struct session_transition t = session_transition(sent[i], EVENT_PHASE_REFUSED);
        assert_int_equal(t.action, ACTION_RESTART_FULL);
        assert_int_equal(t.next, SESSION_WAITING);
    }
    assert_int_equal(session_transition(SESSION_FLOWS, EVENT_FLOWS_MIXED).action, ACTION_RESTART_FULL);
    assert_int_equal(session_transition(SESSION_FLOWS, EVENT_FLOWS_AGAIN).action, ACTION_RESTART);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_name_is_there_and_unique),
        cmocka_unit_test(stop_fatal_and_a_lost_link_are_answered_everywhere),
        cmocka_unit_test(fatal_always_fails_what_is_not_over),
        cmocka_unit_test(the_end_is_never_left),
        cmocka_unit_test(forbidden_cells_lead_to_failed),
        cmocka_unit_test(phase_commands_leave_only_their_states),
        cmocka_unit_test(no_path_sends_a_phase_command_that_the_master_would_not_survive),
        cmocka_unit_test(partial_of_an_older_master_goes_by_sync),
        cmocka_unit_test(full_sync_goes_through_to_the_end),
        cmocka_unit_test(permit_is_refused_when_the_facts_do_not_agree_with_the_state),
        cmocka_unit_test(refused_phase_command_starts_over_without_lsns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
