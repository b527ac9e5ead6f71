/* Rows of verdict() that the model has no histories for: journals of earlier sessions, heirs of heirs, dead masters. */
#include "worker/cluster/verdict.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

enum { A, B, C, MASTERS, SLOTS = 4, PLACEMENT = 3, FIRST_LSN = 1000 };

/* A has the slots 0 and 1, B the others, C none. */
struct fixture {
    struct identity was[MASTERS];
    struct master_fact is[MASTERS];
    uint16_t owner[SLOTS];
    struct place memory[SLOTS], places[SLOTS];
    struct mark_fact slot_marks[SLOTS];
    struct facts facts;
};

static struct fixture begin(void)
{
    struct fixture f = {
        .facts = {.was_count = MASTERS, .is_count = MASTERS, .slots = SLOTS, .placement = PLACEMENT}};
    for (size_t i = 0; i < MASTERS; i++) {
        snprintf(f.was[i].id, sizeof f.was[i].id, "id-%zu", i);
        snprintf(f.was[i].run_id, sizeof f.was[i].run_id, "run-%zu", i);
        snprintf(f.was[i].replid, sizeof f.was[i].replid, "replid-%zu", i);
        memcpy(f.is[i].id, f.was[i].id, sizeof f.is[i].id);
        memcpy(f.is[i].run_id, f.was[i].run_id, sizeof f.is[i].run_id);
        memcpy(f.is[i].replid, f.was[i].replid, sizeof f.is[i].replid);
        f.was[i].fingerprint = f.is[i].fingerprint = i == C ? 0 : 100 + i;
        f.is[i].mark = (struct mark_fact){true, true, {50, 1050}, PLACEMENT};
    }
    for (size_t s = 0; s < SLOTS; s++) {
        f.owner[s] = s < 2 ? A : B;
        f.memory[s] = (struct place){70, 0};
    }
    return f;
}

static struct verdict judge(struct fixture *f)
{
    f->facts.was = f->was;
    f->facts.is = f->is;
    f->facts.owner = f->owner;
    f->facts.memory = f->memory;
    f->facts.slot_marks = f->slot_marks;
    return verdict(&f->facts, f->places);
}

static void restart(struct fixture *f, size_t master)
{
    snprintf(f->is[master].run_id, sizeof f->is[master].run_id, "another run");
}

static void marks_count_for_a_restarted_master_and_memory_for_the_others(void **state)
{
    (void)state;
    struct fixture f = begin();
    f.slot_marks[1] = (struct mark_fact){true, true, {60, 0}, 0};
    assert_int_equal(judge(&f).judgement, BY_MEMORY);
    assert_int_equal(f.places[0].seq, 70);
    restart(&f, A);
    assert_int_equal(judge(&f).judgement, BY_MARKS);
    assert_int_equal(f.places[0].seq, 50);
    assert_int_equal(f.places[1].seq, 60);
    assert_int_equal(f.places[2].seq, 70);
}

static void marks_of_an_earlier_session_count_by_lsn(void **state)
{
    (void)state;
    struct fixture f = begin();
    f.facts.first_lsn = FIRST_LSN;
    restart(&f, B);
    f.is[B].mark.of_session = false;
    assert_int_equal(judge(&f).judgement, BY_MARKS);
    assert_int_equal(f.places[2].seq, 0);
    assert_int_equal(f.places[2].lsn, 1050);
}

static void a_journal_that_begins_after_the_data_needs_a_resync(void **state)
{
    (void)state;
    struct fixture f = begin();
    f.facts.first_lsn = FIRST_LSN;
    restart(&f, B);
    f.is[B].mark = (struct mark_fact){true, false, {0, FIRST_LSN - 1}, PLACEMENT};
    struct verdict v = judge(&f);
    assert_int_equal(v.judgement, RESYNC_JOURNAL);
    assert_int_equal(v.master, B);
}

/* The replication id of the master that had the slots is two promotions back. */
static void the_heir_of_an_heir_is_known_as_a_replica(void **state)
{
    (void)state;
    struct fixture f = begin();
    restart(&f, A);
    snprintf(f.is[A].id, sizeof f.is[A].id, "id-9");
    snprintf(f.is[A].replid_before, sizeof f.is[A].replid_before, "replid-8");
    assert_int_equal(judge(&f).judgement, RESYNC_MOVED);
    snprintf(f.is[A].replica_of, sizeof f.is[A].replica_of, "id-0");
    assert_int_equal(judge(&f).judgement, BY_MARKS);
}

static void slots_move(struct fixture *f)
{
    f->owner[1] = B;
    f->is[A].fingerprint = 200;
    f->is[B].fingerprint = 201;
}

static void a_master_that_was_dead_and_still_is_does_not_matter(void **state)
{
    (void)state;
    struct fixture f = begin();
    slots_move(&f);
    f.is[C].silent = f.is[C].absent = true;
    *f.was[C].run_id = '\0';
    struct verdict v = judge(&f);
    assert_int_equal(v.judgement, BY_MEMORY);
    assert_true(v.replaced);
    f = begin();
    slots_move(&f);
    f.is[C].silent = true; /* it was alive: a slot may have passed through it */
    v = judge(&f);
    assert_int_equal(v.judgement, RESYNC_MOVED);
    assert_int_equal(v.master, C);
}

static void a_mark_of_an_earlier_placement_does_not_count(void **state)
{
    (void)state;
    struct fixture f = begin();
    restart(&f, B);
    f.is[B].mark.placement--;
    struct verdict v = judge(&f);
    assert_int_equal(v.judgement, RESYNC_UNMARKED);
    assert_int_equal(v.master, B);
}

static void a_flush_has_run_when_each_master_has_acknowledged_or_noted_it(void **state)
{
    (void)state;
    struct fixture f = begin();
    f.is[A].flushed_txid = f.facts.noted_txid = 9;
    assert_int_equal(judge(&f).flushed_txid, 0);
    f.is[B].flushed_txid = 9;
    assert_int_equal(judge(&f).flushed_txid, 9);
    f.facts.flushed_txid = 11;
    assert_int_equal(judge(&f).flushed_txid, 11);
    restart(&f, B);
    assert_int_equal(judge(&f).flushed_txid, 9);
    f.facts.noted_txid = 12;
    slots_move(&f);
    struct verdict v = judge(&f);
    assert_int_equal(v.judgement, RESYNC_FLUSH);
    assert_int_equal(v.master, MASTERS);
}

static void every_resync_has_a_reason(void **state)
{
    (void)state;
    for (enum judgement j = BY_MEMORY; j < JUDGEMENTS; j++)
        assert_int_equal(verdict_reason(j) != NULL, j > BY_MARKS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(marks_count_for_a_restarted_master_and_memory_for_the_others),
        cmocka_unit_test(marks_of_an_earlier_session_count_by_lsn),
        cmocka_unit_test(a_journal_that_begins_after_the_data_needs_a_resync),
        cmocka_unit_test(the_heir_of_an_heir_is_known_as_a_replica),
        cmocka_unit_test(a_master_that_was_dead_and_still_is_does_not_matter),
        cmocka_unit_test(a_mark_of_an_earlier_placement_does_not_count),
        cmocka_unit_test(a_flush_has_run_when_each_master_has_acknowledged_or_noted_it),
        cmocka_unit_test(every_resync_has_a_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
