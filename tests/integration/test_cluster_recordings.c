/* Recordings of a real Dragonfly, played into clusters of 3 and 6 masters, end in the recorded state: each
 * database by itself, since a cluster has one alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <sysexits.h>

#include "tests/support/journal_reader.h"
#include "tests/support/recorded_losses.h"
#include "tests/support/run.h"
#include "tests/support/testing.h"

static struct redis_cluster cluster;
static struct run run;

static int teardown(void **state)
{
    (void)state;
    run_end(&run);
    redis_cluster_stop(&cluster);
    return 0;
}

struct play {
    const char *recording;
    unsigned masters;
    uint32_t db; /* the one that is copied, into database 0 */
    size_t piece;
};

static bool only_db(void *arg, uint32_t db, struct slice key, uint32_t *to_db)
{
    const uint32_t *wanted = arg;
    (void)key;
    *to_db = 0;
    return db == *wanted;
}

/* A MOVE out of a database that is not copied has nothing to move. */
static size_t add_moves(const struct recording *r, uint32_t db, struct state_exception **list, size_t count)
{
    struct journal_item *item = x_malloc(sizeof *item);
    char number[12];
    snprintf(number, sizeof number, "%u", db);
    for (size_t f = 0; f < r->flow_count; f++) {
        struct journal_reader reader = {.bytes = buf_slice(&r->flows[f].bytes),
                                        .at = (size_t)r->flows[f].journal_at};
        while (journal_next(&reader, item) == 1) {
            if (item->kind != JOURNAL_COMMAND || item->argc != 3 || !slice_is(item->args[0], "MOVE") ||
                !slice_is(item->args[2], number))
                continue;
            *list = x_realloc(*list, (count + 1) * sizeof **list);
            (*list)[count++] = (struct state_exception){.key = item->args[1], .why = "moved from elsewhere"};
        }
    }
    free(item);
    return count;
}

static void assert_equals_recording(const char *dir, uint32_t db)
{
    struct recording recording;
    struct state_exception *losses;
    uint64_t keys;
    recording_load(&recording, dir);
    size_t all = recorded_losses(&recording, &losses), kept = 0;
    for (size_t i = 0; i < all; i++) {
        if (losses[i].db != db)
            continue;
        losses[kept] = losses[i];
        losses[kept++].db = 0;
    }
    kept = add_moves(&recording, db, &losses, kept);
    struct state_rules rules = {
        .wanted = only_db, .wanted_arg = &db, .exceptions = losses, .exception_count = kept};
    bool equal = run_equals_recording(&run, dir, &rules, &keys);
    free(losses);
    recording_free(&recording);
    if (!equal)
        df2redis_print(&run.program);
    assert_true(equal);
    assert_true(keys > 20 || db);
}

static void recording_ends_in_the_recorded_state(void **state)
{
    const struct play *p = *state;
    struct scripted_options options;
    char databases[16];
    snprintf(databases, sizeof databases, "%u:0", p->db);
    const char *const extra[] = {"--db", databases, NULL};
    redis_cluster_start(&cluster, p->masters, 0);
    scripted_options_recording(&options, p->recording);
    options.piece = p->piece;
    options.random_split = p->piece > 0;
    options.seed = 20;
    run_begin_in(&run, &cluster, &options);
    run_replicate(&run, extra);
    assert_true(run_wait_in_step(&run));
    assert_equals_recording(p->recording, p->db);
    int status = run_terminate(&run);
    assert_true(status == EX_OK || status == EX_DATAERR);
    assert_string_equal(scripted_violation(run.source), "");
}

#define PLAY(test_name, dir, ...)                                                                            \
    {                                                                                                        \
        .name = test_name, .test_func = recording_ends_in_the_recorded_state, .teardown_func = teardown,     \
        .initial_state = &(struct play){.recording = "tests/recordings/" dir, __VA_ARGS__},                  \
    }

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        PLAY("lz4_recording_comes_into_3_masters", "lz4-4flows", .masters = 3),
        PLAY("lz4_recordings_other_database_comes_into_3_masters", "lz4-4flows", .masters = 3, .db = 1),
        PLAY("plain_recording_comes_into_6_masters", "plain-1flow", .masters = 6),
        PLAY("zstd_recording_in_pieces_comes_into_3_masters", "zstd-2flows", .masters = 3, .piece = 4096),
        PLAY("lzf_recording_comes_into_6_masters", "lzf-3flows", .masters = 6),
        PLAY("lzf_recordings_other_database_comes_into_3_masters", "lzf-3flows", .masters = 3, .db = 1),
        PLAY("older_master_recording_comes_into_3_masters", "v1.30-2flows", .masters = 3),
        PLAY("flush_recording_comes_into_3_masters", "flush-2flows", .masters = 3),
        PLAY("resume_recording_comes_into_3_masters", "resume-2flows/full", .masters = 3),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
