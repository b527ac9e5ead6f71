/* The source becomes a replica, or a replica of it becomes the source. */
#include "tests/soak/soak.h"

#include <signal.h>
#include <stdlib.h>

#include "tests/support/testing.h"

enum { TAKEOVER_LIMIT_MS = 15000, SHORT_TTLS_MS = 2500, OTHER_KEYS = 200, LATE_MS = 3000, CLOSED_PORT = 1 };

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
    proxy_slow(s->spare_link, 0, 0);
    proxy_to(s->spare_link, s->run.dragonfly.port);
    become_replica(s->spare.port, soak_proxy_port(s->spare_link));
}

static void promote_spare(struct soak *s)
{
    redisContext *c = server_connect(s->spare.port);
    server_ok(c, "REPLICAOF NO ONE");
    redisFree(c);
}

/* ---- demotion ---- */

static void write_others(struct soak *s)
{
    struct workload *load = soak_load_other(s, s->spare.port);
    redisContext *c = server_connect(s->spare.port);
    for (unsigned i = 0; i < OTHER_KEYS; i++) {
        char *words = format_text("SET other:%u %llu", i, (unsigned long long)s->survived);
        server_ok(c, words);
        free(words);
    }
    redisFree(c);
    soak_go_on(s, soak_some_ms(s, 50, 1000));
    workload_stop(load);
}

/* Its master id stays. What it holds then comes from the other one, and is in no journal: however the LSNs are, only
 * a full sync brings it. */
void fault_demote_source(struct soak *s)
{
    soak_wait_in_step(s);
    begin_spare(s);
    soak_end_load(s);
    promote_spare(s);
    write_others(s);
    become_replica(s->run.dragonfly.port, s->spare.port);
    soak_go_on(s, soak_some_ms(s, 50, 2000));
    uint64_t before = soak_full_syncs(s);
    soak_tell(s->run.dragonfly.port, "REPLICAOF NO ONE");
    process_stop(&s->spare.process);
    soak_begin_load(s);
    if (!soak_wait_full_sync_after(s, before))
        s->trouble = "that the source has the keys of another one was not noticed";
}

/* ---- failover ---- */

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

/* A replica that has everything, of a source that is idle.
 *
 * A replica knows the journal of the master that it had, not of those before; and a Dragonfly that leaves out
 * entries while it makes another replica's snapshot empties its ring: who is not connected then has to begin
 * anew.
 *
 * The replica begins a journal of its own when it is promoted, at the number of entries that it has executed. An
 * entry that it is executing then, or one that it executes behind that and that changes nothing there, is missing in
 * it, and those behind have LSNs smaller by one: no run could go on from there. So nothing is written then, nothing
 * expires, and it has executed all. */
static void begin_idle_spare(struct soak *s)
{
    soak_wait_in_step(s);
    begin_spare(s);
    soak_go_on(s, soak_some_ms(s, 50, 2000));
    soak_end_load(s);
    soak_go_on(s, SHORT_TTLS_MS);
    soak_expire(s);
    if (!wait_until(has_executed_all, s, SOAK_STEP_MS))
        die("the replica of the source does not catch up");
}

/* The spare is the source from now on, at the other address. Nothing answers at the first one: a run that reached the
 * next spare there would follow its journal when the source is demoted, rightly without a full sync. */
static void change_places(struct soak *s)
{
    struct server old = s->run.dragonfly;
    s->run.dragonfly = s->spare;
    s->spare = old;
    proxy_to(s->sources[s->master], CLOSED_PORT);
    s->master = 1 - s->master;
    proxy_to(s->sources[s->master], s->run.dragonfly.port);
}

static bool take_over(struct soak *s)
{
    redisContext *c = server_connect(s->spare.port);
    struct timeval limit = {TAKEOVER_LIMIT_MS / 1000 + 5, 0};
    redisSetTimeout(c, limit);
    redisReply *r = server_command(c, "REPLTAKEOVER 15");
    bool over = r->type != REDIS_REPLY_ERROR;
    if (!over)
        printf("    not taken over: %s\n", r->str);
    freeReplyObject(r);
    redisFree(c);
    return over;
}

void fault_fail_over_source(struct soak *s)
{
    begin_idle_spare(s);
    s->missed = !take_over(s);
    if (s->missed) {
        process_stop(&s->spare.process);
    } else {
        wait_until(has_ended, &s->run.dragonfly.process, SOAK_STEP_MS);
        change_places(s);
    }
    soak_begin_load(s);
}

static void kill_source(struct soak *s)
{
    process_signal(&s->run.dragonfly.process, SIGKILL);
    process_wait(&s->run.dragonfly.process, SOAK_STEP_MS);
}

void fault_kill_idle_source(struct soak *s)
{
    begin_idle_spare(s);
    kill_source(s);
    promote_spare(s);
    change_places(s);
    soak_begin_load(s);
}

static void note_applied(struct soak *s, double lsns[SOAK_FLOWS])
{
    cJSON *status = df2redis_status(&s->run.program);
    const cJSON *flows = cJSON_GetObjectItem(status, "flows");
    for (int i = 0; i < SOAK_FLOWS; i++) {
        const cJSON *applied = cJSON_GetObjectItem(cJSON_GetArrayItem(flows, i), "lsn_applied");
        lsns[i] = applied ? applied->valuedouble : 0;
    }
    cJSON_Delete(status);
}

/* Returns true if there are some that the spare, promoted, never got. */
static bool spare_lacks(struct soak *s, const double lsns[SOAK_FLOWS])
{
    redisContext *c = server_connect(s->spare.port);
    redisReply *offsets = server_command(c, "DFLY REPLICAOFFSET");
    bool lacks = false;
    for (size_t i = 0; i < offsets->elements && i < SOAK_FLOWS; i++)
        lacks |= lsns[i] > (double)offsets->element[i]->integer;
    freeReplyObject(offsets);
    redisFree(c);
    return lacks;
}

/* Returns true if the spare has three quarters of the source's keys, and of the most that there were: after a flush the
 * source gets many more before it is killed. With less than half of those of the target, a run rightly ends and asks
 * what to do. */
static bool spare_has_most_keys(const struct soak *s)
{
    redisContext *source = server_connect(s->run.dragonfly.port), *spare = server_connect(s->spare.port);
    uint64_t keys = server_keys(spare);
    bool most = keys * 4 >= server_keys(source) * 3 && s->most_keys && keys * 4 >= s->most_keys * 3;
    redisFree(source);
    redisFree(spare);
    return most;
}

/* What the replica has not got is lost, also for the target: only a full sync takes it away there. Where the replica
 * got all before it was promoted, and executed it in time, the run may go on. */
void fault_kill_source(struct soak *s)
{
    double applied[SOAK_FLOWS];
    bool behind = random_below(&s->random, 2);
    soak_wait_in_step(s);
    begin_spare(s);
    soak_go_on(s, soak_some_ms(s, 50, 2000));
    if (behind)
        proxy_slow(s->spare_link, LATE_MS, 0); /* what is on its way then breaks off with the link */
    soak_go_on(s, soak_some_ms(s, 100, 1500));
    if (behind && !spare_has_most_keys(s)) {
        behind = false;
        proxy_slow(s->spare_link, 0, 0);
        soak_go_on(s, LATE_MS);
    }
    note_applied(s, applied);
    kill_source(s);
    soak_end_load(s);
    promote_spare(s);
    bool lost = spare_lacks(s, applied) && behind;
    uint64_t before = soak_full_syncs(s);
    change_places(s);
    soak_begin_load(s);
    printf("    %s\n", lost     ? "it lacks what the target has"
                       : behind ? "it was behind"
                                : "it was not behind, as far as is known");
    if (lost && !soak_wait_full_sync_after(s, before))
        s->trouble = "that the new source lacks what the target has was not noticed";
}
