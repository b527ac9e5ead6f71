/* What happens to the source, and to the link to it. */
#include "tests/soak/soak.h"

#include <stdlib.h>

#include "tests/support/testing.h"

enum { TAKEOVER_LIMIT_MS = 15000, SHORT_TTLS_MS = 2500 };

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

/* ---- roles ---- */

static bool info_is(uint16_t port, const char *field, const char *value)
{
    redisContext *c = server_connect(port);
    char *is = server_info(c, "replication", field);
    bool same = is && strcmp(is, value) == 0;
    free(is);
    redisFree(c);
    return same;
}

static bool follows(void *port)
{
    return info_is(*(uint16_t *)port, "master_link_status", "up") &&
           info_is(*(uint16_t *)port, "master_sync_in_progress", "0");
}

static void become_replica(uint16_t port, uint16_t of)
{
    char *words = format_text("REPLICAOF 127.0.0.1 %u", of);
    redisContext *c = server_connect(port);
    server_ok(c, words);
    redisFree(c);
    free(words);
    if (!wait_until(follows, &port, SOAK_STEP_MS))
        die("the Dragonfly on port %u does not follow that on %u", port, of);
}

/* Another Dragonfly with all that the source has. */
static void begin_spare(struct soak *s)
{
    if (s->spare.dir)
        dragonfly_restart(&s->spare, SOAK_FLOWS, soak_dragonfly_words);
    else
        dragonfly_start(&s->spare, SOAK_FLOWS, soak_dragonfly_words);
    soak_record(&s->spare, "other source");
    become_replica(s->spare.port, s->run.dragonfly.port);
}

/* Its master id stays, and its journal is another one from then on. (A run that has not come to the last flush yet has
 * more than twice the keys of the source, and rightly ends.) */
void fault_demote_source(struct soak *s)
{
    soak_wait_in_step(s);
    begin_spare(s);
    soak_end_load(s);
    soak_tell(s->spare.port, "REPLICAOF NO ONE");
    become_replica(s->run.dragonfly.port, s->spare.port);
    soak_go_on(s, soak_some_ms(s, 50, 2000));
    soak_tell(s->run.dragonfly.port, "REPLICAOF NO ONE");
    process_stop(&s->spare.process);
    soak_begin_load(s);
}

static bool has_ended(void *process)
{
    return !process_running(process);
}

/* The source says how many entries its replicas have not confirmed. */
static bool has_executed_all(void *arg)
{
    struct soak *s = arg;
    redisContext *c = server_connect(s->run.dragonfly.port);
    bool all = true;
    for (unsigned i = 0; all && i < 2; i++) {
        char *field = format_text("slave%u", i);
        char *replica = server_info(c, "replication", field);
        all = !replica || strstr(replica, ",lag=0");
        free(replica);
        free(field);
    }
    redisFree(c);
    return all;
}

/* A replica knows the journal of the master that it had, not of those before; and a Dragonfly that leaves out
 * entries while it makes another replica's snapshot empties its ring: who is not connected then has to begin
 * anew. */
void fault_fail_over_source(struct soak *s)
{
    soak_wait_in_step(s);
    begin_spare(s);
    soak_go_on(s, soak_some_ms(s, 50, 2000));
    soak_end_load(s);
    /* The replica begins a journal of its own when it is told to take over, at the number of entries that it
     * has executed. An entry that it is executing then, or one that it executes behind that and that changes
     * nothing there, is missing in it, and those behind have LSNs smaller by one: no run could go on from
     * there. So nothing is written then, nothing expires, and it has executed all. */
    soak_go_on(s, SHORT_TTLS_MS);
    soak_expire(s);
    if (!wait_until(has_executed_all, s, SOAK_STEP_MS))
        die("the replica of the source does not catch up");
    redisContext *c = server_connect(s->spare.port);
    struct timeval limit = {TAKEOVER_LIMIT_MS / 1000 + 5, 0};
    redisSetTimeout(c, limit);
    redisReply *r = server_command(c, "REPLTAKEOVER 15");
    bool over = r->type != REDIS_REPLY_ERROR;
    if (!over)
        printf("    not taken over: %s\n", r->str);
    freeReplyObject(r);
    redisFree(c);
    if (over) {
        struct server old = s->run.dragonfly;
        wait_until(has_ended, &s->run.dragonfly.process, SOAK_STEP_MS);
        old = s->run.dragonfly;
        s->run.dragonfly = s->spare;
        s->spare = old;
        s->master = 1 - s->master;
        proxy_to(s->sources[s->master], s->run.dragonfly.port);
    } else {
        process_stop(&s->spare.process);
    }
    soak_begin_load(s);
}
