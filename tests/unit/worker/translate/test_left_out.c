/* Filters that the target cannot be given: what is added to them later makes no new one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <unistd.h>

#include "tests/support/translate_case.h"
#include "worker/translate/left_out.h"

static struct translate_case case_at_hand;
static char directory[64];

static struct suspects *open_set(bool fresh)
{
    struct error error;
    struct suspects *s = left_out_open(directory, 3, fresh, &error);
    if (!s)
        fail_msg("%s", error.text);
    return s;
}

static int setup(void **state)
{
    snprintf(directory, sizeof directory, "/tmp/df2redis-left-out-XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    case_open(&case_at_hand, case_modern_target());
    case_at_hand.translator.left_out = open_set(true);
    *state = &case_at_hand;
    return 0;
}

static int teardown(void **state)
{
    struct translate_case *c = *state;
    suspects_close(c->translator.left_out);
    case_close(c);
    left_out_remove_file(directory, 3);
    return rmdir(directory);
}

static void leave_out(struct translate_case *c, const char *key)
{
    struct entry e = {.kind = ENTRY_UNSUPPORTED, .type = RDB_SBF2, .key = slice_str(key)};
    assert_true(translate_snapshot(&c->translator, &e, &c->error));
}

static void what_is_added_to_one_that_was_left_out_makes_none(void **state)
{
    struct translate_case *c = *state;
    leave_out(c, "f");
    case_expect(c, "BF.ADD f x", "", false);
    case_expect(c, "BF.MADD f x y", "", false);
    case_expect(c, "CMS.INCRBY f x 1", "", false);
    case_expect_reports(c, ""); /* the filter itself was reported */
    case_expect(c, "BF.ADD other x", "BF.ADD other x", false);
}

static void one_that_is_made_anew_is_carried_over(void **state)
{
    struct translate_case *c = *state;
    static const char *const ends[] = {"DEL f", "UNLINK a f", "SET f v", "RENAME other f", NULL};
    for (const char *const *end = ends; *end; end++) {
        leave_out(c, "f");
        case_expect(c, *end, *end, strncmp(*end, "RENAME", 6) == 0);
        case_expect(c, "BF.ADD f x", "BF.ADD f x", false);
    }
    leave_out(c, "f");
    case_expect(c, "BF.RESERVE f 0.01 100", "BF.RESERVE f 0.01 100", true);
    case_expect(c, "BF.ADD f x", "BF.ADD f x", false);
}

static void renamed_one_stays_left_out(void **state)
{
    struct translate_case *c = *state;
    leave_out(c, "f");
    case_expect(c, "RENAME f g", "RENAME f g", true);
    case_expect(c, "BF.ADD g x", "", false);
    case_expect(c, "BF.ADD f x", "BF.ADD f x", false);
}

/* After a lost connection, or by a successor. */
static void renamed_one_stays_left_out_when_the_entries_run_again(void **state)
{
    struct translate_case *c = *state;
    leave_out(c, "f");
    case_expect(c, "RENAME f g", "RENAME f g", true);
    c->translator.ignore_conflicts = true;
    case_expect(c, "RENAME f g", "RENAME f g", true);
    case_expect(c, "BF.ADD g x", "", false);
}

static void pieces_of_the_sources_layout_leave_it_out(void **state)
{
    struct translate_case *c = *state;
    case_expect(c, "BF.LOADCHUNK f 1 bytes", "", false);
    case_expect_reports(c, "command_not_in_target BF.LOADCHUNK f\n");
    case_expect(c, "BF.ADD f x", "", false);
}

static void successor_knows_them_and_a_flush_ends_them(void **state)
{
    struct translate_case *c = *state;
    uint32_t other = 7, own = 0;
    leave_out(c, "f");
    suspects_close(c->translator.left_out);
    c->translator.left_out = open_set(false);
    case_expect(c, "BF.ADD f x", "", false);
    suspects_remove_all(c->translator.left_out, &other);
    case_expect(c, "BF.ADD f x", "", false);
    suspects_remove_all(c->translator.left_out, &own);
    case_expect(c, "BF.ADD f x", "BF.ADD f x", false);
    leave_out(c, "f");
    suspects_remove_all(c->translator.left_out, NULL);
    case_expect(c, "BF.ADD f x", "BF.ADD f x", false);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_added_to_one_that_was_left_out_makes_none),
        TEST(one_that_is_made_anew_is_carried_over),
        TEST(renamed_one_stays_left_out),
        TEST(renamed_one_stays_left_out_when_the_entries_run_again),
        TEST(pieces_of_the_sources_layout_leave_it_out),
        TEST(successor_knows_them_and_a_flush_ends_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
