/* STATE/NAME: made, locked, and clear words when that is not possible. */
#include "tests/unit/supervisor/supervisor_testing.h"

#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cjson/cJSON.h>

#include "supervisor/state/run_record.h"

static struct settings s;
static struct error error;

static int setup(void **state)
{
    error = (struct error){0};
    if (make_dir(state) != 0)
        return -1;
    settings_in_dir(&s, "one");
    return 0;
}

static int teardown(void **state)
{
    settings_free(&s);
    return remove_dir(state);
}

static void assert_says(const char *what)
{
    if (!strstr(error.text, what))
        fail_msg("\"%s\" does not say \"%s\"", error.text, what);
}

/* What a start would say is known before, and nothing is changed for that. */
static void assert_examined_as_opened(const struct settings *settings)
{
    struct error before = {0}, at_start = {0};
    struct state_dir dir;
    bool usable = state_dir_examine(settings, &before), opened = state_dir_open(&dir, settings, &at_start);
    if (opened)
        state_dir_close(&dir);
    assert_int_equal(usable, opened);
    assert_string_equal(before.text, at_start.text);
    assert_int_equal(before.exit_code, at_start.exit_code);
}

static void examining_makes_nothing(void **state)
{
    (void)state;
    char *path = state_dir_file(&s, NULL);
    assert_true(state_dir_examine(&s, &error));
    assert_int_equal(access(path, F_OK), -1);
    free(path);
    assert_examined_as_opened(&s);
    assert_examined_as_opened(&s);
}

static void directory_is_for_owner_and_group_and_its_files_for_the_owner(void **state)
{
    (void)state;
    struct state_dir dir;
    struct stat st;
    mode_t before = umask(022);
    assert_true(state_dir_open(&dir, &s, &error));
    umask(before);
    assert_int_equal(stat(dir.path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0750);
    char *lock = state_dir_file(&s, "lock");
    assert_int_equal(stat(lock, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    free(lock);
    state_dir_close(&dir);
}

/* The lock is the open file's: a second one in this very process is refused like another's. */
static void second_run_of_a_name_is_told_of_the_first(void **state)
{
    (void)state;
    struct state_dir first, second;
    char pid[32];
    assert_int_equal(state_dir_active_pid(&s), 0);
    assert_true(state_dir_open(&first, &s, &error));
    assert_int_equal(state_dir_active_pid(&s), getpid());
    assert_false(state_dir_open(&second, &s, &error));
    assert_int_equal(error.exit_code, EX_TEMPFAIL);
    assert_examined_as_opened(&s);
    snprintf(pid, sizeof pid, "pid %d", (int)getpid());
    assert_says("a run named one is active");
    assert_says(pid);
    assert_says("df2redis status --name one");
    state_dir_close(&first);
    assert_int_equal(state_dir_active_pid(&s), 0);
    assert_true(state_dir_open(&second, &s, &error));
    state_dir_close(&second);
}

static void asking_who_is_active_does_not_get_in_the_way_of_a_start(void **state)
{
    (void)state;
    struct state_dir dir;
    for (int i = 0; i < 50; i++) {
        assert_int_equal(state_dir_active_pid(&s), 0);
        assert_true(state_dir_open(&dir, &s, &error));
        state_dir_close(&dir);
    }
}

static void two_names_run_side_by_side(void **state)
{
    (void)state;
    struct settings other;
    struct state_dir first, second;
    settings_in_dir(&other, "two");
    assert_true(state_dir_open(&first, &s, &error));
    assert_true(state_dir_open(&second, &other, &error));
    state_dir_close(&first);
    state_dir_close(&second);
    settings_free(&other);
}

static void lock_ends_with_a_killed_process(void **state)
{
    (void)state;
    struct state_dir dir;
    int told[2];
    char byte;
    assert_int_equal(pipe(told), 0);
    pid_t child = fork();
    if (child == 0) {
        bool ok = state_dir_open(&dir, &s, &error);
        if (write(told[1], ok ? "y" : "n", 1) != 1)
            _exit(1);
        pause();
        _exit(0);
    }
    assert_int_equal(read(told[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    assert_int_equal(state_dir_active_pid(&s), child);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_true(state_dir_open(&dir, &s, &error));
    state_dir_close(&dir);
    close(told[0]);
    close(told[1]);
}

/* Killed between fork and exec of a worker: the child has the lock for as long as it has not run. */
static void child_of_a_killed_process_is_waited_for(void **state)
{
    (void)state;
    struct state_dir dir;
    int status;
    pid_t first = fork();
    if (first == 0) {
        if (!state_dir_open(&dir, &s, &error))
            _exit(1);
        if (fork() == 0)
            poll(NULL, 0, 300); /* what the child of a killed one takes until it runs */
        _exit(0);
    }
    assert_int_equal(waitpid(first, &status, 0), first);
    assert_int_equal(status, 0);
    assert_int_equal(state_dir_active_pid(&s), first);
    assert_true(state_dir_open(&dir, &s, &error));
    assert_int_equal(state_dir_active_pid(&s), getpid());
    state_dir_close(&dir);
}

static void missing_parent_is_named(void **state)
{
    (void)state;
    struct state_dir dir;
    char path[128];
    snprintf(path, sizeof path, "%s/not/there", testing_dir);
    assert_true(settings_set(&s, "state-dir", path, &error));
    assert_false(state_dir_open(&dir, &s, &error));
    assert_int_equal(error.exit_code, EX_CANTCREAT);
    assert_says("does not exist");
    assert_says("--state-dir");
    assert_examined_as_opened(&s);
}

static void default_place_in_the_home_directory_is_made(void **state)
{
    (void)state;
    struct state_dir dir;
    char path[128];
    setenv("HOME", testing_dir, 1);
    snprintf(path, sizeof path, "%s/.local/state/df2redis", testing_dir);
    assert_true(settings_set(&s, "state-dir", path, &error));
    assert_true(state_dir_examine(&s, &error));
    assert_int_equal(access(path, F_OK), -1);
    assert_true(state_dir_open(&dir, &s, &error));
    state_dir_close(&dir);
}

static void file_in_its_place_is_named(void **state)
{
    (void)state;
    struct state_dir dir;
    char path[128];
    snprintf(path, sizeof path, "%s/one", testing_dir);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fclose(f);
    assert_false(state_dir_open(&dir, &s, &error));
    assert_says("is not a directory");
    assert_examined_as_opened(&s);
}

static void directory_that_cannot_be_written_is_named(void **state)
{
    (void)state;
    struct state_dir dir;
    if (geteuid() == 0)
        skip(); /* root may write everywhere */
    assert_int_equal(chmod(testing_dir, 0500), 0);
    assert_false(state_dir_open(&dir, &s, &error));
    assert_int_equal(error.exit_code, EX_NOPERM);
    assert_says("may not write");
    assert_examined_as_opened(&s);
}

static void run_record_is_replaced_whole(void **state)
{
    (void)state;
    struct state_dir dir;
    struct run_record record = {.session = UINT64_C(18446744073709551615), .flow_count = 4};
    snprintf(record.master_id, sizeof record.master_id, "%040d", 7);
    assert_true(state_dir_open(&dir, &s, &error));
    assert_true(run_record_save(&dir, &record, &error));
    record.flow_count = 8;
    assert_true(run_record_save(&dir, &record, &error));
    char *path = state_dir_file(&s, "run.json"), *text = file_text(path);
    cJSON *json = cJSON_Parse(text);
    assert_string_equal(cJSON_GetObjectItem(json, "session")->valuestring, "18446744073709551615");
    assert_int_equal((int)cJSON_GetObjectItem(json, "flow_count")->valuedouble, 8);
    assert_string_equal(cJSON_GetObjectItem(json, "master_id")->valuestring, record.master_id);
    cJSON_Delete(json);
    free(text);
    free(path);
    state_dir_close(&dir);
}

static void comparison_that_is_due_comes_back(void **state)
{
    (void)state;
    struct state_dir dir;
    char(*tokens)[41] = x_calloc(1, sizeof *tokens);
    struct run_record record = {.session = 1, .flow_count = 1, .tokens = tokens}, back = {0};
    record.begins = x_calloc(1, sizeof *record.begins);
    record.scope = x_strdup("");
    record.comparing = x_strdup("entries are missing");
    record.counts_omits = record.omits_told = record.prunes = true;
    record.omits = UINT64_MAX;
    record.repaired_session = UINT64_MAX - 1;
    snprintf(record.omits_master_id, sizeof record.omits_master_id, "%040d", 8);
    assert_true(state_dir_open(&dir, &s, &error));
    assert_true(run_record_save(&dir, &record, &error));
    assert_true(run_record_load(&dir, &back));
    assert_string_equal(back.comparing, record.comparing);
    assert_true(back.prunes && back.counts_omits && back.omits_told && back.omits == UINT64_MAX);
    assert_true(back.repaired_session == UINT64_MAX - 1);
    assert_string_equal(back.omits_master_id, record.omits_master_id);
    run_record_free(&back);
    run_record_free(&record);
    state_dir_close(&dir);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(directory_is_for_owner_and_group_and_its_files_for_the_owner),
        TEST(examining_makes_nothing),
        TEST(second_run_of_a_name_is_told_of_the_first),
        TEST(asking_who_is_active_does_not_get_in_the_way_of_a_start),
        TEST(two_names_run_side_by_side),
        TEST(lock_ends_with_a_killed_process),
        TEST(child_of_a_killed_process_is_waited_for),
        TEST(missing_parent_is_named),
        TEST(default_place_in_the_home_directory_is_made),
        TEST(file_in_its_place_is_named),
        TEST(directory_that_cannot_be_written_is_named),
        TEST(run_record_is_replaced_whole),
        TEST(comparison_that_is_due_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
