/* Workers that ended without being told to, as the supervisor finds them. */
#include "tests/unit/supervisor/supervisor_testing.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "supervisor/run/run.h"

static struct settings settings;
static struct run run;
static struct flow flow;

static void on_pump(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what, (void)arg;
}

/* In stable sync, with one FLOW whose connection is the one end of this pair. */
static int begin(void **state)
{
    int *pair = calloc(2, sizeof *pair);
    assert_non_null(pair);
    *state = pair;
    settings_init(&settings);
    run = (struct run){.settings = &settings, .flows = &flow, .flow_count = 1, .streamed = true};
    run.session.state = SESSION_STABLE;
    run.base = event_base_new();
    run.pump = event_new(run.base, -1, 0, on_pump, NULL);
    run.worker_path = (char *)(uintptr_t) "/bin/true";
    run_flow_context_init(&run);
    flow_init(&flow, &run, &run.flow_context, 0);
    flow.stable = true;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    flow.socket = pair[0];
    return 0;
}

static int end(void **state)
{
    int *pair = *state;
    if (flow_worker_alive(&flow))
        waitpid(flow.worker.pid, NULL, 0);
    flow_free(&flow);
    event_free(run.pump);
    event_base_free(run.base);
    settings_free(&settings);
    free(pair);
    return 0;
}

/* Its worker is dead, and nobody has been told yet. */
static void kill_its_worker(void)
{
    siginfo_t info;
    flow.worker.pid = fork();
    assert_true(flow.worker.pid >= 0);
    if (flow.worker.pid == 0) {
        pause();
        _exit(0);
    }
    assert_int_equal(kill(flow.worker.pid, SIGKILL), 0);
    assert_int_equal(waitid(P_PID, (id_t)flow.worker.pid, &info, WEXITED | WNOWAIT), 0);
}

static bool is_posted(enum session_event event)
{
    for (size_t i = 0; i < run.queued; i++)
        if (run.queue[i] == event)
            return true;
    return false;
}

static void a_killed_worker_has_a_successor(void **state)
{
    int *pair = *state;
    kill_its_worker();
    run_reap(&run);
    assert_int_equal(flow.restarts, 1);
    assert_true(flow_worker_alive(&flow));
    assert_false(is_posted(EVENT_LINK_LOST));
    close(pair[1]);
}

/* The connection is closed, and the event loop has not come to that: what the spool holds is the successor's. */
static void nor_does_one_lack_it_that_died_together_with_the_link(void **state)
{
    int *pair = *state;
    close(pair[1]);
    kill_its_worker();
    run_reap(&run);
    assert_int_equal(flow.restarts, 1);
    assert_true(flow_worker_alive(&flow));
    assert_true(is_posted(EVENT_LINK_LOST));
}

/* A session that has nothing complete yet begins anew: there is nothing to be applied first. */
static void before_stable_sync_the_session_is_over_without_one(void **state)
{
    int *pair = *state;
    run.session.state = SESSION_FULL_SYNC;
    close(pair[1]);
    kill_its_worker();
    run_reap(&run);
    assert_int_equal(flow.restarts, 0);
    assert_false(flow_worker_alive(&flow));
    assert_true(is_posted(EVENT_LINK_LOST));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_killed_worker_has_a_successor),
        TEST(nor_does_one_lack_it_that_died_together_with_the_link),
        TEST(before_stable_sync_the_session_is_over_without_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
