/* What happens to the source, and to the link to it. */
#include "tests/soak/soak.h"

#include <stdlib.h>

#include "tests/support/testing.h"

void fault_cut_source(struct soak *s)
{
    if (s->live)
        proxy_cut(s->sources[s->master]);
    else
        scripted_cut_all(s->run.source);
}

void fault_slow_source(struct soak *s)
{
    struct proxy *p = s->sources[s->master];
    proxy_slow(p, soak_some_ms(s, 0, 300), soak_some_rate(s));
    soak_go_on(s, soak_some_ms(s, 500, 4000));
    proxy_slow(p, 0, 0);
}

void fault_hold_flows(struct soak *s)
{
    struct proxy *p = s->sources[s->master];
    proxy_hold_flows(p, true);
    soak_go_on(s, soak_some_ms(s, 200, 5000));
    proxy_hold_flows(p, false);
}

void fault_flush_source(struct soak *s)
{
    if (s->live)
        soak_tell(s->run.dragonfly.port, random_below(&s->random, 4) ? "FLUSHDB" : "FLUSHALL");
    else
        journal_script_flush(&s->script, s->run.source);
}

/* ---- databases ---- */

static bool is_reported(void *arg)
{
    struct soak *s = arg;
    return soak_divergences(s, s->in_cluster ? "database_not_in_cluster" : "database_not_in_target") > 0;
}

/* A cluster has one database only. */
static uint32_t some_database_beyond(struct soak *s)
{
    return s->in_cluster ? 1 + (uint32_t)random_below(&s->random, SOAK_BEYOND_DATABASE)
                         : SOAK_BEYOND_DATABASE;
}

static void write_live(struct soak *s, uint32_t db, const char *const *words, size_t count)
{
    redisContext *c = server_connect(s->run.dragonfly.port);
    char *select = format_text("SELECT %u", db);
    server_ok(c, select);
    for (size_t i = 0; i < count; i++)
        server_ok(c, words[i]);
    free(select);
    redisFree(c);
}

static void write_scripted(struct soak *s, uint32_t db, const char *const *words, size_t count)
{
    struct buf journal = {0};
    for (size_t i = 0; i < count; i++)
        write_journal(&journal, db, 0, words[i]);
    scripted_append(s->run.source, random_below(&s->random, SOAK_FLOWS), buf_slice(&journal));
    buf_free(&journal);
}

/* Written and deleted: while it is in use a new start is refused. */
void fault_write_beyond(struct soak *s)
{
    static const char *const words[] = {"SET beyond 1", "APPEND beyond 2", "DEL beyond"};
    uint32_t db = some_database_beyond(s);
    (s->live ? write_live : write_scripted)(s, db, words, sizeof words / sizeof *words);
    s->beyond++;
    soak_go_on(s, soak_some_ms(s, 0, 500));
    /* Where a full sync runs meanwhile, the keys are gone before its snapshot comes to them, and it counts anew. */
    if (!s->may_sync && !wait_until(is_reported, s, SOAK_STEP_MS))
        s->trouble = "a database that the target lacks was not reported";
}
