/* What a service manager hears, at a socket of our own. */
#include "tests/unit/supervisor/supervisor_testing.h"

#include <sys/socket.h>

#include "supervisor/service/notify.h"

static struct notify n;
static int manager = -1;
static char heard[8][NOTIFY_TEXT_BYTES + 64];
static size_t heard_count;

static int setup(void **state)
{
    char path[96];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (make_dir(state) != 0)
        return -1;
    snprintf(path, sizeof path, "%s/notify", testing_dir);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setenv("NOTIFY_SOCKET", path, 1);
    setenv("WATCHDOG_USEC", "3000000", 1);
    unsetenv("WATCHDOG_PID");
    return bind(manager, (struct sockaddr *)&address, sizeof address);
}

static int teardown(void **state)
{
    notify_close(&n);
    close(manager);
    return remove_dir(state);
}

/* Everything that is there; a datagram between two sockets of one machine is there at once. */
static void listen_now(void)
{
    heard_count = 0;
    while (heard_count < 8) {
        ssize_t got = recv(manager, heard[heard_count], sizeof heard[0] - 1, 0);
        if (got < 0)
            return;
        heard[heard_count++][got] = '\0';
    }
}

static bool has_heard(const char *text)
{
    for (size_t i = 0; i < heard_count; i++)
        if (strcmp(heard[i], text) == 0)
            return true;
    return false;
}

static void ready_is_told_once_and_only_in_step(void **state)
{
    (void)state;
    notify_open(&n);
    notify_turn(&n, 1000, false, "full-sync");
    listen_now();
    assert_false(has_heard("READY=1"));
    assert_true(has_heard("STATUS=full-sync"));
    assert_true(has_heard("EXTEND_TIMEOUT_USEC=60000000"));
    notify_turn(&n, 1250, true, "stable");
    listen_now();
    assert_true(has_heard("READY=1"));
    assert_true(has_heard("STATUS=stable"));
    notify_turn(&n, 1500, true, "stable");
    listen_now();
    assert_int_equal(heard_count, 0);
}

static void watchdog_hears_twice_in_its_time(void **state)
{
    (void)state;
    unsigned beats = 0;
    notify_open(&n);
    for (uint64_t now_ms = 1000; now_ms <= 10000; now_ms += 250) {
        notify_turn(&n, now_ms, true, "stable");
        listen_now();
        beats += has_heard("WATCHDOG=1");
    }
    assert_int_equal(beats, 7); /* each 1.5 s of 9 s, and one at the beginning */
}

static void watchdog_of_another_process_is_not_ours(void **state)
{
    (void)state;
    setenv("WATCHDOG_PID", "1", 1);
    notify_open(&n);
    assert_int_equal(n.watchdog_ms, 0);
    notify_close(&n);
    assert_null(getenv("WATCHDOG_PID"));
}

static void reload_and_stop_are_told(void **state)
{
    (void)state;
    notify_open(&n);
    notify_reloading(&n);
    notify_reloaded(&n);
    listen_now();
    assert_int_equal(heard_count, 0); /* not ready yet: the manager waits for READY */
    notify_ready(&n);
    notify_reloading(&n);
    notify_reloaded(&n);
    notify_stopping(&n);
    notify_stopping(&n);
    listen_now();
    assert_int_equal(heard_count, 4);
    assert_string_equal(heard[0], "READY=1");
    assert_true(strncmp(heard[1], "RELOADING=1\nMONOTONIC_USEC=", 27) == 0);
    assert_string_equal(heard[2], "READY=1");
    assert_string_equal(heard[3], "STOPPING=1");
}

static void ready_is_not_told_while_stopping(void **state)
{
    (void)state;
    notify_open(&n);
    notify_stopping(&n);
    notify_turn(&n, 1000, true, "draining");
    listen_now();
    assert_false(has_heard("READY=1"));
    assert_true(has_heard("EXTEND_TIMEOUT_USEC=60000000"));
}

static void children_do_not_inherit_the_socket(void **state)
{
    (void)state;
    notify_open(&n);
    assert_null(getenv("NOTIFY_SOCKET"));
    assert_null(getenv("WATCHDOG_USEC"));
}

static void without_a_manager_nothing_happens(void **state)
{
    (void)state;
    unsetenv("NOTIFY_SOCKET");
    notify_open(&n);
    assert_int_equal(n.fd, -1);
    notify_turn(&n, 1000, true, "stable");
    notify_stopping(&n);
    listen_now();
    assert_int_equal(heard_count, 0);
}

static void abstract_socket_is_found(void **state)
{
    (void)state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char name[64];
    int len = snprintf(name, sizeof name, "@df2redis-test-%ld", (long)getpid());
    memcpy(address.sun_path + 1, name + 1, (size_t)len - 1);
    close(manager);
    manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(manager, (struct sockaddr *)&address,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)len)),
                     0);
    setenv("NOTIFY_SOCKET", name, 1);
    notify_open(&n);
    notify_ready(&n);
    listen_now();
    assert_true(has_heard("READY=1"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(ready_is_told_once_and_only_in_step),     TEST(watchdog_hears_twice_in_its_time),
        TEST(watchdog_of_another_process_is_not_ours), TEST(reload_and_stop_are_told),
        TEST(ready_is_not_told_while_stopping),        TEST(children_do_not_inherit_the_socket),
        TEST(without_a_manager_nothing_happens),       TEST(abstract_socket_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
