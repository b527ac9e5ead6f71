/* --max-rate holds: judged by the least time that the bytes may take, which no slow machine makes shorter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <sysexits.h>

#include "tests/support/generate.h"
#include "tests/support/run.h"
#include "tests/support/testing.h"

/* A worker decodes no more than this at a time, and begins with an empty allowance. */
enum { TURN_BYTES = 1 << 20, RATE_BYTES = 4 << 20, FLOWS = 2 };

static struct run run;

static int teardown(void **state)
{
    (void)state;
    run_end(&run);
    return 0;
}

/* The most that one FLOW sends. */
static uint64_t begin(void)
{
    struct generate_options g;
    generate_options_init(&g);
    g.flows = FLOWS;
    g.strings = 60000;
    g.string_bytes = 100;
    g.plain = true;
    struct scripted_options options;
    scripted_options_init(&options);
    scripted_options_add(&options, generate_session(&g, NULL));
    uint64_t most = 0;
    for (size_t i = 0; i < FLOWS; i++)
        if (options.sessions[0].flows[i].bytes.len > most)
            most = options.sessions[0].flows[i].bytes.len;
    run_begin(&run, &options);
    return most;
}

static uint64_t elapsed_ms(const char *const *extra)
{
    uint64_t begun = clock_monotonic_ms();
    run_replicate(&run, extra);
    assert_true(run_wait_in_step(&run));
    uint64_t elapsed = clock_monotonic_ms() - begun;
    assert_int_equal(run_terminate(&run), EX_OK);
    assert_int_equal(run_target_keys(&run), 60000);
    return elapsed;
}

static void no_flow_is_decoded_faster_than_its_share(void **state)
{
    (void)state;
    static const char *const slowly[] = {"--max-rate", "4m", NULL};
    uint64_t bytes = begin(), share = RATE_BYTES / FLOWS;
    assert_true(bytes > 2 * TURN_BYTES);
    uint64_t least = (bytes - TURN_BYTES) * 1000 / share;
    assert_true(elapsed_ms(slowly) >= least);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(no_flow_is_decoded_faster_than_its_share, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
