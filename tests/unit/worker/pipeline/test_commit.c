/* When a mark may be written: never one that takes the target back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "worker/pipeline/commit.h"
#include "worker/target/router_internal.h"

static void decode_pings(struct decoder *d, unsigned count)
{
    static const uint8_t pings[] = {13, 13, 13, 13, 13, 13, 13, 13};
    struct entry e;
    struct error error;
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(decoder_next(d, slice_of(pings, sizeof pings), &e, &error), DECODE_ENTRY);
}

/* After a loss of the connection the decoder begins at the newest restart record, behind the mark that the
 * target carries, and passes over what is there already. A mark written meanwhile would be older. */
static void no_mark_is_written_while_the_target_is_ahead(void **state)
{
    (void)state;
    struct flow flow = {.settings.marks = true};
    struct commit c = {.flow = &flow, .skip_seq = 5};
    struct decoder_config config = {
        .restore_limit_bytes = 1024, .group_elements = 8, .group_bytes = 1024, .first_lsn = 1};
    memset(config.token, '0', sizeof config.token - 1);
    flow.decoder = decoder_new(&config);
    assert_false(commit_marks_on(&c));
    decode_pings(flow.decoder, 4);
    assert_false(commit_marks_on(&c));
    decode_pings(flow.decoder, 1);
    assert_true(commit_marks_on(&c));
    c.skip_lsn = 8; /* the same by the journal's own count, after a resume by partial sync */
    assert_false(commit_marks_on(&c));
    decode_pings(flow.decoder, 2);
    assert_true(commit_marks_on(&c));
    decoder_free(flow.decoder);
}

static void no_mark_is_written_where_none_is_wanted(void **state)
{
    (void)state;
    struct flow flow = {.settings.marks = true};
    struct commit c = {.flow = &flow};
    struct decoder_config config = {.first_lsn = 1};
    memset(config.token, '0', sizeof config.token - 1);
    flow.decoder = decoder_new(&config);
    flow.settings.target.null_sink = true;
    assert_false(commit_marks_on(&c));
    flow.settings.target.null_sink = false;
    assert_true(commit_marks_on(&c));
    flow.settings.marks = false;
    assert_false(commit_marks_on(&c));
    decoder_free(flow.decoder);
}

/* The text that the broken invariant leaves behind, or "". */
static const char *said_when_sent(bool ready, enum hold hold)
{
    static char said[1024];
    int ends[2], status;
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct router router = {0};
        struct flow flow = {.ready = ready, .hold = hold};
        struct commit c = {.flow = &flow, .router = &router};
        struct rlimit no_core = {0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        dup2(ends[1], STDERR_FILENO);
        commit_send(&c, false);
        _exit(0);
    }
    close(ends[1]);
    ssize_t n = read(ends[0], said, sizeof said - 1);
    said[n > 0 ? n : 0] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    return said;
}

static void worker_aborts_before_it_sends_from_an_unknown_place(void **state)
{
    (void)state;
    assert_non_null(strstr(said_when_sent(false, HOLD_NONE), "invariant 3.4 is broken"));
}

static void worker_aborts_before_it_sends_while_it_is_held(void **state)
{
    (void)state;
    assert_non_null(strstr(said_when_sent(true, HOLD_FLUSH_WAITING), "invariant 3.4 is broken"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(worker_aborts_before_it_sends_from_an_unknown_place),
        cmocka_unit_test(worker_aborts_before_it_sends_while_it_is_held),
        cmocka_unit_test(no_mark_is_written_while_the_target_is_ahead),
        cmocka_unit_test(no_mark_is_written_where_none_is_wanted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
