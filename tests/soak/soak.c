/* Random faults for as long as one likes, under load: `soak [MINUTES [SEED [cluster]]]`.
 *
 * In rounds: faults come one after the other, some while the last one is not over; then the load stops, and
 * the target must come to hold what the source holds, key by key, deadlines included. Every other round is
 * calm: it has only faults that need no full sync, and there must be none. With DF2REDIS_TEST_DRAGONFLY the
 * source is a real Dragonfly under concurrent writes of every kind, else the scripted one with commands that
 * must not run twice. The seed, which is printed, decides the order of the faults; not their moments, which
 * are the machine's. */
#include "tests/soak/soak.h"

#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "tests/soak/record.h"
#include "tests/support/testing.h"

enum { ROUND_FAULTS = 12, SETTLE_LIMIT_MS = 180000 };

static struct soak soak;

static bool fail(struct soak *s, const char *what)
{
    printf("soak: %s in round %llu; repeat with seed %llu\n", what, (unsigned long long)s->rounds,
           (unsigned long long)s->seed);
    fflush(stdout);
    if (s->run.source)
        fprintf(stderr, "%s\n", scripted_violation(s->run.source));
    soak_print_program(s);
    return false;
}

static bool make_one(struct soak *s)
{
    const struct fault *fault = soak_choose(s);
    long long now_ms = clock_unix_ms();
    printf("  %lld.%03lld  %s\n", now_ms / 1000, now_ms % 1000, fault->name);
    fflush(stdout);
    s->may_sync |= (fault->flags & FAULT_SYNCS) != 0;
    s->missed = false;
    fault->make(s);
    uint32_t pause_ms = random_below(&s->random, 4) ? 50 + (uint32_t)random_below(&s->random, 1500) : 0;
    if (!soak_go_on(s, pause_ms))
        return fail(s, "the program ended by itself");
    if (s->trouble)
        return fail(s, s->trouble);
    soak_count_full_syncs(s);
    if (s->missed)
        soak_missed(s, fault);
    else
        soak_survived(s, fault);
    return true;
}

/* Down to the last key. */
static bool settle(struct soak *s)
{
    soak_end_load_when_stable(s);
    soak_expire(s);
    bool settled = wait_until(soak_has_settled, s, SETTLE_LIMIT_MS);
    if (!process_running(&s->run.program.process))
        return fail(s, "the program ended by itself");
    if (!settled)
        return fail(s, "not in step in time");
    if (s->run.source && *scripted_violation(s->run.source))
        return fail(s, "the protocol was violated");
    soak_count_full_syncs(s);
    if (!soak_is_equal(s)) {
        soak_divergences_are_expected(s); /* told, or silent */
        return fail(s, "the target is not equal");
    }
    s->may_sync = false;
    return true;
}

static bool play_round(struct soak *s)
{
    s->rounds++;
    s->calm = s->rounds % 2 == 0;
    printf("round %llu%s\n", (unsigned long long)s->rounds, s->calm ? ", without a full sync" : "");
    record_turn();
    soak_begin_load(s);
    for (int i = 0; i < ROUND_FAULTS; i++)
        if (!make_one(s))
            return false;
    if (!settle(s))
        return false;
    printf("  sessions %.0f, restarts %.0f, %.0f ms up, full syncs so far %llu\n",
           df2redis_status_number(&s->run.program, "sessions"),
           df2redis_status_number(&s->run.program, "flows.0.restarts"),
           df2redis_status_number(&s->run.program, "uptime_ms"), (unsigned long long)s->full_syncs);
    if (!soak_divergences_are_expected(s))
        return fail(s, "something was reported that was not done");
    return true;
}

static bool end_in_order(struct soak *s)
{
    int code = run_terminate(&s->run);
    return code == EX_OK || (code == EX_DATAERR && soak_expects_divergences(s)) ||
           fail(s, "the program did not end well");
}

int main(int argc, char **argv)
{
    struct soak *s = &soak;
    uint64_t minutes = 1;
    s->seed = clock_monotonic_ms();
    if ((argc > 1 && !slice_to_u64(slice_str(argv[1]), &minutes)) ||
        (argc > 2 && *argv[2] && !slice_to_u64(slice_str(argv[2]), &s->seed)) ||
        (argc > 3 && strcmp(argv[3], "cluster") != 0)) {
        fprintf(stderr, "usage: soak [MINUTES [SEED [cluster]]]\n");
        return EX_USAGE;
    }
    s->in_cluster = argc > 3;
    s->random.state = s->seed;
    s->live = dragonfly_available();
    soak_begin(s);
    printf("soak: %llu minutes, seed %llu, %s into %s\n", (unsigned long long)minutes,
           (unsigned long long)s->seed, s->live ? "a real Dragonfly" : "the scripted Dragonfly",
           s->in_cluster ? "a cluster of three masters" : "a single target");
    soak_start_program(s);
    uint64_t end_ms = clock_monotonic_ms() + minutes * 60000;
    bool good = true;
    do
        good = play_round(s);
    while (good && clock_monotonic_ms() < end_ms);
    soak_print_faults();
    good = good && end_in_order(s) && !s->needless;
    printf("soak: %s: %llu faults survived in %llu rounds and %u starts; full syncs: %llu needed, %llu "
           "needless; "
           "differences: %llu\n",
           good ? "good" : "FAILED", (unsigned long long)s->survived, (unsigned long long)s->rounds,
           s->starts, (unsigned long long)(s->full_syncs - s->needless), (unsigned long long)s->needless,
           (unsigned long long)s->differences);
    if (!good)
        setenv("DF2REDIS_TEST_KEEP", "1", 0);
    soak_end(s);
    return good ? 0 : 1;
}
