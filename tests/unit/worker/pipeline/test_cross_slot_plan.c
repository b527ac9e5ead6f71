/* Which journaled commands go across slots of a cluster, and how. {a}, {b} … put a key into a slot. */
#include "worker/pipeline/cross_slot_plan.h"

#include "tests/support/translate_case.h"
#include "worker/cluster/cluster.h"

struct fixture {
    struct settings settings;
    struct capabilities target;
    struct translator t;
    struct slice words[CASE_MAX_WORDS];
    struct entry e;
    struct cross_plan plan;
    struct router *router; /* NULL: no slot is on its way */
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    settings_init(&f->settings);
    f->target = case_modern_target();
    f->t = (struct translator){.settings = &f->settings, .target = &f->target};
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    cross_plan_free(&f->plan);
    settings_free(&f->settings);
    free(f);
    return 0;
}

static bool plan(struct fixture *f, const char *line)
{
    f->e = (struct entry){.kind = ENTRY_COMMAND, .argv = f->words};
    for (const char *at = line; *at;) {
        const char *end = strchrnul(at, ' ');
        f->words[f->e.argc++] = slice_of(at, (size_t)(end - at));
        at = *end ? end + 1 : end;
    }
    cross_plan_free(&f->plan);
    return cross_plan(&f->t, f->router, &f->e, &f->plan);
}

static void commands_within_a_slot_are_as_any_other(void **state)
{
    static const char *const lines[] = {
        "RENAME {a}1 {a}2", "SMOVE {a}1 {a}2 m",       "SET {a} v",          "SUNIONSTORE {a}1 {a}2 {a}3",
        "DEL {a} {b}",      "MSET {a} 1 {b} 2",        "MSETNX {a} 1 {b} 2", "SORT {a}1 STORE {a}2",
        "SORT {a}1",        "ZUNIONSTORE {a}1 1 {a}2", "NOSUCH {a} {b}",     "LMPOP 2 {a} {b} LEFT",
        "RENAME {a}",       "GEORADIUS {a} 1 2 3 m",   "BLPOP {a} {b} 0",    "PFMERGE {a}1",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        assert_false(plan(*state, lines[i]));
}

static void moves_write_one_slot_and_take_from_the_other(void **state)
{
    struct fixture *f = *state;
    assert_true(plan(f, "RENAME {a} {b}"));
    assert_true(f->plan.moves && f->plan.dumps);
    assert_int_equal(f->plan.destination, 2);
    assert_int_equal(f->plan.source_count, 1);
    assert_int_equal(f->plan.sources[0], 1);
    assert_string_equal(f->plan.take, "DEL");
    assert_true(plan(f, "SMOVE {a} {b} m"));
    assert_true(f->plan.moves && !f->plan.dumps);
    assert_int_equal(f->plan.member, 3);
    assert_string_equal(f->plan.put, "SADD");
    assert_string_equal(f->plan.take, "SREM");
}

static void list_moves_know_their_sides(void **state)
{
    static const struct {
        const char *line, *index, *put, *take;
    } cases[] = {
        {"LMOVE {a} {b} LEFT RIGHT", "0", "RPUSH", "LPOP"},
        {"LMOVE {a} {b} right left", "-1", "LPUSH", "RPOP"},
        {"RPOPLPUSH {a} {b}", "-1", "LPUSH", "RPOP"},
        {"BRPOPLPUSH {a} {b} 0", "-1", "LPUSH", "RPOP"},
        {"BLMOVE {a} {b} LEFT LEFT 0", "0", "LPUSH", "LPOP"},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct slice argv[4];
        assert_true(plan(f, cases[i].line));
        assert_true(f->plan.moves);
        assert_string_equal(f->plan.put, cases[i].put);
        assert_string_equal(f->plan.take, cases[i].take);
        assert_int_equal(cross_plan_question(&f->plan, &f->e, 0, argv), 3);
        assert_true(slice_is(argv[0], "LINDEX"));
        assert_true(slice_is(argv[2], cases[i].index));
    }
}

static void stored_results_gather_what_lies_elsewhere(void **state)
{
    static const struct {
        const char *line;
        size_t destination, count, first;
    } cases[] = {
        {"SUNIONSTORE {a} {b} {a}2 {c}", 1, 2, 2},
        {"BITOP AND {a} {b} {c}", 2, 2, 3},
        {"ZUNIONSTORE {a} 2 {b} {c} WEIGHTS 1 2", 1, 2, 3},
        {"ZRANGESTORE {a} {b} 0 1", 1, 1, 2},
        {"PFMERGE {a} {b}", 1, 1, 2},
        {"COPY {a} {b} REPLACE", 2, 1, 1},
        {"SORT {a} ALPHA STORE {b}", 4, 1, 1},
        {"GEORADIUSBYMEMBER {a} m 10 km STOREDIST {b}", 6, 1, 1},
        {"CMS.MERGE {a} 2 {b} {a}", 1, 1, 3},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct slice argv[4];
        assert_true(plan(f, cases[i].line));
        assert_true(f->plan.dumps && !f->plan.moves);
        assert_int_equal(f->plan.destination, cases[i].destination);
        assert_int_equal(f->plan.source_count, cases[i].count);
        assert_int_equal(f->plan.sources[0], cases[i].first);
        assert_int_equal(cross_plan_question(&f->plan, &f->e, 0, argv), 2);
        assert_true(slice_is(argv[0], "DUMP"));
    }
}

static void a_filter_between_the_keys_leaves_it_to_the_rewrites(void **state)
{
    struct fixture *f = *state;
    assert_true(settings_set(&f->settings, "exclude", "{b}*", NULL));
    assert_false(plan(f, "RENAME {a} {b}"));
    assert_true(plan(f, "RENAME {a} {c}"));
}

/* Of "{a}" alone, whose node imports it. */
static void those_of_a_slot_on_its_way_go_key_by_key(void **state)
{
    static struct cluster cluster;
    struct router router = {.cluster = &cluster};
    struct fixture *f = *state;
    f->router = &router;
    cluster.by_asking[key_slot(slice_str("{a}"))] = 1;
    assert_true(plan(f, "RENAME {a}1 {a}2"));
    assert_true(f->plan.one_slot && f->plan.moves && f->plan.dumps);
    assert_int_equal(f->plan.destination, 2);
    assert_int_equal(f->plan.source_count, 1);
    assert_int_equal(f->plan.sources[0], 1);
    assert_true(plan(f, "SMOVE {a}1 {a}2 m"));
    assert_true(f->plan.one_slot);
    assert_true(plan(f, "RENAME {a}1 {b}"));
    assert_false(f->plan.one_slot);
    assert_false(plan(f, "RENAME {a}1 {a}1")); /* it would be taken */
    assert_false(plan(f, "RENAME {b}1 {b}2"));
    assert_false(plan(f, "RPOPLPUSH {a}1 {a}2")); /* what is put would be put again */
    assert_false(plan(f, "COPY {a}1 {a}2"));
}

static void other_databases_are_not_asked_for(void **state)
{
    struct fixture *f = *state;
    assert_true(plan(f, "RENAME {a} {b}"));
    f->e.db = 3;
    cross_plan_free(&f->plan);
    assert_false(cross_plan(&f->t, NULL, &f->e, &f->plan));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(commands_within_a_slot_are_as_any_other, setup, teardown),
        cmocka_unit_test_setup_teardown(moves_write_one_slot_and_take_from_the_other, setup, teardown),
        cmocka_unit_test_setup_teardown(list_moves_know_their_sides, setup, teardown),
        cmocka_unit_test_setup_teardown(those_of_a_slot_on_its_way_go_key_by_key, setup, teardown),
        cmocka_unit_test_setup_teardown(stored_results_gather_what_lies_elsewhere, setup, teardown),
        cmocka_unit_test_setup_teardown(a_filter_between_the_keys_leaves_it_to_the_rewrites, setup, teardown),
        cmocka_unit_test_setup_teardown(other_databases_are_not_asked_for, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
