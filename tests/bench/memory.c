/* A worker's memory must not depend on how many keys there are: full sync of ten thousand and of ten million
 * from a real Dragonfly. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/bench/live.h"
#include "tests/support/run.h"
#include "tests/support/testing.h"
#include "tests/support/usage.h"

enum { SHARDS = 2, FEW = 10000, MANY_PER_PERCENT = 100000, LIMIT_MIB = 64, SYNC_DEADLINE_MS = 600000 };

struct syncing {
    struct run *run;
    struct usage usage;
};

/* In step alone may be a second behind. */
static bool all_applied(void *arg)
{
    struct syncing *s = arg;
    usage_sample(&s->usage);
    cJSON *status = df2redis_status(&s->run->program);
    bool all = cJSON_IsTrue(cJSON_GetObjectItem(status, "in_step"));
    const cJSON *flow;
    cJSON_ArrayForEach(flow, cJSON_GetObjectItem(status, "flows")) all &=
        cJSON_GetObjectItem(flow, "applied_bytes")->valuedouble ==
        cJSON_GetObjectItem(flow, "received_bytes")->valuedouble;
    cJSON_Delete(status);
    return all || !process_running(&s->run->program.process);
}

static double peak_mib(uint64_t keys)
{
    static const char *const roomy[] = {"--maxmemory=8GB", NULL};
    struct run run;
    run_begin(&run, NULL);
    dragonfly_start(&run.dragonfly, SHARDS, roomy);
    redisContext *c = server_connect(run.dragonfly.port);
    redisSetTimeout(c, (struct timeval){SYNC_DEADLINE_MS / 1000, 0});
    char *populate = format_text("DEBUG POPULATE %llu key 32", (unsigned long long)keys);
    server_ok(c, populate);
    free(populate);
    redisFree(c);
    run_replicate(&run, NULL);
    struct syncing s = {.run = &run, .usage = {.parent = run.program.process.pid}};
    wait_until(all_applied, &s, SYNC_DEADLINE_MS);
    c = server_connect(run.target.port);
    uint64_t copied = server_keys(c) - (uint64_t)server_integer(c, "EXISTS df2redis:default"); /* the marks */
    redisFree(c);
    if (copied != keys)
        die("%llu of %llu keys were copied", (unsigned long long)copied, (unsigned long long)keys);
    run_end(&run);
    return (double)usage_peak_anon_bytes(&s.usage) / 1048576;
}

bool bench_memory(unsigned percent)
{
    if (!dragonfly_available()) {
        puts("A worker's memory by the number of keys needs DF2REDIS_TEST_DRAGONFLY.");
        return true;
    }
    uint64_t many = (uint64_t)MANY_PER_PERCENT * percent;
    double few_mib = peak_mib(FEW), many_mib = peak_mib(many);
    printf("largest worker, peak memory beyond the spool: %.1f MiB with %u keys, %.1f MiB with %llu (limit "
           "%d)\n",
           few_mib, FEW, many_mib, (unsigned long long)many, LIMIT_MIB);
    return few_mib <= LIMIT_MIB && many_mib <= LIMIT_MIB;
}
