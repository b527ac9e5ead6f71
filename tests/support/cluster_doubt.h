/* A cluster of three masters, one more without slots, and a slot that goes there: what the tests have in
 * common that let nodes hang, lose what they had, or be started anew meanwhile. After cmocka.h. */
#ifndef DF2REDIS_TESTS_CLUSTER_DOUBT_H
#define DF2REDIS_TESTS_CLUSTER_DOUBT_H

#include <signal.h>
#include <stdlib.h>

#include "tests/support/cluster_crash.h"

enum {
    MASTERS = 3,
    SOURCE = 1,           /* serves "c" */
    IDLE = 3,             /* the first master without slots */
    SLOT = 100,           /* of member 0 */
    TWO_LOOKS = 4,        /* of one FLOW: it asks two questions each time */
    FOUR_LOOKS = 8,       /* with those after it has found the slots elsewhere */
    TAKING = 5,           /* what redis_cluster_take_slot() says and asks */
    SOME_LOOKS = 12,      /* of all FLOWs; each looks every 2 s, and more often in trouble */
    FAILS_SOON_MS = 2000, /* as long as nodes take to agree that one has failed */
    PATIENCE_MS = 60000,
};

static inline bool masters_serve_their_slots(void)
{
    bool all = true;
    for (size_t i = 0; i < MASTERS; i++)
        all &= redis_cluster_owner(&cluster, (uint16_t)(CLUSTER_SLOTS * i / MASTERS)) == i;
    return all;
}

/* On a busy machine nodes take each other for failed: they are patient, until a test says otherwise. */
static inline void start_cluster(unsigned idle, unsigned replicas)
{
    struct redis_cluster_options o;
    redis_cluster_options_init(&o);
    o.masters = MASTERS;
    o.idle = idle;
    o.replicas = replicas;
    do {
        redis_cluster_stop(&cluster);
        redis_cluster_start_with(&cluster, &o);
        redis_cluster_patience(&cluster, PATIENCE_MS);
    } while (!masters_serve_their_slots()); /* one failed already, and its replica took over */
}

/* A master that does not answer has failed soon after this. */
static inline void notice_failures(void)
{
    redis_cluster_patience(&cluster, FAILS_SOON_MS);
}

/* It does not answer from the return on. */
static inline bool is_stopped(void *member)
{
    return process_state(cluster.members[*(size_t *)member].server.process.pid) == 'T';
}

static inline void hang(size_t member)
{
    process_signal(&cluster.members[member].server.process, SIGSTOP);
    assert_true(wait_until(is_stopped, &member, RUN_DEADLINE_MS));
}

/* Whoever hangs is given up soon. */
static inline void replicate(void)
{
    run_replicate(&crash.run, (const char *const[]){"--connect-timeout", "2s", NULL});
    assert_true(run_wait_in_step(&crash.run));
}

static inline void begin(uint32_t flows)
{
    start_cluster(1, 0);
    crash_begin_in(&crash, &cluster, flows, &crash_small);
    replicate();
}

/* One line for FLOW 0; %s is the tag of SLOT. */
static inline void line(const char *format)
{
    char words[400];
    snprintf(words, sizeof words, format, slot_tag(SLOT), slot_tag(SLOT));
    journal_script_line(&crash.script, crash.run.source, 0, words);
}

static inline void assert_in_step(void)
{
    assert_true(run_wait_in_step(&crash.run));
}

static inline void tell(size_t member, const char *format, const char *arg)
{
    char words[120];
    redisContext *c = redis_cluster_connect(&cluster, member);
    snprintf(words, sizeof words, format, arg);
    server_ok(c, words);
    redisFree(c);
}

/* ---- what is waited for ---- */

/* What FLOW 0 has noted of the whole of a master that serves the lowest slot that it began with. */
static inline char *node_mark(size_t member)
{
    redisContext *c = redis_cluster_connect(&cluster, member);
    char key[80], words[120];
    slot_mark_key(key, sizeof key, "default", (uint16_t)(CLUSTER_SLOTS * member / MASTERS));
    snprintf(words, sizeof words, "HGET %s node-0", key);
    redisReply *r = server_command(c, words);
    char *mark = x_strdup(r->str ? r->str : "");
    freeReplyObject(r);
    redisFree(c);
    return mark;
}

static inline bool are_marked(void *before)
{
    bool others = true;
    for (size_t i = 0; others && i < MASTERS; i++) {
        char *now = node_mark(i);
        others = strcmp(now, ((char **)before)[i]) != 0;
        free(now);
    }
    return others;
}

/* All marks but those of SLOT are beyond what is written before, and nothing is unanswered. */
static inline void wait_marks(void)
{
    char *before[MASTERS];
    assert_in_step();
    for (size_t i = 0; i < MASTERS; i++)
        before[i] = node_mark(i);
    line("INCR beyond");
    assert_true(wait_until(are_marked, before, RUN_DEADLINE_MS));
    for (size_t i = 0; i < MASTERS; i++)
        free(before[i]);
}

/* FLOW 0 has a link there, and nothing more to ask. */
static inline bool is_met(void *member)
{
    redisContext *c = redis_cluster_connect(&cluster, *(size_t *)member);
    redisReply *r = server_command(c, "CLIENT LIST");
    char *at = strstr(r->str, " name=df2redis:default:flow-0 "), *end = at ? strchr(at, '\n') : NULL;
    if (end)
        *end = 0;
    bool met = end && strstr(at, " idle=0 ") == NULL;
    freeReplyObject(r);
    redisFree(c);
    return met;
}

static inline void wait_met(size_t member)
{
    assert_true(wait_until(is_met, &member, RUN_DEADLINE_MS));
}

static inline bool is_left(void *member)
{
    redisContext *c = redis_cluster_connect(&cluster, *(size_t *)member);
    redisReply *r = server_command(c, "CLIENT LIST");
    bool left = strstr(r->str, " name=df2redis:default:flow-0 ") == NULL;
    freeReplyObject(r);
    redisFree(c);
    return left;
}

/* It was sent something that it has not read. */
static inline bool is_unread(void *member)
{
    return port_unread_bytes(cluster.members[*(size_t *)member].server.port) > 0;
}

static inline void kill_until_failed(void)
{
    redis_cluster_kill(&cluster, IDLE);
    notice_failures();
    assert_true(redis_cluster_wait_listed(&cluster, IDLE, " master,fail "));
    redis_cluster_patience(&cluster, PATIENCE_MS);
}

static inline void bring_back(void)
{
    redis_cluster_revive(&cluster, IDLE);
    assert_true(redis_cluster_wait_ok(&cluster));
}

/* IDLE serves SLOT behind ASKING. */
static inline void begin_between(uint32_t flows)
{
    begin(flows);
    line("APPEND {%s}grows 1");
    line("RPUSH {%s}list 1 2 3 4");
    assert_in_step();
    assert_true(redis_cluster_begin_slot(&cluster, SLOT, IDLE, 1));
    line("SET {%s}new 2");
    assert_in_step();
    assert_true(df2redis_said(&crash.run.program, "stays open between two nodes"));
}

static inline void end_between(void)
{
    assert_in_step();
    assert_true(redis_cluster_move_slot(&cluster, SLOT, IDLE));
    assert_true(redis_cluster_wait_ok(&cluster));
}

/* ---- keys on their way, one by one ---- */

static inline void migrate(const char *key, size_t from, size_t to)
{
    char words[160];
    snprintf(words, sizeof words, "MIGRATE 127.0.0.1 %u %s 0 60000",
             (unsigned)cluster.members[to].server.port, key);
    tell(from, words, NULL);
}

/* By name, so that the slot's mark stays where it is. */
static inline void move_key(const char *format, size_t to)
{
    char key[40];
    snprintf(key, sizeof key, format, slot_tag(SLOT));
    migrate(key, 0, to);
}

static inline void move_mark(uint16_t slot, size_t from, size_t to)
{
    char key[80];
    slot_mark_key(key, sizeof key, "default", slot);
    migrate(key, from, to);
}

static inline void write_what_is_lost(void)
{
    line("INCR {%s}counter");
    line("SET {%s}lost 1");
    wait_marks();
}

#endif
