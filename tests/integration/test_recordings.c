/* Each recording of a real Dragonfly, played to df2redis, ends in the state that the Dragonfly had at the
 * end: whole, in pieces of any size, and cut off in the middle. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <sysexits.h>
#include <unistd.h>

#include "tests/support/kills.h"
#include "tests/support/journal_reader.h"
#include "tests/support/recorded_losses.h"
#include "tests/support/run.h"
#include "tests/support/testing.h"
#include "tests/support/usage.h"

enum cut { UNCUT, CUT_SNAPSHOT, CUT_JOURNAL };

struct play {
    const char *recording;
    size_t piece;    /* bytes a send; 0: as many as fit */
    bool one_by_one; /* the worker takes a byte at a time, whatever was sent */
    bool random_split;
    enum cut cut;
};

static struct run run;

static int teardown(void **state)
{
    (void)state;
    run_end(&run);
    unsetenv("DF2REDIS_TEST_READ_BYTES");
    return 0;
}

static void assert_equals_recording(const char *dir)
{
    struct recording recording;
    recording_load(&recording, dir);
    struct state_exception *losses;
    struct state_rules rules = {.exception_count = recorded_losses(&recording, &losses)};
    rules.exceptions = losses;
    uint64_t keys;
    bool equal = run_equals_recording(&run, dir, &rules, &keys);
    free(losses);
    recording_free(&recording);
    assert_true(equal);
    assert_true(keys > 20);
}

/* As many reads as bytes, where the kernel counts them. */
static void assert_taken_one_by_one(size_t flows)
{
    for (uint32_t flow = 0; flow < flows; flow++) {
        uint64_t received = worker_received(&run.program, flow);
        assert_true(received > 1000);
        if (usage_reads(getpid()))
            assert_true(usage_reads(worker_pid(&run.program, flow)) >= received);
    }
}

/* Waits until everything is acknowledged, compares, ends the run as an operator would. */
static void finish(const char *dir)
{
    assert_true(run_wait_in_step(&run));
    assert_equals_recording(dir);
    int status = run_terminate(&run);
    /* What a plain Redis cannot hold, or the master lost, is told by the exit code. */
    assert_true(status == EX_OK || status == EX_DATAERR);
    assert_string_equal(scripted_violation(run.source), "");
}

/* The first session breaks off in the middle of a FLOW's snapshot, the second has all of it. */
static void add_cut_in_snapshot(struct scripted_options *o, const char *dir)
{
    struct recording r;
    recording_load(&r, dir);
    scripted_options_add(o, scripted_session_of(&r));
    recording_free(&r);
    o->sessions[0].flows[0].close_at = o->sessions[0].flows[0].fullsync_end / 2;
}

static bool some_journal_acked(void *arg)
{
    const uint64_t *first_lsn = arg;
    return scripted_acked(run.source, 0) > *first_lsn;
}

/* Half of a FLOW's journal has come and is acknowledged, then the FLOW breaks. */
static void cut_in_journal(uint64_t first_lsn)
{
    assert_true(wait_until(some_journal_acked, &first_lsn, RUN_DEADLINE_MS));
    scripted_cut_flow(run.source, 0);
    scripted_hold(run.source, 0, NEVER);
    assert_true(run_wait_source(&run, NULL, "DFLY STARTSTABLE", 2));
}

static void recording_ends_in_the_recorded_state(void **state)
{
    const struct play *p = *state;
    struct scripted_options options;
    scripted_options_recording(&options, p->recording);
    options.piece = p->piece;
    options.random_split = p->random_split;
    options.seed = 20;
    if (p->cut == CUT_SNAPSHOT)
        add_cut_in_snapshot(&options, p->recording);
    const struct scripted_flow *f = &options.sessions[0].flows[0];
    size_t flows = options.sessions[0].flow_count;
    uint64_t middle = f->journal_at + (f->bytes.len - f->journal_at) / 2, first_lsn = f->first_lsn;
    run_begin(&run, &options);
    scripted_hold(run.source, 0, p->cut == CUT_JOURNAL ? middle : NEVER);
    if (p->one_by_one)
        setenv("DF2REDIS_TEST_READ_BYTES", "1", 1);
    run_replicate(&run, NULL);
    if (p->cut == CUT_JOURNAL)
        cut_in_journal(first_lsn);
    if (p->one_by_one) {
        assert_true(run_wait_in_step(&run));
        assert_taken_one_by_one(flows);
    }
    finish(p->recording);
    assert_int_equal(scripted_count(run.source, "control", "DFLY SYNC"), p->cut == CUT_SNAPSHOT ? 2 : 1);
}

/* A resume asks for the last entry once more, to compare it: the recorded one asked for what follows it. */
static void prepend_last_entry(struct scripted_flow *later, const struct scripted_flow *earlier)
{
    struct journal_reader r = {.bytes = slice_of(earlier->bytes.data + earlier->journal_at,
                                                 earlier->bytes.len - earlier->journal_at),
                               .next_lsn = earlier->first_lsn};
    struct journal_item *item = x_malloc(sizeof *item);
    struct buf bytes = {0};
    while (r.next_lsn + 1 < later->first_lsn)
        assert_int_equal(journal_next(&r, item), 1);
    size_t begin = r.at;
    assert_int_equal(journal_next(&r, item), 1);
    assert_int_equal(item->lsn + 1, later->first_lsn);
    buf_put(&bytes, later->bytes.data, later->journal_at);
    buf_put(&bytes, r.bytes.data + begin, r.at - begin);
    buf_put(&bytes, later->bytes.data + later->journal_at, later->bytes.len - later->journal_at);
    buf_free(&later->bytes);
    later->bytes = bytes;
    later->first_lsn--;
    free(item);
}

static void cut_session_goes_on_by_partial_sync(void **state)
{
    (void)state;
    struct scripted_options options;
    struct recording second;
    scripted_options_recording(&options, "tests/recordings/resume-2flows/full");
    recording_load(&second, "tests/recordings/resume-2flows/partial");
    struct scripted_session session = scripted_session_of(&second);
    for (size_t i = 0; i < session.flow_count; i++)
        prepend_last_entry(&session.flows[i], &options.sessions[0].flows[i]);
    scripted_options_add(&options, session);
    recording_free(&second);
    run_begin(&run, &options);
    run_replicate(&run, NULL);
    assert_true(run_wait_in_step(&run));
    scripted_cut_all(run.source);
    assert_true(run_wait_source(&run, "control", "DFLY STARTSTABLE", 2));
    finish("tests/recordings/resume-2flows/partial");
    assert_int_equal(scripted_count(run.source, "control", "DFLY SYNC"), 1);
}

static void migrate_ends_by_itself_after_the_snapshot(void **state)
{
    (void)state;
    struct scripted_options options;
    scripted_options_recording(&options, "tests/recordings/resume-2flows/full");
    run_begin(&run, &options);
    int status = run_migrate(&run, NULL);
    assert_string_equal(scripted_violation(run.source), "");
    assert_int_equal(status, EX_OK);
    redisContext *c = server_connect(run.target.port);
    uint64_t keys = server_keys(c);
    redisFree(c);
    assert_true(keys > 0);
}

#define PLAY(test_name, dir, ...)                                                                            \
    {                                                                                                        \
        .name = test_name, .test_func = recording_ends_in_the_recorded_state, .teardown_func = teardown,     \
        .initial_state = &(struct play){.recording = "tests/recordings/" dir, __VA_ARGS__},                  \
    }
#define IN_RANDOM_PIECES .piece = 4096, .random_split = true

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        PLAY("flush_recording_ends_in_the_recorded_state", "flush-2flows", .piece = 0),
        PLAY("resume_recording_ends_in_the_recorded_state", "resume-2flows/full", .piece = 0),
        PLAY("lz4_recording_ends_in_the_recorded_state", "lz4-4flows", .piece = 0),
        PLAY("zstd_recording_ends_in_the_recorded_state", "zstd-2flows", .piece = 0),
        PLAY("lzf_recording_ends_in_the_recorded_state", "lzf-3flows", .piece = 0),
        PLAY("plain_recording_ends_in_the_recorded_state", "plain-1flow", .piece = 0),
        PLAY("older_master_recording_ends_in_the_recorded_state", "v1.30-2flows", .piece = 0),
        PLAY("flush_recording_sent_byte_by_byte_ends_the_same", "flush-2flows", .piece = 1),
        PLAY("resume_recording_sent_byte_by_byte_ends_the_same", "resume-2flows/full", .piece = 1),
        PLAY("flush_recording_taken_byte_by_byte_ends_the_same", "flush-2flows", .one_by_one = true),
        PLAY("resume_recording_taken_byte_by_byte_ends_the_same", "resume-2flows/full", .one_by_one = true),
        PLAY("lz4_recording_taken_byte_by_byte_ends_the_same", "lz4-4flows", .one_by_one = true),
        PLAY("zstd_recording_taken_byte_by_byte_ends_the_same", "zstd-2flows", .one_by_one = true),
        PLAY("lzf_recording_taken_byte_by_byte_ends_the_same", "lzf-3flows", .one_by_one = true),
        PLAY("plain_recording_taken_byte_by_byte_ends_the_same", "plain-1flow", .one_by_one = true),
        PLAY("older_master_recording_taken_byte_by_byte_ends_the_same", "v1.30-2flows", .one_by_one = true),
        PLAY("lz4_recording_in_random_pieces_ends_the_same", "lz4-4flows", IN_RANDOM_PIECES),
        PLAY("zstd_recording_in_random_pieces_ends_the_same", "zstd-2flows", IN_RANDOM_PIECES),
        PLAY("lzf_recording_in_random_pieces_ends_the_same", "lzf-3flows", IN_RANDOM_PIECES),
        PLAY("plain_recording_in_random_pieces_ends_the_same", "plain-1flow", IN_RANDOM_PIECES),
        PLAY("older_master_recording_in_random_pieces_ends_the_same", "v1.30-2flows", IN_RANDOM_PIECES),
        PLAY("lz4_recording_cut_in_the_snapshot_starts_again", "lz4-4flows", .cut = CUT_SNAPSHOT),
        PLAY("plain_recording_cut_in_the_snapshot_starts_again", "plain-1flow", .cut = CUT_SNAPSHOT),
        PLAY("lz4_recording_cut_in_the_journal_resumes", "lz4-4flows", .cut = CUT_JOURNAL),
        PLAY("plain_recording_cut_in_the_journal_resumes", "plain-1flow", .cut = CUT_JOURNAL),
        cmocka_unit_test_teardown(cut_session_goes_on_by_partial_sync, teardown),
        cmocka_unit_test_teardown(migrate_ends_by_itself_after_the_snapshot, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
