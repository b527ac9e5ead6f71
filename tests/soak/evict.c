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

/* Sometimes a few keys, sometimes many. Counted when it evicts no more: before it runs any command, that which ends the
 * limit included, it evicts what is above. */
static bool evict(struct soak *s, uint16_t port)
{
    uint64_t before = info_number(port, "stats", "evicted_keys");
    uint64_t used = info_number(port, "memory", "used_memory");
    uint64_t less = random_below(&s->random, 2) ? used / 10 : 1000 + random_below(&s->random, 30000);
    char *limit = format_text("CONFIG SET maxmemory %llu", (unsigned long long)(used - less));
    server_tell(port, "CONFIG SET maxmemory-policy allkeys-lru");
    server_tell(port, limit);
    free(limit);
    soak_go_on(s, soak_some_ms(s, 200, 1500));
    server_tell(port, "CONFIG SET maxmemory 0");
    server_tell(port, "CONFIG SET maxmemory-policy noeviction");
    return info_number(port, "stats", "evicted_keys") > before;
}

struct told {
    struct soak *s;
    uint64_t full_syncs; /* before … */
    double evicted;      /* … and what was reported then */
};

/* Counted; or it has ended, since it cannot go on: its mark was evicted, too; or all is copied anew, and counted
 * anew. */
static bool is_told(void *arg)
{
    struct told *t = arg;
    if (!process_running(&t->s->run.program.process) || soak_full_syncs(t->s) > t->full_syncs)
        return true;
    double evicted = soak_divergences(t->s, "evicted_by_target");
    return evicted > 0 && (evicted < t->evicted || evicted > t->evicted);
}

bool soak_evict(struct soak *s, uint16_t port)
{
    struct told told = {s, soak_full_syncs(s), soak_divergences(s, "evicted_by_target")};
    s->evicted++; /* of one that ends while it is full nobody knows, and one is reported */
    s->evicted_syncs = told.full_syncs;
    if (!evict(s, port)) {
        s->missed = true;
        return false;
    }
    if (!wait_until(is_told, &told, SOAK_STEP_MS))
        s->trouble = "keys that the target evicted were not reported";
    s->evicted_syncs = soak_full_syncs(s);
    return true;
}
