/* The keys that were rewritten lately, since a position of the target. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <stdio.h>
#include <unistd.h>

#include "worker/keys/suspects.h"
#include "worker/verify/healed.h"

enum { SESSION = 7 };

static char told[256], directory[64];
static struct healed *healed;

static void tell(void *arg, uint32_t db, struct slice key)
{
    size_t len = strlen(told);
    (void)arg;
    snprintf(told + len, sizeof told - len, "%u:%.*s ", db, (int)key.len, (const char *)key.data);
}

static bool take_since(uint64_t seq)
{
    told[0] = '\0';
    return healed_take_since(healed, seq, tell, NULL);
}

static void reopen(uint64_t session, bool fresh)
{
    struct error error;
    healed_close(healed);
    healed = healed_open("healed", directory, 3, session, fresh, &error);
    if (!healed)
        fail_msg("%s", error.text);
}

static int setup(void **state)
{
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/df2redis-healed-XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    reopen(SESSION, true);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    healed_close(healed);
    healed = NULL;
    suspects_remove_file_as("healed", directory, 3);
    return rmdir(directory);
}

static void keys_are_told_from_the_position_on_and_once(void **state)
{
    (void)state;
    assert_true(take_since(0));
    assert_string_equal(told, "");
    healed_add(healed, 0, slice_str("old"), 9);
    healed_add(healed, 0, slice_str("same"), 10);
    healed_add(healed, 3, slice_str(""), 11);
    healed_add(healed, 0, slice_str("new"), 12);
    assert_true(take_since(10));
    assert_string_equal(told, "0:same 3: 0:new ");
    assert_true(take_since(0));
    assert_string_equal(told, "");
}

static void a_successor_knows_them(void **state)
{
    (void)state;
    healed_add(healed, 0, slice_str("again"), 9);
    healed_add(healed, 0, slice_str("old"), 9);
    healed_add(healed, 0, slice_str("again"), 12);
    reopen(SESSION, false);
    assert_true(take_since(10));
    assert_string_equal(told, "0:again ");
    reopen(SESSION, false);
    assert_true(take_since(0));
    assert_string_equal(told, "");
}

/* Its marks are after all of them; a mark of the earlier session may be before them. */
static void a_later_session_counts_them_as_its_beginning(void **state)
{
    (void)state;
    healed_add(healed, 0, slice_str("k"), 900);
    reopen(SESSION + 1, false);
    assert_true(take_since(1));
    assert_string_equal(told, "");
    healed_add(healed, 0, slice_str("k"), 900);
    reopen(SESSION + 2, false);
    assert_true(take_since(0));
    assert_string_equal(told, "0:k ");
    healed_add(healed, 0, slice_str("k"), 900);
    reopen(SESSION + 3, true);
    assert_true(take_since(0));
    assert_string_equal(told, "");
}

static void add_many(uint64_t keys, uint64_t seq)
{
    char key[24];
    for (uint64_t i = 0; i < keys; i++)
        healed_add(healed, 0,
                   slice_of(key, (size_t)snprintf(key, sizeof key, "k%llu", (unsigned long long)i)),
                   seq + i / 10000);
}

static void it_is_known_whether_keys_were_dropped(void **state)
{
    (void)state;
    enum { KEYS = 40000 };
    add_many(KEYS, 0);
    assert_false(take_since(0));
    assert_true(take_since(0));
    add_many(KEYS, 0);
    assert_true(take_since(1)); /* the dropped ones were before it */
    add_many(KEYS, 5);
    reopen(SESSION, false);
    assert_false(take_since(5));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(keys_are_told_from_the_position_on_and_once),
        TEST(a_successor_knows_them),
        TEST(a_later_session_counts_them_as_its_beginning),
        TEST(it_is_known_whether_keys_were_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
