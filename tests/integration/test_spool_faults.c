/* The spool at its limit, the disk full, the state directory missing, gone or taken: each says what it is,
 * nothing is lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <unistd.h>

#include "tests/support/crash.h"
#include "tests/support/testing.h"

enum { FLOWS = 3, TAKES_EFFECT_MS = 1500 };

static struct crash crash;
static struct df2redis other;
static bool mounted;

static int teardown(void **state)
{
    (void)state;
    df2redis_end(&other);
    process_stop(&crash.run.program.process);
    if (mounted)
        umount2(crash.run.program.dir, MNT_DETACH);
    mounted = false;
    crash_end(&crash);
    return 0;
}

static const struct journal_snapshot small = {
    .strings = 300, .collections = 1, .elements = 200, .commands = 30, .journal = 300};

static void prepare(void)
{
    crash_begin(&crash, FLOWS, &small);
}

static void begin(const char *const *extra)
{
    run_replicate(&crash.run, extra);
    assert_true(run_wait_in_step(&crash.run));
}

static void write_much(unsigned times)
{
    for (unsigned i = 0; i < times; i++)
        journal_script_append(&crash.script, crash.run.source, 2000);
}

static void assert_ends_equal(void)
{
    assert_true(crash_came_out_equal(&crash));
    assert_int_equal(crash_full_syncs(&crash), 1);
    assert_string_equal(scripted_violation(crash.run.source), "");
    assert_int_equal(run_terminate(&crash.run), EX_OK);
}

static void assert_ends_with(int status, const char *text)
{
    int ended = process_wait(&crash.run.program.process, RUN_DEADLINE_MS);
    bool said = df2redis_said(&crash.run.program, text);
    if (ended != status || !said)
        df2redis_print(&crash.run.program);
    assert_true(said);
    assert_int_equal(ended, status);
}

static bool asked_three_times(void *arg)
{
    (void)arg;
    return scripted_count(crash.run.source, NULL, "DFLY FLOW") >= 4 * FLOWS; /* and the first session's */
}

static bool all_sent(void *arg)
{
    (void)arg;
    return scripted_all_sent(crash.run.source);
}

/* What of the journal is not read here may be sent all the same: the kernel's buffers have room for megabytes. */
static bool all_received(void *arg)
{
    const uint64_t *bytes = arg;
    for (size_t i = 0; i < FLOWS; i++) {
        char *field = format_text("flows.%zu.received_bytes", i);
        double received = df2redis_status_number(&crash.run.program, field);
        free(field);
        if (received < (double)bytes[i])
            return false;
    }
    return true;
}

/* The workers do not read further while the target stands. */
static void assert_source_is_held_up(void)
{
    uint64_t bytes[FLOWS];
    for (size_t i = 0; i < FLOWS; i++)
        bytes[i] = scripted_script_bytes(crash.run.source, i);
    assert_false(wait_until(all_received, bytes, TAKES_EFFECT_MS));
    assert_true(process_running(&crash.run.program.process));
}

static void source_waits_only_at_the_spool_limit(void **state)
{
    (void)state;
    static const char *const extra[] = {"--ring-size", "64k", "--spool-limit", "2m", "--on-spool-full",
                                        "block",       NULL};
    prepare();
    begin(extra);
    process_signal(&crash.run.target.process, SIGSTOP);
    write_much(10); /* fits: some 400 KiB a FLOW */
    assert_true(wait_until(all_sent, NULL, RUN_DEADLINE_MS));
    assert_false(df2redis_said(&crash.run.program, "the source has to wait"));
    write_much(250);
    assert_true(df2redis_wait_said(&crash.run.program, "raise --spool-limit", RUN_DEADLINE_MS));
    assert_true(df2redis_said(&crash.run.program, " of at most 2.0 MiB: the target is too slow"));
    assert_true(df2redis_wait_said(&crash.run.program, "the source has to wait", RUN_DEADLINE_MS));
    assert_source_is_held_up();
    process_signal(&crash.run.target.process, SIGCONT);
    assert_ends_equal();
}

static bool mount_small(const char *options, unsigned long flags)
{
    if (geteuid() == 0 && mount("tmpfs", crash.run.program.dir, "tmpfs", flags, options) == 0) {
        mounted = true;
        return true;
    }
    print_message("no right to mount a small file system: skipped\n");
    return false;
}

static void full_disk_is_waited_out(void **state)
{
    (void)state;
    static const char *const extra[] = {"--ring-size", "64k", "--on-spool-full", "block", NULL};
    prepare();
    if (!mount_small("size=14m", 0))
        skip();
    begin(extra);
    process_signal(&crash.run.target.process, SIGSTOP);
    write_much(300);
    assert_true(df2redis_wait_said(&crash.run.program, "free space in the state directory", RUN_DEADLINE_MS));
    assert_source_is_held_up();
    process_signal(&crash.run.target.process, SIGCONT);
    assert_ends_equal();
}

static void full_disk_ends_the_session_and_the_journal_is_asked_for_later(void **state)
{
    (void)state;
    static const char *const extra[] = {"--ring-size", "64k", NULL};
    prepare();
    if (!mount_small("size=14m", 0))
        skip();
    begin(extra);
    process_signal(&crash.run.target.process, SIGSTOP);
    write_much(130);
    assert_true(
        df2redis_wait_said(&crash.run.program, "the session with the source was ended", RUN_DEADLINE_MS));
    assert_true(df2redis_said(&crash.run.program, "free space in the state directory"));
    process_signal(&crash.run.target.process, SIGCONT);
    assert_ends_equal();
}

static void disk_that_is_full_at_the_start_is_named(void **state)
{
    (void)state;
    prepare();
    if (!mount_small("size=3m", 0))
        skip();
    run_replicate(&crash.run, NULL);
    int status = process_wait(&crash.run.program.process, RUN_DEADLINE_MS);
    assert_true(df2redis_said(&crash.run.program, "free space in the state directory"));
    assert_true(status > 0 && status < 128);
    assert_int_equal(crash_full_syncs(&crash), 0);
}

static void file_size_limit_is_named(void **state)
{
    (void)state;
    struct rlimit old, small_files = {1 << 20, RLIM_INFINITY};
    prepare();
    getrlimit(RLIMIT_FSIZE, &old);
    small_files.rlim_max = old.rlim_max;
    setrlimit(RLIMIT_FSIZE, &small_files);
    run_replicate(&crash.run, NULL);
    setrlimit(RLIMIT_FSIZE, &old);
    int status = process_wait(&crash.run.program.process, RUN_DEADLINE_MS);
    assert_true(df2redis_said(&crash.run.program, "file size limit"));
    assert_false(df2redis_said(&crash.run.program, "restarted"));
    assert_int_equal(status, EX_IOERR);
    assert_int_equal(crash_full_syncs(&crash), 0);
}

/* Workers that are begun from now on have the limit. */
static void limit_files(rlim_t bytes)
{
    struct rlimit limit = {bytes, RLIM_INFINITY};
    assert_int_equal(prlimit(crash.run.program.process.pid, RLIMIT_FSIZE, &limit, NULL), 0);
}

static void a_session_that_cannot_make_its_files_is_tried_again(void **state)
{
    (void)state;
    prepare();
    begin(NULL);
    limit_files(1 << 20);
    scripted_cut_all(crash.run.source);
    assert_true(df2redis_wait_said(&crash.run.program, "cannot preallocate", RUN_DEADLINE_MS));
    assert_true(wait_until(asked_three_times, NULL, RUN_DEADLINE_MS));
    assert_true(df2redis_said(&crash.run.program, "free space in the state directory"));
    limit_files(RLIM_INFINITY);
    write_much(1);
    assert_true(run_wait_source(&crash.run, NULL, "DFLY STARTSTABLE", 2));
    assert_false(df2redis_said(&crash.run.program, "restarted"));
    assert_ends_equal();
}

static void read_only_state_directory_is_named(void **state)
{
    (void)state;
    prepare();
    char *place = crash.run.program.dir;
    crash.run.program.dir = temp_dir_make("read-only"); /* what the program says goes elsewhere */
    bool possible = mount_small("size=8m", MS_RDONLY);
    const char *const extra[] = {"--state-dir", crash.run.program.dir, NULL};
    char *read_only = crash.run.program.dir;
    crash.run.program.dir = place;
    if (possible) {
        run_replicate(&crash.run, extra);
        int status = process_wait(&crash.run.program.process, RUN_DEADLINE_MS);
        umount2(read_only, MNT_DETACH);
        mounted = false;
        temp_dir_remove(read_only);
        assert_int_equal(status, EX_CANTCREAT);
        assert_true(df2redis_said(&crash.run.program, "mounted read-only"));
        return;
    }
    temp_dir_remove(read_only);
    skip();
}

static void missing_state_directory_is_named(void **state)
{
    (void)state;
    prepare();
    char *missing = format_text("%s/not/there", crash.run.program.dir);
    const char *const extra[] = {"--state-dir", missing, NULL};
    run_replicate(&crash.run, extra);
    free(missing);
    assert_ends_with(EX_CANTCREAT, "does not exist");
}

static void remove_state(void)
{
    char *path = format_text("%s/default", crash.run.program.dir);
    temp_dir_remove(path);
}

/* What is open stays usable; only a new file is missed. */
static void state_directory_gone_while_running_ends_the_run_when_it_is_needed(void **state)
{
    (void)state;
    static const char *const extra[] = {"--ring-size", "64k", NULL};
    prepare();
    begin(extra);
    remove_state();
    write_much(1);
    assert_true(scripted_wait_acked(crash.run.source, RUN_DEADLINE_MS));
    process_signal(&crash.run.target.process, SIGSTOP);
    write_much(60);
    assert_ends_with(EX_CANTCREAT, "is missing: create it or give --state-dir");
    process_signal(&crash.run.target.process, SIGCONT);
}

/* Without the spool of its predecessor a worker's successor cannot go on: the session begins anew. */
static void state_directory_gone_and_a_dead_worker_end_the_run(void **state)
{
    (void)state;
    prepare();
    begin(NULL);
    pid_t pid = worker_pid(&crash.run.program, 1);
    remove_state();
    kill(pid, SIGKILL);
    assert_ends_with(EX_CANTCREAT, "is missing: create it or give --state-dir");
}

static void spool_lost_with_its_worker_means_a_full_sync(void **state)
{
    (void)state;
    static const char *const files[] = {"flow-1.ring", "flow-1.cursor", "flow-1.history"};
    prepare();
    begin(NULL);
    journal_script_append(&crash.script, crash.run.source, 200);
    assert_true(scripted_wait_acked(crash.run.source, RUN_DEADLINE_MS));
    pid_t pid = worker_pid(&crash.run.program, 1);
    for (size_t i = 0; i < 3; i++) {
        char *path = format_text("%s/default/%s", crash.run.program.dir, files[i]);
        assert_int_equal(unlink(path), 0);
        free(path);
    }
    kill(pid, SIGKILL);
    assert_true(run_wait_source(&crash.run, NULL, "DFLY STARTSTABLE", 2));
    assert_true(crash_came_out_equal(&crash));
    assert_int_equal(crash_full_syncs(&crash), 2);
    assert_int_equal(run_terminate(&crash.run), EX_OK);
}

static void second_run_of_the_same_name_is_refused(void **state)
{
    (void)state;
    prepare();
    begin(NULL);
    df2redis_init(&other);
    const char *const extra[] = {"--state-dir", crash.run.program.dir, NULL};
    int status = df2redis_run(&other, "replicate", scripted_uri(crash.run.source), crash.run.target.uri,
                              extra, RUN_DEADLINE_MS);
    assert_int_equal(status, EX_TEMPFAIL);
    assert_true(df2redis_said(&other, "is active (pid"));
    journal_script_append(&crash.script, crash.run.source, 100);
    assert_ends_equal();
}

/* From elsewhere, into the same target: the marks tell. The later one stays. */
static void runs_of_one_name_from_two_places_do_not_go_on_together(void **state)
{
    (void)state;
    static const char *const extra[] = {"--on-conflict", "overwrite", NULL};
    prepare();
    begin(NULL);
    df2redis_init(&other);
    df2redis_start(&other, "replicate", scripted_uri(crash.run.source), crash.run.target.uri, extra);
    int status = process_wait(&crash.run.program.process, RUN_DEADLINE_MS);
    if (status != EX_TEMPFAIL)
        df2redis_print(&crash.run.program);
    assert_int_equal(status, EX_TEMPFAIL);
    assert_true(df2redis_said(&crash.run.program, "another run named"));
    assert_true(df2redis_wait_in_step(&other, RUN_DEADLINE_MS));
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(source_waits_only_at_the_spool_limit, teardown),
        cmocka_unit_test_teardown(full_disk_is_waited_out, teardown),
        cmocka_unit_test_teardown(full_disk_ends_the_session_and_the_journal_is_asked_for_later, teardown),
        cmocka_unit_test_teardown(disk_that_is_full_at_the_start_is_named, teardown),
        cmocka_unit_test_teardown(file_size_limit_is_named, teardown),
        cmocka_unit_test_teardown(a_session_that_cannot_make_its_files_is_tried_again, teardown),
        cmocka_unit_test_teardown(read_only_state_directory_is_named, teardown),
        cmocka_unit_test_teardown(missing_state_directory_is_named, teardown),
        cmocka_unit_test_teardown(state_directory_gone_while_running_ends_the_run_when_it_is_needed,
                                  teardown),
        cmocka_unit_test_teardown(state_directory_gone_and_a_dead_worker_end_the_run, teardown),
        cmocka_unit_test_teardown(spool_lost_with_its_worker_means_a_full_sync, teardown),
        cmocka_unit_test_teardown(second_run_of_the_same_name_is_refused, teardown),
        cmocka_unit_test_teardown(runs_of_one_name_from_two_places_do_not_go_on_together, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
