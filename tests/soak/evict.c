/* A server of the target evicts keys, and that has to be told. */
#include "tests/soak/soak.h"

#include <stdlib.h>

#include "tests/support/testing.h"

static uint64_t info_number(uint16_t port, const char *section, const char *field)
{
    redisContext *c = server_connect(port);
    char *text = server_info(c, section, field);
    uint64_t v = text ? strtoull(text, NULL, 10) : 0;
    free(text);
    redisFree(c);
    return v;
}

/* Sometimes a few keys, sometimes many. */
static bool evict(struct soak *s, uint16_t port)
{
    uint64_t before = info_number(port, "stats", "evicted_keys");
    uint64_t used = info_number(port, "memory", "used_memory");
    uint64_t less = random_below(&s->random, 2) ? used / 10 : 1000 + random_below(&s->random, 30000);
    char *limit = format_text("CONFIG SET maxmemory %llu", (unsigned long long)(used - less));
    soak_tell(port, "CONFIG SET maxmemory-policy allkeys-lru");
    soak_tell(port, limit);
    free(limit);
    soak_go_on(s, soak_some_ms(s, 200, 1500));
    bool evicted = info_number(port, "stats", "evicted_keys") > before;
    soak_tell(port, "CONFIG SET maxmemory 0");
    soak_tell(port, "CONFIG SET maxmemory-policy noeviction");
    return evicted;
}

struct told {
    struct soak *s;
    uint64_t full_syncs; /* before */
};

/* Counted; or it has ended, since it cannot go on: its mark was evicted, too; or all is copied anew, and counted
 * anew. */
static bool is_told(void *arg)
{
    struct told *t = arg;
    return !process_running(&t->s->run.program.process) || soak_divergences(t->s, "evicted_by_target") > 0 ||
           soak_full_syncs(t->s) > t->full_syncs;
}

bool soak_evict(struct soak *s, uint16_t port)
{
    struct told told = {s, soak_full_syncs(s)};
    if (!evict(s, port)) {
        s->missed = true;
        return false;
    }
    s->evicted++;
    if (!wait_until(is_told, &told, SOAK_STEP_MS))
        s->trouble = "keys that the target evicted were not reported";
    return true;
}
