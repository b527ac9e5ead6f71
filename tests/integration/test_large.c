/* Values of any size pass through in pieces: all of it arrives, and the workers stay small.
 *
 * 300,000 elements and 24 MiB by default; with DF2REDIS_TEST_LARGE=1 ten million elements and 512 MiB,
 * Redis's limit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <sysexits.h>

#include "tests/support/generate.h"
#include "tests/support/run.h"
#include "tests/support/testing.h"
#include "tests/support/usage.h"

enum { WORKER_MIB = 64, LARGE_DEADLINE_MS = 900000 };

enum content { LIST, HASH, SET, ZSET, STRINGS };

struct large {
    enum content content;
    bool in_chunks; /* as TAGGED_CHUNKs in LZ4 blobs, as Dragonfly since 1.38; else one plain entry */
};

static struct run run;
static struct generate_options options;
static struct state_server target;
static struct state_value expected, actual;

static int teardown(void **state)
{
    (void)state;
    state_close(&target);
    state_value_free(&expected);
    state_value_free(&actual);
    run_end(&run);
    return 0;
}

static bool at_full_size(void)
{
    const char *text = getenv("DF2REDIS_TEST_LARGE");
    return text && *text == '1';
}

static void choose_options(const struct large *l)
{
    uint64_t elements = at_full_size() ? 10000000 : 300000;
    generate_options_init(&options);
    options.plain = !l->in_chunks;
    options.chunk_bytes = l->in_chunks ? 65536 : 0;
    switch (l->content) {
    case LIST:
        options.lists = 1;
        options.list_items = elements;
        break;
    case HASH:
        options.hashes = 1;
        options.hash_fields = elements;
        break;
    case SET:
        options.sets = 1;
        options.set_members = elements;
        break;
    case ZSET:
        options.zsets = 1;
        options.zset_members = elements;
        break;
    case STRINGS:
        options.strings = 2;
        options.string_bytes = at_full_size() ? 512u << 20 : 24u << 20;
        break;
    }
    options.journal_sets = 10;
}

static void make_expected(enum content content, uint64_t elements)
{
    struct buf a = {0}, b = {0};
    state_value_clear(&expected);
    static const char *const types[] = {"list", "hash", "set", "zset"};
    snprintf(expected.type, sizeof expected.type, "%s", types[content]);
    for (uint64_t i = 0; i < elements; i++) {
        buf_clear(&a);
        buf_clear(&b);
        if (content == LIST)
            generate_item(&a, 0, i);
        else if (content == HASH)
            generate_field(&a, 0, i);
        else
            generate_member(&a, 0, i);
        if (content == HASH)
            generate_value(&b, 0, i);
        struct slice parts[2] = {buf_slice(&a), buf_slice(&b)};
        if (content == ZSET)
            state_item_score(&expected, parts[0], generate_score(0, i));
        else
            state_item_add(&expected, content == HASH ? 2 : 1, parts);
    }
    if (content != LIST)
        state_value_sort(&expected, false);
    buf_free(&a);
    buf_free(&b);
}

static void make_expected_string(uint64_t n)
{
    struct buf text = {0};
    state_value_clear(&expected);
    snprintf(expected.type, sizeof expected.type, "string");
    generate_string(&text, &options, n);
    state_item_string(&expected, buf_slice(&text));
    buf_free(&text);
}

static void assert_key_is_expected(const char *key)
{
    struct state_read_options how = {0};
    struct slice name = slice_str(key);
    state_read(&target, &how, &name, 1, &actual);
    const char *difference = state_value_difference(&expected, &actual, 0, 0);
    if (*difference)
        print_error("%s: %s\n", key, difference);
    assert_string_equal(difference, "");
}

struct watch {
    struct usage usage;
    bool ended;
};

static bool is_acked(void *arg)
{
    struct watch *w = arg;
    usage_sample(&w->usage);
    w->ended = !process_running(&run.program.process);
    return w->ended || scripted_wait_acked(run.source, 0);
}

static void large_value_arrives_whole(void **state)
{
    const struct large *l = *state;
    struct scripted_options master;
    choose_options(l);
    scripted_options_init(&master);
    scripted_options_add(&master, generate_session(&options, NULL));
    run_begin(&run, &master);
    static const char *const small_ring[] = {"--ring-size", "16m", NULL};
    run_replicate(&run, l->content == STRINGS ? NULL : small_ring);
    struct watch watch = {.usage = {.parent = run.program.process.pid}};
    bool done = wait_until(is_acked, &watch, LARGE_DEADLINE_MS) && !watch.ended;
    if (!done) {
        scripted_print(run.source, stderr);
        df2redis_print(&run.program);
    }
    assert_true(done);
    state_open(&target, run.target.port, NULL);
    static const char *const keys[] = {"list:0", "hash:0", "set:0", "zset:0"};
    if (l->content == STRINGS) {
        make_expected_string(0);
        assert_key_is_expected("string:0");
        make_expected_string(1);
        assert_key_is_expected("string:1");
    } else {
        make_expected(l->content, at_full_size() ? 10000000 : 300000);
        assert_key_is_expected(keys[l->content]);
    }
    uint64_t mib = usage_peak_anon_bytes(&watch.usage) >> 20;
    print_message("worker: at most %llu MiB of anonymous memory\n", (unsigned long long)mib);
    assert_true(mib <= WORKER_MIB);
    assert_int_equal(run_terminate(&run), EX_OK);
    assert_string_equal(scripted_violation(run.source), "");
}

#define LARGE(test_name, ...)                                                                                \
    {                                                                                                        \
        .name = test_name, .test_func = large_value_arrives_whole, .teardown_func = teardown,                \
        .initial_state = &(struct large){__VA_ARGS__},                                                       \
    }

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        LARGE("large_list_arrives_whole", LIST, false),
        LARGE("large_hash_arrives_whole", HASH, false),
        LARGE("large_set_arrives_whole", SET, false),
        LARGE("large_zset_arrives_whole", ZSET, false),
        LARGE("large_list_in_chunks_arrives_whole", LIST, true),
        LARGE("large_hash_in_chunks_arrives_whole", HASH, true),
        LARGE("large_set_in_chunks_arrives_whole", SET, true),
        LARGE("large_zset_in_chunks_arrives_whole", ZSET, true),
        LARGE("large_strings_arrive_whole", STRINGS, false),
        LARGE("large_compressed_strings_arrive_whole", STRINGS, true),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
