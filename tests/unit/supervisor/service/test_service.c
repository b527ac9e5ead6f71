/* Pid file, user, limits, and the word from the background. Each in a child: they cannot be undone. */
#include "tests/unit/supervisor/supervisor_testing.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "supervisor/service/daemon.h"
#include "supervisor/service/service.h"

static struct settings s;
static struct error error;
static char pid_file[96];

static int setup(void **state)
{
    if (make_dir(state) != 0)
        return -1;
    error = (struct error){0};
    snprintf(pid_file, sizeof pid_file, "%s/pid", testing_dir);
    settings_in_dir(&s, "one");
    return settings_set(&s, "pidfile", pid_file, &error) ? 0 : -1;
}

static int teardown(void **state)
{
    settings_free(&s);
    return remove_dir(state);
}

static int in_a_child(int (*what)(void))
{
    int status;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        _exit(what());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int live_a_service(void)
{
    struct rlimit core;
    if (!service_begin(&s, &error))
        return 1;
    char *text = file_text(pid_file);
    bool named = strtol(text, NULL, 10) == (long)getpid();
    free(text);
    if (!named)
        return 2;
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
        return 3;
    if (getrlimit(RLIMIT_CORE, &core) != 0 || core.rlim_cur != 0)
        return 4;
    service_end();
    return access(pid_file, F_OK) == 0 ? 5 : 0;
}

static void service_names_itself_and_gives_up_what_it_does_not_need(void **state)
{
    (void)state;
    assert_int_equal(in_a_child(live_a_service), 0);
}

static int begin_twice(void)
{
    if (!service_begin(&s, &error))
        return 1;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        _exit(service_begin(&s, &error) ? 2 : error.exit_code);
    int status;
    waitpid(pid, &status, 0);
    return WEXITSTATUS(status);
}

static void pid_file_of_a_living_process_is_refused(void **state)
{
    (void)state;
    assert_int_equal(in_a_child(begin_twice), EX_TEMPFAIL);
    /* It is dead now: what it left does not matter. */
    assert_int_equal(access(pid_file, F_OK), 0);
    assert_int_equal(in_a_child(live_a_service), 0);
}

static int become_nobody(void)
{
    uid_t ids[3];
    struct stat st;
    if (!service_begin(&s, &error))
        return error.exit_code;
    if (getresuid(&ids[0], &ids[1], &ids[2]) != 0 || ids[0] == 0 || ids[1] == 0 || ids[2] == 0 ||
        getegid() == 0)
        return 1;
    if (setuid(0) == 0)
        return 2;
    return stat(s.state_dir, &st) == 0 && st.st_uid == ids[0] ? 0 : 3;
}

static void root_becomes_the_user_for_good_and_gives_him_the_state_directory(void **state)
{
    (void)state;
    char state_dir[96];
    if (geteuid() != 0 || !getpwnam("nobody")) {
        print_message("skip: only root can become nobody\n");
        skip();
    }
    snprintf(state_dir, sizeof state_dir, "%s/state", testing_dir);
    assert_int_equal(chmod(testing_dir, 0711), 0);
    assert_true(settings_set(&s, "state-dir", state_dir, &error));
    assert_true(settings_set(&s, "user", "nobody", &error));
    assert_int_equal(in_a_child(become_nobody), 0);
    assert_true(settings_set(&s, "user", "no-such-user-here", &error));
    assert_int_equal(in_a_child(become_nobody), EX_NOUSER);
}

static int start_well(void)
{
    struct error unused;
    int code = 99;
    switch (daemon_start(&code, &unused)) {
    case DAEMON_STARTED:
        return code;
    case DAEMON_RUN:
        if (getsid(0) == getpid() || umask(0) != 027)
            daemon_tell_failed(98, "not where a daemon should be");
        daemon_tell_ready();
        _exit(0);
    case DAEMON_FAILED:
        break;
    }
    return 97;
}

static int start_badly(void)
{
    struct error unused;
    int code = 99;
    if (daemon_start(&code, &unused) == DAEMON_STARTED)
        return code;
    daemon_tell_failed(EX_CANTCREAT, "what the test expects: ignore this line");
    daemon_tell_ready(); /* the first word counts */
    _exit(0);
}

static int die_silently(void)
{
    struct error unused;
    int code = 99;
    if (daemon_start(&code, &unused) == DAEMON_STARTED)
        return code;
    _exit(0);
}

static void foreground_tells_how_the_start_went(void **state)
{
    (void)state;
    assert_int_equal(in_a_child(start_well), EX_OK);
    assert_int_equal(in_a_child(start_badly), EX_CANTCREAT);
    assert_int_equal(in_a_child(die_silently), EX_SOFTWARE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(service_names_itself_and_gives_up_what_it_does_not_need),
        TEST(pid_file_of_a_living_process_is_refused),
        TEST(root_becomes_the_user_for_good_and_gives_him_the_state_directory),
        TEST(foreground_tells_how_the_start_went),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
