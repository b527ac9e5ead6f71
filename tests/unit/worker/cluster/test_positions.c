/* Where the slots of a cluster stand: memory where it can be trusted, marks where it cannot. */
#include "worker/cluster/positions.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

enum { A, B, NODES, BORDER = 8000 };

/* Slots below BORDER lie on A. */
struct fixture {
    struct positions p;
    struct topology t;
    struct position_node nodes[NODES];
    uint16_t importing_node[CLUSTER_SLOTS];
    struct error error;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    for (uint16_t s = 0; s < CLUSTER_SLOTS; s++)
        f->t.owner[s] = s < BORDER ? A : B;
    memset(f->importing_node, 0xff, sizeof f->importing_node);
    f->t.count = NODES;
    f->nodes[A].intact = f->nodes[B].intact = true;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

static bool resolve(struct fixture *f, uint64_t first_lsn)
{
    return positions_resolve(&f->p, &f->t, f->nodes, f->importing_node, first_lsn, &f->error);
}

/* Slot 7 is on its way from A to B. */
static void a_slot_on_its_way_is_vouched_for_by_both_nodes(void **state)
{
    struct fixture *f = *state;
    positions_init(&f->p, 100, 0);
    f->p.mark[7] = (struct position_mark){.in_session = true, .seq = 30};
    f->importing_node[7] = B;
    assert_true(resolve(f, 0));
    assert_int_equal(f->p.seq[7], 100);
    f->nodes[B].intact = false;
    f->nodes[A].mark = (struct position_mark){.in_session = true, .seq = 90};
    assert_false(resolve(f, 0)); /* wherever its mark lies: it tells of one part only */
    assert_int_equal(f->error.class, ERROR_REDIRECT);
    f->p.mark[7].seq = 0;
    assert_true(resolve(f, 0));
    assert_int_equal(f->p.seq[8], 100);
    f->nodes[B].mark = (struct position_mark){.in_session = true, .seq = 60};
    assert_true(resolve(f, 0));
    assert_int_equal(f->p.seq[7], 60);
    f->nodes[A].unchanged = f->nodes[B].unchanged = true; /* since these marks */
    assert_true(resolve(f, 0));
    assert_int_equal(f->p.seq[7], 90);
    f->importing_node[7] = IMPORTING_UNKNOWN;
    assert_true(resolve(f, 0));
    assert_int_equal(f->p.seq[7], 0);
    f->p.mark[7].seq = 1;
    assert_false(resolve(f, 0));
}

static void a_mark_tells_of_a_slot_that_came_only_when_it_was_written_there(void **state)
{
    struct fixture *f = *state;
    positions_init(&f->p, 0, 0);
    positions_settle(&f->p, 100);
    f->p.arrived_seq[7] = f->p.arrived_seq[8] = f->p.arrived_seq[9] = 60;
    f->p.mark[10] = (struct position_mark){.in_session = true, .seq = 60};
    f->p.mark[7] = f->p.mark[8] = f->p.mark[9] = (struct position_mark){.in_session = true, .seq = 62};
    assert_true(resolve(f, 0));
    assert_int_equal(f->p.seq[7], 100);
    f->nodes[A] = (struct position_node){.mark = {.in_session = true, .seq = 50}};
    assert_true(resolve(f, 0));
    assert_int_equal(f->p.seq[8], 62);
    assert_int_equal(f->p.seq[10], 60); /* has always been there */
    assert_int_equal(f->p.seq[11], 50);
    f->p.mark[9].seq = 61; /* of a command over several slots, before it counted as sent */
    assert_false(resolve(f, 0));
    assert_int_equal(f->error.class, ERROR_REDIRECT);
    f->p.mark[9] = (struct position_mark){0}; /* keys may have come nevertheless */
    assert_false(resolve(f, 0));
    f->nodes[A].mark.seq = 60; /* of a node that has it: it is written again though nothing was sent */
    assert_true(resolve(f, 0));
    assert_int_equal(f->p.seq[9], 60);
    f->nodes[A].mark.seq = 70; /* and then all that was there was whole */
    assert_true(resolve(f, 0));
    assert_int_equal(f->p.seq[7], 70);
    assert_int_equal(f->p.seq[9], 70);
}

/* LSNs are of an earlier session: nobody looked since. */
static void nor_does_one_of_an_earlier_session_when_other_slots_came(void **state)
{
    struct fixture *f = *state;
    positions_init(&f->p, 0, 1000);
    for (uint16_t s = 0; s < CLUSTER_SLOTS; s++)
        f->p.mark[s].lsn = 1010;
    assert_true(resolve(f, 1000));
    f->nodes[B].intact = false;
    assert_false(resolve(f, 1000));
    assert_int_equal(f->error.class, ERROR_REDIRECT);
    f->nodes[B].mark.lsn = 1005;
    assert_true(resolve(f, 1000));
    assert_int_equal(f->p.least_lsn, 1010);
}

static void a_new_session_begins_at_its_begin(void **state)
{
    struct fixture *f = *state;
    f->nodes[A].intact = f->nodes[B].intact = false;
    positions_init(&f->p, 0, 0);
    assert_true(resolve(f, 0));
    assert_int_equal(f->p.least_seq, 0);
    assert_int_equal(f->p.most_seq, 0);
}

static void what_was_answered_is_done_and_what_was_not_is_in_doubt(void **state)
{
    struct fixture *f = *state;
    positions_init(&f->p, 0, 0);
    f->p.doubt[7] = 40;
    positions_settle(&f->p, 100);
    assert_true(resolve(f, 0));
    assert_int_equal(f->p.seq[7], 40);
    assert_int_equal(f->p.seq[8], 100);
    assert_int_equal(f->p.least_seq, 40);
    assert_int_equal(f->p.most_seq, 100);
    /* Run again from 40: the slot catches up, the others never go back. */
    positions_settle(&f->p, 60);
    assert_true(resolve(f, 0));
    assert_int_equal(f->p.seq[7], 60);
    assert_int_equal(f->p.seq[8], 100);
}

static void the_mark_of_a_slot_in_doubt_tells_that_it_was_carried_out(void **state)
{
    struct fixture *f = *state;
    positions_init(&f->p, 0, 0);
    f->p.doubt[7] = f->p.doubt[9] = 40;
    f->p.mark[7] = (struct position_mark){.in_session = true, .seq = 100};
    positions_settle(&f->p, 100);
    assert_true(resolve(f, 0));
    assert_int_equal(f->p.seq[7], 100);
    assert_int_equal(f->p.seq[9], 40);
}

static void a_node_that_may_have_lost_something_is_where_its_marks_say(void **state)
{
    struct fixture *f = *state;
    positions_init(&f->p, 0, 0);
    positions_settle(&f->p, 100);
    f->nodes[B] = (struct position_node){.mark = {.in_session = true, .seq = 70}};
    f->p.mark[BORDER + 1] = (struct position_mark){.in_session = true, .seq = 95};
    assert_true(resolve(f, 0));
    assert_int_equal(f->p.seq[BORDER - 1], 100);
    assert_int_equal(f->p.seq[BORDER], 70);
    assert_int_equal(f->p.seq[BORDER + 1], 95);
    assert_int_equal(f->p.least_seq, 70);
}

/* Slot 7 was on a node that had lost entries, and goes to another one before they were sent again. */
static void a_slot_that_is_behind_stays_so_on_a_node_with_a_later_mark(void **state)
{
    struct fixture *f = *state;
    positions_init(&f->p, 0, 0);
    positions_settle(&f->p, 100);
    f->nodes[A] = (struct position_node){.mark = {.in_session = true, .seq = 40}};
    assert_true(resolve(f, 0));
    assert_int_equal(f->p.seq[7], 40);
    f->nodes[A].intact = true;
    f->nodes[B].mark = (struct position_mark){.in_session = true, .seq = 100, .lsn = 1090};
    f->t.owner[7] = B;
    f->p.arrived_seq[7] = 100;
    assert_true(resolve(f, 0));
    assert_int_equal(f->p.seq[7], 40);
    assert_int_equal(f->p.lsn[7], 0);
    assert_int_equal(f->p.seq[BORDER], 100);
    f->nodes[B].mark.seq = 101;
    assert_true(resolve(f, 0));
    assert_int_equal(f->p.seq[7], 101);
}

static void a_node_without_a_mark_has_nothing(void **state)
{
    struct fixture *f = *state;
    positions_init(&f->p, 50, 0);
    positions_settle(&f->p, 100);
    f->nodes[A] = (struct position_node){0};
    assert_true(resolve(f, 0));
    assert_int_equal(f->p.least_seq, 0);
    assert_int_equal(f->p.seq[BORDER], 100);
}

static void a_successor_takes_over_what_was_acknowledged(void **state)
{
    struct fixture *f = *state;
    positions_init(&f->p, 50, 0);
    f->p.mark[3] = (struct position_mark){.in_session = true, .seq = 60};
    assert_true(resolve(f, 0));
    assert_int_equal(f->p.least_seq, 50);
    assert_int_equal(f->p.seq[3], 60);
}

static void a_session_of_the_journal_needs_what_came_before_it(void **state)
{
    struct fixture *f = *state;
    positions_init(&f->p, 0, 1000);
    f->nodes[A] = f->nodes[B] = (struct position_node){.mark = {.lsn = 1000}};
    f->p.mark[5].lsn = 1010;
    assert_true(resolve(f, 1000));
    assert_int_equal(f->p.lsn[5], 1010);
    assert_int_equal(f->p.least_lsn, 1000);
    assert_int_equal(f->p.most_lsn, 1010);

    positions_init(&f->p, 0, 1000);
    f->nodes[B].mark.lsn = 999;
    assert_false(resolve(f, 1000));
    assert_int_equal(f->error.class, ERROR_REDIRECT);
    /* Any mark of the session itself was written after that. */
    positions_init(&f->p, 0, 1000);
    f->nodes[B].mark = (struct position_mark){.in_session = true};
    assert_true(resolve(f, 1000));
}

/* Slots further ahead than where the promoted master's journal was asked for. */
static void what_a_promoted_master_may_lack_is_no_position(void **state)
{
    struct fixture *f = *state;
    positions_init(&f->p, 0, 50);
    f->nodes[A].mark = f->nodes[B].mark = (struct position_mark){.lsn = 50};
    f->p.mark[7] = (struct position_mark){.lsn = 53};
    assert_true(resolve(f, 50));
    f->p.mark[7].not_shared = true;
    assert_false(resolve(f, 50));
    assert_int_equal(f->error.class, ERROR_REDIRECT);
    f->p.mark[7].not_shared = false;
    f->nodes[B].mark.not_shared = true;
    assert_false(resolve(f, 50));
}

/* Slots below BORDER are at the one position, the others at the other. */
static void place(struct fixture *f, uint64_t seq_a, uint64_t lsn_a, uint64_t seq_b, uint64_t lsn_b)
{
    positions_init(&f->p, 0, 0);
    for (uint16_t s = 0; s < CLUSTER_SLOTS; s++) {
        f->p.seq[s] = s < BORDER ? seq_a : seq_b;
        f->p.lsn[s] = s < BORDER ? lsn_a : lsn_b;
    }
    assert_true(resolve(f, 0));
}

static void entries_before_another_are_lacked_slot_by_slot(void **state)
{
    struct fixture *f = *state;
    place(f, 99, 0, 120, 0);
    assert_false(positions_lacked_before(&f->p, 100, 0));
    place(f, 98, 0, 120, 0); /* another slot is past it */
    assert_true(positions_lacked_before(&f->p, 100, 0));
    /* One slot has them by the session's own count, the other by the journal's. */
    place(f, 0, 1100, 99, 1001);
    assert_false(positions_lacked_before(&f->p, 100, 1100));
    place(f, 0, 1099, 99, 1001);
    assert_true(positions_lacked_before(&f->p, 100, 1100));
    /* What the slot has got since then does not count. */
    f->p.seq[0] = 120;
    f->p.lsn[1] = 1100;
    assert_true(positions_lacked_before(&f->p, 100, 1100));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_slot_on_its_way_is_vouched_for_by_both_nodes, setup, teardown),
        cmocka_unit_test_setup_teardown(a_mark_tells_of_a_slot_that_came_only_when_it_was_written_there,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(nor_does_one_of_an_earlier_session_when_other_slots_came, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_new_session_begins_at_its_begin, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_answered_is_done_and_what_was_not_is_in_doubt, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_mark_of_a_slot_in_doubt_tells_that_it_was_carried_out, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_node_that_may_have_lost_something_is_where_its_marks_say, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_slot_that_is_behind_stays_so_on_a_node_with_a_later_mark, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_node_without_a_mark_has_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_successor_takes_over_what_was_acknowledged, setup, teardown),
        cmocka_unit_test_setup_teardown(a_session_of_the_journal_needs_what_came_before_it, setup, teardown),
        cmocka_unit_test_setup_teardown(what_a_promoted_master_may_lack_is_no_position, setup, teardown),
        cmocka_unit_test_setup_teardown(entries_before_another_are_lacked_slot_by_slot, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
