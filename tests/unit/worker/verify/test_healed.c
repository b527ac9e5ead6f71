/* The keys that were rewritten lately, since a position of the target. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <stdio.h>

#include "worker/verify/healed.h"

static char told[256];

static void tell(void *arg, uint32_t db, struct slice key)
{
    size_t len = strlen(told);
    (void)arg;
    snprintf(told + len, sizeof told - len, "%u:%.*s ", db, (int)key.len, (const char *)key.data);
}

static bool take_since(struct healed *h, uint64_t seq)
{
    told[0] = '\0';
    return healed_take_since(h, seq, tell, NULL);
}

static void keys_are_told_from_the_position_on_and_once(void **state)
{
    (void)state;
    struct healed *h = healed_new();
    assert_true(take_since(h, 0));
    assert_string_equal(told, "");
    healed_add(h, 0, slice_str("old"), 9);
    healed_add(h, 0, slice_str("same"), 10);
    healed_add(h, 3, slice_str(""), 11);
    healed_add(h, 0, slice_str("new"), 12);
    assert_true(take_since(h, 10));
    assert_string_equal(told, "0:same 3: 0:new ");
    assert_true(take_since(h, 0));
    assert_string_equal(told, "");
    healed_free(h);
}

static void it_is_known_whether_keys_were_dropped(void **state)
{
    (void)state;
    enum { KEYS = 40000 };
    struct healed *h = healed_new();
    for (uint64_t i = 0; i < KEYS; i++)
        healed_add(h, 0, slice_str("k"), i / 10000);
    assert_false(take_since(h, 0));
    assert_true(take_since(h, 0));
    for (uint64_t i = 0; i < KEYS; i++)
        healed_add(h, 0, slice_str("k"), i / 10000);
    assert_true(take_since(h, 1)); /* the dropped ones were before it */
    healed_free(h);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_told_from_the_position_on_and_once),
        cmocka_unit_test(it_is_known_whether_keys_were_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
