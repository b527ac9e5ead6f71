/* What the kernel tells of those it killed for want of memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <unistd.h>

#include "supervisor/flow/oom.h"

static struct oom_count count_in(const char *text)
{
    return oom_count_in(slice_str(text));
}

static void count_is_found_among_others(void **state)
{
    (void)state;
    struct oom_count c = count_in("low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 1\n");
    assert_true(c.known);
    assert_int_equal(c.kills, 2);
    c = count_in("oom_kill 18446744073709551615");
    assert_true(c.known && c.kills == UINT64_MAX);
}

static void text_without_it_tells_nothing(void **state)
{
    (void)state;
    assert_false(count_in("").known);
    assert_false(count_in("oom 3\noom_kill_x 2\nxoom_kill 3\n").known);
    assert_false(count_in("oom_kill\noom_kill many\n").known);
}

static void change_or_ignorance_may_be_a_kill(void **state)
{
    (void)state;
    struct oom_count none = {0}, three = {true, 3}, four = {true, 4};
    assert_false(oom_since(three, three));
    assert_true(oom_since(three, four));
    assert_true(oom_since(none, three));
    assert_true(oom_since(three, none));
}

static void this_machine_tells_where_its_proc_does(void **state)
{
    (void)state;
    if (access("/proc/vmstat", R_OK) != 0)
        skip();
    struct oom_count now = oom_count_now();
    assert_true(now.known);
    assert_true(oom_count_now().kills >= now.kills);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(count_is_found_among_others),
        cmocka_unit_test(text_without_it_tells_nothing),
        cmocka_unit_test(change_or_ignorance_may_be_a_kill),
        cmocka_unit_test(this_machine_tells_where_its_proc_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
