/* The control socket, both ends of it. */
#include "tests/unit/supervisor/supervisor_testing.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "supervisor/observe/control.h"
#include "supervisor/state/state_dir.h"
#include "supervisor/cli/status.h"

enum { DEADLINE_MS = 120000 };

static struct event_base *base;
static struct control *control;
static struct state_dir dir;
static struct settings s;
static struct error error;
static unsigned stops;
static bool ends_at_once;
static int exit_code; /* of the run; -1: it is killed */

static cJSON *give_status(void *arg)
{
    (void)arg;
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "name", "one");
    cJSON_AddArrayToObject(json, "flows");
    cJSON_AddTrueToObject(json, "in_step");
    return json;
}

static void take_stop(void *arg)
{
    (void)arg;
    stops++;
    if (ends_at_once)
        event_base_loopbreak(base);
}

static bool open_control(void)
{
    struct control_callbacks callbacks = {.status = give_status, .stop = take_stop};
    control = control_open(base, dir.path, &callbacks, &error);
    return control != NULL;
}

static int setup(void **state)
{
    stops = 0;
    ends_at_once = false;
    exit_code = EX_OK;
    if (make_dir(state) != 0)
        return -1;
    settings_in_dir(&s, "one");
    base = event_base_new();
    return state_dir_open(&dir, &s, &error) && open_control() ? 0 : -1;
}

static int teardown(void **state)
{
    control_close(control);
    state_dir_close(&dir);
    event_base_free(base);
    settings_free(&s);
    return remove_dir(state);
}

static int connect_here(void)
{
    struct sockaddr_un address;
    int directory_fd, fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_true(control_address(dir.path, &address, &directory_fd, &error));
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    if (directory_fd >= 0)
        close(directory_fd);
    return fd;
}

/* What comes until the end, or with the connection still open at the deadline: open. */
static bool answer_to(int fd, const char *request, char *out, size_t bytes, uint32_t deadline_ms)
{
    uint64_t end = clock_monotonic_ms() + deadline_ms;
    size_t len = 0;
    assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
    while (clock_monotonic_ms() < end) {
        event_base_loop(base, EVLOOP_NONBLOCK);
        ssize_t n = recv(fd, out + len, bytes - 1 - len, 0);
        if (n == 0) {
            out[len] = '\0';
            return true;
        }
        len += n > 0 ? (size_t)n : 0;
    }
    out[len] = '\0';
    return false;
}

static bool is_open(int fd)
{
    char byte;
    event_base_loop(base, EVLOOP_NONBLOCK);
    return recv(fd, &byte, 1, MSG_PEEK) < 0 && errno == EAGAIN;
}

/* What stop is answered; the connection stays open. */
static void assert_stop_is_answered(int fd)
{
    static const char wanted[] = "\"stopping\":true";
    char text[512] = "";
    uint64_t end = clock_monotonic_ms() + DEADLINE_MS;
    size_t len = 0;
    assert_int_equal(send(fd, "stop\n", 5, MSG_NOSIGNAL), 5);
    while (!strstr(text, wanted) && clock_monotonic_ms() < end) {
        event_base_loop(base, EVLOOP_NONBLOCK);
        ssize_t n = recv(fd, text + len, sizeof text - 1 - len, 0);
        len += n > 0 ? (size_t)n : 0;
        text[len] = '\0';
    }
    assert_non_null(strstr(text, wanted));
    assert_true(is_open(fd));
    assert_int_equal(stops, 1);
}

static void status_is_one_line_and_then_the_end(void **state)
{
    (void)state;
    char text[512];
    int fd = connect_here();
    assert_true(answer_to(fd, "status\n", text, sizeof text, DEADLINE_MS));
    assert_string_equal(text, "{\"name\":\"one\",\"flows\":[],\"in_step\":true}\n");
    close(fd);
}

static void request_may_come_in_pieces(void **state)
{
    (void)state;
    char text[512];
    int fd = connect_here();
    assert_false(answer_to(fd, "sta", text, sizeof text, 20));
    assert_true(answer_to(fd, "tus\r\n", text, sizeof text, DEADLINE_MS));
    assert_non_null(strstr(text, "in_step"));
    close(fd);
}

static void stop_is_answered_and_the_connection_held(void **state)
{
    (void)state;
    char text[512];
    int fd = connect_here();
    assert_stop_is_answered(fd);
    control_close(control);
    control = NULL;
    event_base_loop(base, EVLOOP_NONBLOCK);
    assert_int_equal(recv(fd, text, sizeof text, 0), 0);
    close(fd);
}

static void unknown_request_is_told_what_is_known(void **state)
{
    (void)state;
    char text[512];
    int fd = connect_here();
    assert_true(answer_to(fd, "dance\n", text, sizeof text, DEADLINE_MS));
    assert_non_null(strstr(text, "status, stop and cutover are understood"));
    assert_int_equal(stops, 0);
    close(fd);
}

static void endless_request_is_cut_off(void **state)
{
    (void)state;
    char text[512], request[CONTROL_REQUEST_BYTES + 2];
    memset(request, 'x', sizeof request - 1);
    request[sizeof request - 1] = '\0';
    int fd = connect_here();
    assert_true(answer_to(fd, request, text, sizeof text, DEADLINE_MS));
    assert_string_equal(text, "");
    close(fd);
}

static void socket_is_for_owner_and_group(void **state)
{
    (void)state;
    struct stat st;
    char path[160];
    snprintf(path, sizeof path, "%s/control.sock", dir.path);
    assert_int_equal(stat(path, &st), 0);
    assert_true(S_ISSOCK(st.st_mode));
    assert_int_equal(st.st_mode & 0777, 0660);
}

enum { RUN_GROUP = 54321, OTHER_GROUP = 54322, SOMEBODY = 54323 };

/* The exit code of `status` for a user of these groups. */
static int status_as(gid_t group, gid_t further)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_WRONLY);
        if (dup2(null, STDOUT_FILENO) < 0 || dup2(null, STDERR_FILENO) < 0 || setgroups(1, &further) != 0 ||
            setgid(group) != 0 || setuid(SOMEBODY) != 0)
            _exit(99);
        _exit(status_command(&s, false));
    }
    while (waitpid(pid, &status, WNOHANG) == 0)
        event_base_loop(base, EVLOOP_NONBLOCK);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void group_may_ask_and_others_are_told_that_they_may_not(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        print_message("skip: needs root, to become others\n");
        skip();
    }
    char path[160];
    snprintf(path, sizeof path, "%s/control.sock", dir.path);
    assert_int_equal(chmod(testing_dir, 0755), 0);
    assert_int_equal(chown(dir.path, 0, RUN_GROUP), 0);
    assert_int_equal(chown(path, 0, RUN_GROUP), 0);
    assert_int_equal(status_as(RUN_GROUP, OTHER_GROUP), EX_OK);
    assert_int_equal(status_as(OTHER_GROUP, RUN_GROUP), EX_OK);
    assert_int_equal(status_as(OTHER_GROUP, OTHER_GROUP), EX_NOPERM);
}

static void socket_of_a_dead_run_is_replaced(void **state)
{
    (void)state;
    char path[160], other[170];
    snprintf(path, sizeof path, "%s/control.sock", dir.path);
    snprintf(other, sizeof other, "%s.kept", path);
    /* As after a SIGKILL: the file is there, nobody listens. */
    assert_int_equal(rename(path, other), 0);
    control_close(control);
    assert_int_equal(rename(other, path), 0);
    assert_true(open_control());
    char text[512];
    int fd = connect_here();
    assert_true(answer_to(fd, "status\n", text, sizeof text, DEADLINE_MS));
    close(fd);
}

static void path_longer_than_a_socket_address_works(void **state)
{
    (void)state;
    char name[65], text[512];
    control_close(control);
    state_dir_close(&dir);
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    assert_true(settings_set(&s, "name", name, &error));
    char *deep = NULL;
    assert_true(asprintf(&deep, "%s/%s", testing_dir, name) > 0);
    assert_true(settings_set(&s, "state-dir", deep, &error));
    free(deep);
    assert_true(state_dir_open(&dir, &s, &error));
    assert_true(strlen(dir.path) > 108);
    assert_true(open_control());
    int fd = connect_here();
    assert_true(answer_to(fd, "status\n", text, sizeof text, DEADLINE_MS));
    assert_non_null(strstr(text, "in_step"));
    close(fd);
}

/* Closes the connections that the exit of the process would close. */
static int close_kept(void)
{
    int kept = 0;
    for (int fd = 3; fd < 256; fd++) {
        struct sockaddr_un name = {0};
        socklen_t length = sizeof name;
        if (getsockname(fd, (struct sockaddr *)&name, &length) == 0 && name.sun_family == AF_UNIX &&
            strstr(name.sun_path, "control.sock") && close(fd) == 0)
            kept++;
    }
    return kept;
}

/* The client's verbs block, so they run in a child while this side serves. */
static int serve_child(int (*verb)(void))
{
    enum { ANSWER_TURNS = 50 };
    int status, turns = 0;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        bool quiet = freopen("/dev/null", "w", stdout) && freopen("/dev/null", "w", stderr);
        _exit(quiet ? verb() : 99);
    }
    uint64_t end = clock_monotonic_ms() + DEADLINE_MS;
    while (waitpid(child, &status, WNOHANG) == 0) {
        assert_true(clock_monotonic_ms() < end);
        struct timeval turn = {.tv_usec = 2000};
        event_base_loopexit(base, &turn);
        event_base_loop(base, 0);
        /* The answer goes out first, unless the run ends at once. */
        if (stops && control && (ends_at_once || ++turns > ANSWER_TURNS)) {
            if (exit_code >= 0)
                control_ended(control, exit_code);
            else
                control_close(control);
            control = NULL;
            assert_true(exit_code < 0 || close_kept() > 0);
        }
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int ask_status(void)
{
    return status_command(&s, true);
}

static int ask_stop(void)
{
    return stop_command(&s);
}

static void status_command_ends_with_the_runs_state(void **state)
{
    (void)state;
    assert_int_equal(serve_child(ask_status), EX_OK);
}

static void stop_command_waits_for_the_end(void **state)
{
    (void)state;
    assert_int_equal(serve_child(ask_stop), EX_OK);
    assert_int_equal(stops, 1);
}

/* Before the copy has begun there is nothing to wait for. */
static void stop_of_a_run_that_ends_in_the_same_turn_is_answered(void **state)
{
    (void)state;
    ends_at_once = true;
    assert_int_equal(serve_child(ask_stop), EX_OK);
    assert_int_equal(stops, 1);
}

static void stop_command_ends_as_the_run_does(void **state)
{
    (void)state;
    exit_code = EX_TEMPFAIL;
    assert_int_equal(serve_child(ask_stop), EX_TEMPFAIL);
}

static void stop_command_knows_a_run_that_was_killed(void **state)
{
    (void)state;
    exit_code = -1;
    assert_int_equal(serve_child(ask_stop), EX_UNAVAILABLE);
}

static void run_that_is_not_there_is_unavailable(void **state)
{
    (void)state;
    control_close(control);
    control = NULL;
    state_dir_close(&dir);
    assert_int_equal(serve_child(ask_status), EX_UNAVAILABLE);
    assert_int_equal(serve_child(ask_stop), EX_UNAVAILABLE);
}

static void silent_clients_lock_nobody_out(void **state)
{
    (void)state;
    enum { SILENT = 3 * CONTROL_CONNECTIONS };
    char text[512];
    int silent[SILENT];
    for (int i = 0; i < SILENT; i++) {
        silent[i] = connect_here();
        event_base_loop(base, EVLOOP_NONBLOCK);
    }
    int fd = connect_here();
    assert_true(answer_to(fd, "status\n", text, sizeof text, DEADLINE_MS));
    assert_non_null(strstr(text, "in_step"));
    close(fd);
    fd = connect_here();
    assert_stop_is_answered(fd);
    close(fd);
    for (int i = 0; i < SILENT; i++)
        close(silent[i]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(status_is_one_line_and_then_the_end),
        TEST(request_may_come_in_pieces),
        TEST(stop_is_answered_and_the_connection_held),
        TEST(unknown_request_is_told_what_is_known),
        TEST(endless_request_is_cut_off),
        TEST(socket_is_for_owner_and_group),
        TEST(group_may_ask_and_others_are_told_that_they_may_not),
        TEST(socket_of_a_dead_run_is_replaced),
        TEST(path_longer_than_a_socket_address_works),
        TEST(status_command_ends_with_the_runs_state),
        TEST(stop_command_waits_for_the_end),
        TEST(stop_command_ends_as_the_run_does),
        TEST(stop_command_knows_a_run_that_was_killed),
        TEST(stop_of_a_run_that_ends_in_the_same_turn_is_answered),
        TEST(silent_clients_lock_nobody_out),
        TEST(run_that_is_not_there_is_unavailable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
