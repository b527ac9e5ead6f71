/* The table of the cut-over: what every event does in every state, and that no path through it leaves writes paused or
 * undoes what the clients already rely on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/mem.h"
#include "supervisor/cutover/steps.h"

static bool is_over(enum cutover_state state)
{
    return state == CUTOVER_NONE || state == CUTOVER_DONE;
}

static struct cutover_transition after(enum cutover_state state, enum cutover_event event)
{
    return cutover_transition(state, event);
}

static void every_name_is_there_and_unique(void **state)
{
    (void)state;
    for (int i = 0; i < CUTOVER_STATES; i++) {
        assert_non_null(cutover_state_name((enum cutover_state)i));
        for (int j = 0; j < i; j++)
            assert_string_not_equal(cutover_state_name((enum cutover_state)i),
                                    cutover_state_name((enum cutover_state)j));
    }
    for (int i = 0; i < CUTOVER_EVENTS; i++)
        assert_non_null(cutover_event_name((enum cutover_event)i));
    for (int i = 0; i < CUTOVER_ACTIONS; i++)
        assert_non_null(cutover_action_name((enum cutover_action)i));
}

/* The whole table, a line a state: what each event leads to, "." where it is ignored. In the order of the events:
 * ordered ready ready-dry paused lsns applied unchanged changed switched switched-takeover closed taken ended
 * ended-reverse ended-early reversed unpaused refused trouble */
static void every_event_in_every_state_leads_where_it_is_drawn(void **state)
{
    (void)state;
    static const char *const expected[CUTOVER_STATES] = {
        [CUTOVER_NONE] = "checking . . . . . . . . . . . . . . . . . .",
        [CUTOVER_CHECKING] = ". pausing none . . . . . . . . . . . . . . none none",
        [CUTOVER_PAUSING] = ". . . asking . . . . . . . . . . . . . none undoing",
        [CUTOVER_ASKING] = ". . . . applying . . . . . . . . . . . . undoing undoing",
        [CUTOVER_APPLYING] = ". . . . . confirming . . . . . . . . . . . undoing undoing",
        [CUTOVER_CONFIRMING] = ". . . . . . switching applying . . . . . . . . . undoing undoing",
        [CUTOVER_SWITCHING] = ". . . . . . . . closing taking-over . . . . . . . undoing undoing",
        [CUTOVER_CLOSING] = ". . . . . . . . . . ending . . . . . . ending ending",
        [CUTOVER_TAKING_OVER] = ". . . . . . . . . . . ending . . . . . none none",
        [CUTOVER_ENDING] = ". . . . . . . . . . . . done reversing done . . . .",
        [CUTOVER_REVERSING] = ". . . . . . . . . . . . . . . done . done done",
        [CUTOVER_UNDOING] = ". . . . . . . . . . . . . . . . none none none",
        [CUTOVER_DONE] = ". . . . . . . . . . . . . . . . . . .",
    };
    for (int s = 0; s < CUTOVER_STATES; s++) {
        struct buf line = {0};
        for (int e = 0; e < CUTOVER_EVENTS; e++) {
            struct cutover_transition t = after((enum cutover_state)s, (enum cutover_event)e);
            bool ignored = t.action == CUTOVER_IGNORE;
            if (ignored)
                assert_int_equal(t.next, s);
            buf_printf(&line, "%s%s", e ? " " : "", ignored ? "." : cutover_state_name(t.next));
        }
        buf_put_u8(&line, '\0');
        assert_string_equal((const char *)line.data, expected[s]);
        buf_free(&line);
    }
}

static void trouble_while_writes_are_paused_is_undone(void **state)
{
    (void)state;
    for (int s = 0; s < CUTOVER_STATES; s++) {
        if (!cutover_pauses((enum cutover_state)s))
            continue;
        struct cutover_transition t = after((enum cutover_state)s, CUTOVER_TROUBLE);
        assert_int_equal(t.action, CUTOVER_UNDO);
        assert_int_equal(t.next, CUTOVER_UNDOING);
    }
}

/* Marks all states that can be reached. */
static void reach(enum cutover_state from, bool *reached)
{
    if (reached[from])
        return;
    reached[from] = true;
    for (int e = 0; e < CUTOVER_EVENTS; e++)
        reach(after(from, (enum cutover_event)e).next, reached);
}

static void nothing_is_undone_once_the_clients_are_switched(void **state)
{
    (void)state;
    static const enum cutover_event switched[] = {CUTOVER_SWITCHED, CUTOVER_SWITCHED_TAKEOVER};
    for (size_t i = 0; i < 2; i++) {
        struct cutover_transition t = after(CUTOVER_SWITCHING, switched[i]);
        bool reached[CUTOVER_STATES] = {[CUTOVER_NONE] = true}; /* a further order begins anew */
        reach(t.next, reached);
        assert_false(reached[CUTOVER_UNDOING]);
        assert_false(reached[CUTOVER_PAUSING]);
    }
}

static void command_runs_only_after_the_lsns_were_confirmed(void **state)
{
    (void)state;
    for (int s = 0; s < CUTOVER_STATES; s++)
        for (int e = 0; e < CUTOVER_EVENTS; e++) {
            struct cutover_transition t = after((enum cutover_state)s, (enum cutover_event)e);
            bool begins = t.action == CUTOVER_RUN_COMMAND;
            assert_int_equal(begins, s == CUTOVER_CONFIRMING && e == CUTOVER_UNCHANGED);
            assert_int_equal(begins, t.next == CUTOVER_SWITCHING && s != CUTOVER_SWITCHING);
        }
}

static void a_dry_run_sends_nothing(void **state)
{
    (void)state;
    struct cutover_transition t = after(CUTOVER_CHECKING, CUTOVER_READY_DRY);
    assert_int_equal(t.action, CUTOVER_TELL_READY);
    assert_int_equal(t.next, CUTOVER_NONE);
}

/* An end of the run is answered by cutover_conclude: it gives ended-early to ending, trouble to the others. */
static void every_state_comes_to_an_end(void **state)
{
    (void)state;
    for (int s = 0; s < CUTOVER_STATES; s++) {
        enum cutover_state at = (enum cutover_state)s;
        for (int i = 0; i < 3 && !is_over(at); i++)
            at = after(at, at == CUTOVER_ENDING ? CUTOVER_ENDED_EARLY : CUTOVER_TROUBLE).next;
        assert_true(is_over(at));
    }
}

static void late_answers_are_ignored(void **state)
{
    (void)state;
    static const enum cutover_event answers[] = {CUTOVER_PAUSED,   CUTOVER_LSNS,
                                                 CUTOVER_SWITCHED, CUTOVER_SWITCHED_TAKEOVER,
                                                 CUTOVER_TAKEN,    CUTOVER_READY};
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        assert_int_equal(after(CUTOVER_UNDOING, answers[i]).action, CUTOVER_IGNORE);
        assert_int_equal(after(CUTOVER_NONE, answers[i]).action, CUTOVER_IGNORE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_name_is_there_and_unique),
        cmocka_unit_test(every_event_in_every_state_leads_where_it_is_drawn),
        cmocka_unit_test(trouble_while_writes_are_paused_is_undone),
        cmocka_unit_test(nothing_is_undone_once_the_clients_are_switched),
        cmocka_unit_test(command_runs_only_after_the_lsns_were_confirmed),
        cmocka_unit_test(a_dry_run_sends_nothing),
        cmocka_unit_test(every_state_comes_to_an_end),
        cmocka_unit_test(late_answers_are_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
