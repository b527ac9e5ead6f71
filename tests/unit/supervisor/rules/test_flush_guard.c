/* When the target is emptied: the table of df2redis-design(7) row by row, and what holds for all that may
 * come together.
 */
#include "tests/unit/supervisor/supervisor_testing.h"

#include "supervisor/rules/flush_guard.h"

enum { KEYS = 101 };

static const struct flush_facts nobodys = {
    .keys = KEYS, .holds = FLUSH_HOLDS_OTHERS, .source_keys_known = true};
static const struct flush_facts copied = {
    .keys = KEYS, .holds = FLUSH_HOLDS_COPY, .owned = true, .source_keys_known = true, .source_keys = KEYS};

static enum flush_verdict with(struct flush_facts facts, void (*change)(struct flush_facts *f))
{
    change(&facts);
    return flush_guard(&facts);
}

static void nothing(struct flush_facts *f)
{
    (void)f;
}

static void emptied(struct flush_facts *f)
{
    f->keys = 0;
}

static void flush_given(struct flush_facts *f)
{
    f->flush_target = true;
}

static void conflict_given(struct flush_facts *f)
{
    f->conflict = true;
}

static void empty_target_needs_no_flush(void **state)
{
    (void)state;
    assert_int_equal(with(nobodys, emptied), FLUSH_NOT_NEEDED);
    assert_int_equal(with(copied, emptied), FLUSH_NOT_NEEDED);
}

static void keys_of_others_need_an_option(void **state)
{
    (void)state;
    assert_int_equal(with(nobodys, nothing), FLUSH_STOP_OTHERS);
    assert_int_equal(with(nobodys, flush_given), FLUSH_NOW);
    assert_int_equal(with(nobodys, conflict_given), FLUSH_WRITE_OVER);
}

static void stray(struct flush_facts *f)
{
    f->holds = FLUSH_HOLDS_STRAY;
}

static void stray_flush_given(struct flush_facts *f)
{
    stray(f);
    f->flush_target = true;
}

static void stray_conflict_given(struct flush_facts *f)
{
    stray(f);
    f->conflict = true;
}

static void complete_copy_without_its_state_directory_is_not_emptied(void **state)
{
    (void)state;
    assert_int_equal(with(nobodys, stray), FLUSH_STOP_STRAY);
    assert_int_equal(with(nobodys, stray_flush_given), FLUSH_STOP_STRAY);
    assert_int_equal(with(nobodys, stray_conflict_given), FLUSH_WRITE_OVER);
}

static void done(struct flush_facts *f)
{
    f->holds = FLUSH_HOLDS_DONE;
}

static void done_flush_given(struct flush_facts *f)
{
    done(f);
    f->flush_target = true;
}

static void done_conflict_given(struct flush_facts *f)
{
    done(f);
    f->conflict = true;
}

static void done_both_given(struct flush_facts *f)
{
    done_flush_given(f);
    f->conflict = true;
}

static void done_flush_chosen(struct flush_facts *f)
{
    done_flush_given(f);
    f->source_keys = KEYS;
    f->resync_given = true;
}

static void done_flush_chosen_source_empty(struct flush_facts *f)
{
    done_flush_chosen(f);
    f->source_keys = 0;
}

static void complete_copy_that_is_not_resumed_is_not_emptied(void **state)
{
    (void)state;
    assert_int_equal(with(nobodys, done), FLUSH_STOP_DONE);
    assert_int_equal(with(nobodys, done_flush_given), FLUSH_STOP_DONE);
    assert_int_equal(with(nobodys, done_both_given), FLUSH_STOP_DONE);
    assert_int_equal(with(nobodys, done_conflict_given), FLUSH_WRITE_OVER);
    assert_int_equal(with(nobodys, done_flush_chosen), FLUSH_NOW);
    assert_int_equal(with(nobodys, done_flush_chosen_source_empty), FLUSH_STOP_SOURCE_LOST_KEYS);
}

static void other_source(struct flush_facts *f)
{
    f->source = FLUSH_SOURCE_OTHER;
}

static void other_source_flush_given(struct flush_facts *f)
{
    other_source(f);
    f->flush_target = true;
}

static void other_source_keep_given(struct flush_facts *f)
{
    other_source_flush_given(f);
    f->resync = ON_FULL_RESYNC_KEEP;
    f->resync_given = true;
}

static void other_source_partial_keep_given(struct flush_facts *f)
{
    other_source_keep_given(f);
    f->holds = FLUSH_HOLDS_PARTIAL;
}

static void other_source_kept(struct flush_facts *f)
{
    other_source_flush_given(f);
    f->kept = true;
}

static void other_source_kept_stop_given(struct flush_facts *f)
{
    other_source_kept(f);
    f->resync = ON_FULL_RESYNC_STOP;
    f->resync_given = true;
}

static void other_source_kept_resync_given(struct flush_facts *f)
{
    other_source_kept(f);
    f->resync_given = true;
}

static void copy_of_another_source_that_is_to_be_kept_is_not_flushed(void **state)
{
    (void)state;
    assert_int_equal(with(copied, other_source_keep_given), FLUSH_STOP_OTHER_SOURCE);
    assert_int_equal(with(copied, other_source_partial_keep_given), FLUSH_STOP_OTHER_SOURCE);
    assert_int_equal(with(copied, other_source_kept), FLUSH_STOP_OTHER_SOURCE);
    assert_int_equal(with(copied, other_source_kept_stop_given), FLUSH_STOP_OTHER_SOURCE);
    assert_int_equal(with(copied, other_source_kept_resync_given), FLUSH_NOW);
}

static void other_source_partial_flush_given(struct flush_facts *f)
{
    other_source_flush_given(f);
    f->holds = FLUSH_HOLDS_PARTIAL;
}

static void other_source_flush_chosen(struct flush_facts *f)
{
    other_source_flush_given(f);
    f->resync_given = true;
}

static void other_source_empty_flush_chosen(struct flush_facts *f)
{
    other_source_flush_chosen(f);
    f->source_keys = 0;
}

static void other_sources_copy_needs_an_explicit_option(void **state)
{
    (void)state;
    assert_int_equal(with(copied, other_source), FLUSH_STOP_OTHER_SOURCE);
    assert_int_equal(with(copied, other_source_flush_given), FLUSH_STOP_OTHER_SOURCE);
    assert_int_equal(with(copied, other_source_partial_flush_given), FLUSH_NOW);
    assert_int_equal(with(copied, other_source_flush_chosen), FLUSH_NOW);
    assert_int_equal(with(copied, other_source_empty_flush_chosen), FLUSH_STOP_SOURCE_LOST_KEYS);
}

static void partial(struct flush_facts *f)
{
    f->holds = FLUSH_HOLDS_PARTIAL;
}

static void partial_over_keys_of_others(struct flush_facts *f)
{
    partial(f);
    f->owned = false;
    f->resync = ON_FULL_RESYNC_STOP;
}

static void the_same_flush_given(struct flush_facts *f)
{
    partial_over_keys_of_others(f);
    f->flush_target = true;
}

static void unfinished_copy_begins_anew_with_a_flush(void **state)
{
    (void)state;
    assert_int_equal(with(copied, partial), FLUSH_NOW);
    assert_int_equal(with(copied, partial_over_keys_of_others), FLUSH_STOP_ASKED);
    assert_int_equal(with(copied, the_same_flush_given), FLUSH_NOW);
}

static void stop_given(struct flush_facts *f)
{
    f->resync = ON_FULL_RESYNC_STOP;
    f->resync_given = true;
}

static void keep_given(struct flush_facts *f)
{
    f->resync = ON_FULL_RESYNC_KEEP;
    f->resync_given = true;
}

static void over_keys_of_others(struct flush_facts *f)
{
    f->owned = false;
}

static void complete_copy_is_treated_as_the_option_says(void **state)
{
    (void)state;
    assert_int_equal(with(copied, nothing), FLUSH_NOW);
    assert_int_equal(with(copied, stop_given), FLUSH_STOP_ASKED);
    assert_int_equal(with(copied, keep_given), FLUSH_WRITE_OVER);
    assert_int_equal(with(copied, over_keys_of_others), FLUSH_WRITE_OVER);
}

static void half_left(struct flush_facts *f)
{
    f->source = FLUSH_SOURCE_RESTARTED;
    f->source_keys = KEYS / 2 + 1;
}

static void less_left(struct flush_facts *f)
{
    half_left(f);
    f->source_keys--;
}

static void unknown_left(struct flush_facts *f)
{
    half_left(f);
    f->source_keys_known = false;
}

static void fewer_on_the_same_master(struct flush_facts *f)
{
    f->source_keys = 1;
}

static void fewer_on_a_master_that_was_a_replica(struct flush_facts *f)
{
    f->source = FLUSH_SOURCE_SAME_PROCESS;
    f->source_keys = 1;
}

static void unknown_on_a_master_that_was_a_replica(struct flush_facts *f)
{
    f->source = FLUSH_SOURCE_SAME_PROCESS;
    f->source_keys_known = false;
}

static void unknown_on_the_same_master(struct flush_facts *f)
{
    f->source_keys_known = false;
}

static void none_on_the_same_master_flush_given(struct flush_facts *f)
{
    f->source_keys = 0;
    f->flush_target = true;
}

static void source_that_lost_its_keys_does_not_take_the_copy_with_it(void **state)
{
    (void)state;
    assert_int_equal(with(copied, half_left), FLUSH_NOW);
    assert_int_equal(with(copied, less_left), FLUSH_STOP_SOURCE_LOST_KEYS);
    assert_int_equal(with(copied, unknown_left), FLUSH_STOP_SOURCE_LOST_KEYS);
    assert_int_equal(with(copied, fewer_on_a_master_that_was_a_replica), FLUSH_STOP_SOURCE_LOST_KEYS);
    assert_int_equal(with(copied, unknown_on_a_master_that_was_a_replica), FLUSH_NOW);
}

static void keys_that_clients_deleted_on_the_same_master_are_not_lost(void **state)
{
    (void)state;
    assert_int_equal(with(copied, fewer_on_the_same_master), FLUSH_NOW);
    assert_int_equal(with(copied, none_on_the_same_master_flush_given), FLUSH_NOW);
    assert_int_equal(with(copied, unknown_on_the_same_master), FLUSH_NOW);
}

static void ended(struct flush_facts *f)
{
    f->holds = FLUSH_HOLDS_ENDED;
}

static void ended_resync_given(struct flush_facts *f)
{
    ended(f);
    f->resync_given = true;
}

static void copy_of_an_ended_run_is_never_flushed_unasked(void **state)
{
    (void)state;
    assert_int_equal(with(copied, ended), FLUSH_STOP_ENDED);
    assert_int_equal(with(copied, ended_resync_given), FLUSH_NOW);
}

static void kept_copy(struct flush_facts *f)
{
    f->kept = true;
}

static void kept_partial(struct flush_facts *f)
{
    kept_copy(f);
    partial(f);
}

static void kept_partial_flush_given(struct flush_facts *f)
{
    kept_partial(f);
    f->flush_target = true;
}

static void kept_resync_given(struct flush_facts *f)
{
    kept_copy(f);
    f->resync_given = true;
}

static void keep_and_flush_given(struct flush_facts *f)
{
    keep_given(f);
    f->flush_target = true;
}

static void kept_partial_both_given(struct flush_facts *f)
{
    keep_and_flush_given(f);
    kept_partial(f);
}

static void partial_both_given(struct flush_facts *f)
{
    keep_and_flush_given(f);
    partial(f);
}

static void partial_of_lost_both_given(struct flush_facts *f)
{
    partial_both_given(f);
    less_left(f);
}

static void partial_over_others_both_given(struct flush_facts *f)
{
    partial_both_given(f);
    f->owned = false;
}

/* Nothing was complete, so nothing is there to be kept. */
static void unfinished_first_copy_is_flushed_although_keep_is_given(void **state)
{
    (void)state;
    assert_int_equal(with(copied, partial_both_given), FLUSH_NOW);
    assert_int_equal(with(copied, partial_over_others_both_given), FLUSH_NOW);
    assert_int_equal(with(copied, partial_of_lost_both_given), FLUSH_WRITE_OVER);
}

static void copy_that_was_kept_once_is_kept(void **state)
{
    (void)state;
    assert_int_equal(with(copied, kept_copy), FLUSH_WRITE_OVER);
    assert_int_equal(with(copied, kept_partial), FLUSH_WRITE_OVER);
    assert_int_equal(with(copied, kept_partial_flush_given), FLUSH_WRITE_OVER);
    assert_int_equal(with(copied, keep_and_flush_given), FLUSH_WRITE_OVER);
    assert_int_equal(with(copied, kept_partial_both_given), FLUSH_WRITE_OVER);
    assert_int_equal(with(copied, kept_resync_given), FLUSH_NOW);
}

static void prune_given(struct flush_facts *f)
{
    f->resync = ON_FULL_RESYNC_PRUNE;
    f->resync_given = true;
}

static void prune_ended(struct flush_facts *f)
{
    prune_given(f);
    ended(f);
}

static void prune_kept(struct flush_facts *f)
{
    prune_given(f);
    kept_copy(f);
}

static void prune_kept_partial_flush_given(struct flush_facts *f)
{
    prune_given(f);
    kept_partial_flush_given(f);
}

static void prune_partial_flush_given(struct flush_facts *f)
{
    prune_given(f);
    partial(f);
    f->flush_target = true;
}

static void prune_of_lost(struct flush_facts *f)
{
    prune_given(f);
    less_left(f);
}

static void prune_fewer_on_the_same_master(struct flush_facts *f)
{
    prune_given(f);
    fewer_on_the_same_master(f);
}

static void prune_of_lost_over_others(struct flush_facts *f)
{
    prune_of_lost(f);
    f->owned = false;
}

static void prune_of_others(struct flush_facts *f)
{
    prune_given(f);
    f->flush_target = false;
}

static void pruned_copy_is_written_over_unless_the_source_lost_keys(void **state)
{
    (void)state;
    assert_int_equal(with(copied, prune_given), FLUSH_WRITE_OVER);
    assert_int_equal(with(copied, prune_ended), FLUSH_WRITE_OVER);
    assert_int_equal(with(copied, prune_kept), FLUSH_WRITE_OVER);
    assert_int_equal(with(copied, prune_kept_partial_flush_given), FLUSH_WRITE_OVER);
    assert_int_equal(with(copied, prune_partial_flush_given), FLUSH_NOW);
    assert_int_equal(with(copied, prune_of_lost), FLUSH_STOP_SOURCE_LOST_KEYS);
    assert_int_equal(with(copied, prune_fewer_on_the_same_master), FLUSH_WRITE_OVER);
    assert_int_equal(with(copied, prune_of_lost_over_others), FLUSH_WRITE_OVER);
    assert_int_equal(with(nobodys, prune_of_others), FLUSH_STOP_OTHERS);
}

/* ---- all that may come together ---- */

static void each(void (*check)(const struct flush_facts *f))
{
    static const uint64_t keys[] = {0, 1, KEYS},
                          source_keys[] = {0, 1, KEYS / 2, KEYS / 2 + 1, KEYS, UINT64_MAX};
    for (unsigned bits = 0; bits < 64; bits++)
        for (int holds = FLUSH_HOLDS_OTHERS; holds <= FLUSH_HOLDS_ENDED; holds++)
            for (int source = FLUSH_SOURCE_SAME; source <= FLUSH_SOURCE_OTHER; source++)
                for (int resync = ON_FULL_RESYNC_FLUSH; resync <= ON_FULL_RESYNC_PRUNE; resync++)
                    for (unsigned k = 0; k < 3; k++)
                        for (unsigned s = 0; s < 6; s++)
                            check(&(struct flush_facts){.keys = keys[k],
                                                        .holds = (enum flush_holds)holds,
                                                        .owned = bits & 1,
                                                        .source = (enum flush_source)source,
                                                        .source_keys_known = bits & 2,
                                                        .source_keys = source_keys[s],
                                                        .flush_target = bits & 4,
                                                        .conflict = bits & 8,
                                                        .resync = (enum on_full_resync)resync,
                                                        .resync_given = bits & 16,
                                                        .kept = bits & 32});
}

static bool is_copy(const struct flush_facts *f)
{
    return f->holds == FLUSH_HOLDS_COPY || f->holds == FLUSH_HOLDS_ENDED;
}

static void check_prune_flushes_no_complete_copy(const struct flush_facts *f)
{
    if (f->resync == ON_FULL_RESYNC_PRUNE && is_copy(f))
        assert_int_not_equal(flush_guard(f), FLUSH_NOW);
}

static void prune_empties_no_complete_copy(void **state)
{
    (void)state;
    each(check_prune_flushes_no_complete_copy);
}

static void check_deletes_only_what_was_given_up(const struct flush_facts *f)
{
    if (flush_guard(f) != FLUSH_NOW)
        return;
    assert_true(f->keys > 0);
    bool written_by_this_run = f->holds == FLUSH_HOLDS_PARTIAL || is_copy(f);
    assert_true(f->flush_target || (f->owned && written_by_this_run && f->source != FLUSH_SOURCE_OTHER));
}

static void nothing_is_deleted_that_no_option_gave_up(void **state)
{
    (void)state;
    each(check_deletes_only_what_was_given_up);
}

static void check_flush_given_again(const struct flush_facts *f)
{
    struct flush_facts without = *f;
    without.flush_target = false;
    bool flush_chosen = f->resync_given && f->resync == ON_FULL_RESYNC_FLUSH;
    if (f->flush_target && is_copy(f) && !flush_chosen)
        assert_int_equal(flush_guard(f), flush_guard(&without));
    if (f->flush_target && f->holds == FLUSH_HOLDS_DONE && !flush_chosen)
        assert_int_not_equal(flush_guard(f), FLUSH_NOW);
}

static void flush_target_given_again_does_nothing_to_a_complete_copy(void **state)
{
    (void)state;
    each(check_flush_given_again);
}

static void check_only_good_copy(const struct flush_facts *f)
{
    bool fewer = f->source_keys_known && f->keys && f->source_keys < (f->keys + 1) / 2;
    bool own = is_copy(f) || f->holds == FLUSH_HOLDS_PARTIAL;
    if (own && f->source == FLUSH_SOURCE_RESTARTED && (fewer || !f->source_keys_known))
        assert_int_not_equal(flush_guard(f), FLUSH_NOW);
    if ((own && f->source == FLUSH_SOURCE_SAME_PROCESS && fewer) ||
        (f->source != FLUSH_SOURCE_SAME && is_copy(f) && fewer) || (f->holds == FLUSH_HOLDS_DONE && fewer))
        assert_int_not_equal(flush_guard(f), FLUSH_NOW);
    bool flush_chosen = f->resync_given && f->resync == ON_FULL_RESYNC_FLUSH;
    if (own && f->kept && !flush_chosen)
        assert_int_not_equal(flush_guard(f), FLUSH_NOW);
    if (is_copy(f) && f->resync == ON_FULL_RESYNC_KEEP)
        assert_int_not_equal(flush_guard(f), FLUSH_NOW);
}

static void only_good_copy_is_never_emptied(void **state)
{
    (void)state;
    each(check_only_good_copy);
}

/* ---- what is said ---- */

static void check_explained(const struct flush_facts *f)
{
    static struct settings s;
    static char reason[230];
    struct error error = {0};
    enum flush_verdict verdict = flush_guard(f);
    if (!s.target.host) {
        char host[100];
        memset(host, 'h', sizeof host - 1);
        host[sizeof host - 1] = '\0';
        memset(reason, 'r', sizeof reason - 1);
        settings_init(&s);
        char uri[160];
        snprintf(uri, sizeof uri, "redis://:secret@%s:65000", host);
        assert_true(settings_set(&s, "target", uri, NULL));
        assert_true(settings_set(&s, "source", "redis://:secret@source:65000", NULL));
        assert_true(settings_set(&s, "name", "a-name-of-a-run", NULL));
    }
    flush_guard_explain(verdict, f, &s, "redis://second-address:65001", "redis://source-before:65000", reason,
                        &error);
    if (verdict < FLUSH_STOP) {
        assert_int_equal(error.class, ERROR_NONE);
        return;
    }
    assert_int_equal(error.class, ERROR_FATAL);
    assert_true(error.exit_code == EX_CANTCREAT || error.exit_code == EX_TEMPFAIL);
    assert_non_null(strstr(error.text, "Choose: "));
    assert_null(strstr(error.text, "secret"));
    assert_true(strlen(error.text) < sizeof error.text - 1); /* the way out stands at its end */
    /* Of several addresses the one that is replicated from, not the first. */
    if (verdict == FLUSH_STOP_OTHER_SOURCE)
        assert_non_null(strstr(error.text, "the source is redis://second-address:65001 now"));
    if (verdict == FLUSH_STOP_OTHER_SOURCE && (f->resync == ON_FULL_RESYNC_KEEP || is_copy(f)))
        assert_non_null(strstr(error.text, "--flush-target with --on-full-resync flush, which"));
    if (verdict == FLUSH_STOP_SOURCE_LOST_KEYS)
        assert_non_null(strstr(error.text, f->source == FLUSH_SOURCE_RESTARTED
                                               ? "source redis://second-address:65001 was restarted"
                                               : "source redis://second-address:65001 has"));
}

static void every_stop_names_the_ways_out(void **state)
{
    (void)state;
    each(check_explained);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_target_needs_no_flush),
        cmocka_unit_test(keys_of_others_need_an_option),
        cmocka_unit_test(complete_copy_without_its_state_directory_is_not_emptied),
        cmocka_unit_test(complete_copy_that_is_not_resumed_is_not_emptied),
        cmocka_unit_test(other_sources_copy_needs_an_explicit_option),
        cmocka_unit_test(copy_of_another_source_that_is_to_be_kept_is_not_flushed),
        cmocka_unit_test(unfinished_copy_begins_anew_with_a_flush),
        cmocka_unit_test(complete_copy_is_treated_as_the_option_says),
        cmocka_unit_test(source_that_lost_its_keys_does_not_take_the_copy_with_it),
        cmocka_unit_test(keys_that_clients_deleted_on_the_same_master_are_not_lost),
        cmocka_unit_test(copy_of_an_ended_run_is_never_flushed_unasked),
        cmocka_unit_test(copy_that_was_kept_once_is_kept),
        cmocka_unit_test(unfinished_first_copy_is_flushed_although_keep_is_given),
        cmocka_unit_test(pruned_copy_is_written_over_unless_the_source_lost_keys),
        cmocka_unit_test(prune_empties_no_complete_copy),
        cmocka_unit_test(nothing_is_deleted_that_no_option_gave_up),
        cmocka_unit_test(flush_target_given_again_does_nothing_to_a_complete_copy),
        cmocka_unit_test(only_good_copy_is_never_emptied),
        cmocka_unit_test(every_stop_names_the_ways_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
