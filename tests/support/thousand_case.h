/* A thousand differences made by hand: found by df2redis verify, each named with its kind, repaired, and then gone. What
 * the tests with one target and with a cluster have in common. After cmocka.h. */
#ifndef DF2REDIS_TESTS_THOUSAND_CASE_H
#define DF2REDIS_TESTS_THOUSAND_CASE_H

#include <pthread.h>
#include <stdatomic.h>

#include "tests/support/differences.h"
#include "tests/support/verify_case.h"

enum { THOUSAND = 1000, EQUAL_KEYS = 300, BUSY_KEYS = 400, BUSY_PAUSE_MS = 2 };

static bool live; /* the source is a real Dragonfly */
static uint16_t source_port;
static struct differences *made;
static redisContext *target_connections[CLUSTER_MEMBERS];
static pthread_t busy;
static atomic_bool busy_ends;
static bool busy_runs;
static _Atomic uint64_t busy_writes;

static inline int teardown_thousand(void **state)
{
    busy_ends = true;
    if (busy_runs)
        pthread_join(busy, NULL);
    busy_runs = false;
    for (size_t i = 0; i < CLUSTER_MEMBERS; i++) {
        if (target_connections[i])
            redisFree(target_connections[i]);
        target_connections[i] = NULL;
    }
    differences_free(made);
    made = NULL;
    live = false;
    return teardown_verify(state);
}

static inline redisContext *connection_of(struct slice key)
{
    size_t member = in_cluster ? redis_cluster_owner(&cluster, key_slot(key)) : 0;
    if (!target_connections[member])
        target_connections[member] =
            in_cluster ? redis_cluster_connect(&cluster, member) : server_connect(run.target.port);
    return target_connections[member];
}

/* Writes to a few keys of their own. */
static inline void *write_busy(void *arg)
{
    redisContext *c = server_connect(source_port);
    (void)arg;
    for (unsigned i = 0; !busy_ends; i++) {
        static const char *const formats[] = {"INCR busy:%u:counter", "RPUSH busy:%u:list value",
                                              "SADD busy:%u:set %u", "HSET busy:%u:hash field %u"};
        redisReply *r = redisCommand(c, formats[i % 4], i % BUSY_KEYS, i);
        if (!r || r->type == REDIS_REPLY_ERROR)
            die("a write to the source: %s", r ? r->str : c->errstr);
        freeReplyObject(r);
        busy_writes++;
        poll(NULL, 0, BUSY_PAUSE_MS);
    }
    redisFree(c);
    return NULL;
}

static inline bool data_has(const char *words)
{
    redisContext *c = server_connect(data.port);
    redisReply *r = server_command(c, words);
    bool has = r->type != REDIS_REPLY_ERROR;
    freeReplyObject(r);
    redisFree(c);
    return has;
}

static inline void begin_live(void)
{
    if (!dragonfly_available())
        skip();
    redis_start(&data, NULL);
    if (in_cluster)
        run_begin_in(&run, &cluster, NULL);
    else
        run_begin(&run, NULL);
    dragonfly_start(&run.dragonfly, FLOWS, NULL);
    source_port = run.dragonfly.port;
    run_replicate(&run, NULL);
    assert_true(run_wait_in_step(&run));
}

static inline void begin_scripted(void)
{
    keyspace_of_data = true;
    begin();
    source_port = scripted_port(run.source);
    if (!data_has("PEXPIRETIME none"))
        skip();
}

static inline void begin_thousand(bool with_writes, const uint32_t *databases, size_t count, uint64_t seed)
{
    if (live)
        begin_live();
    else
        begin_scripted();
    struct differences_options o = {.source_port = source_port,
                                    .target = connection_of,
                                    .databases = databases,
                                    .database_count = count,
                                    .field_ttls = data_has("HPEXPIREAT none 1 FIELDS 1 a"),
                                    .count = THOUSAND,
                                    .equal = EQUAL_KEYS,
                                    .seed = seed};
    made = differences_new(&o);
    differences_write_source(made);
    assert_true(live ? run_wait_applied(&run) : run_wait_in_step(&run));
    busy_ends = false;
    busy_runs = with_writes && pthread_create(&busy, NULL, write_busy, NULL) == 0;
    assert_int_equal(busy_runs, with_writes);
    differences_make(made);
}

static inline void assert_equal_sides(void)
{
    struct state_rules rules = {.read = {.stream_details = true}};
    if (live)
        assert_true(run_equals_dragonfly(&run, &rules, NULL));
    else
        assert_equal_to_source();
}

/* Each is named with its kind, in the log and by number in the report. */
static inline void assert_all_named(const char *verdict)
{
    char *path = format_text("%s/default/differences.log", run.program.dir);
    bool named = differences_are_named(made, path, verdict);
    free(path);
    if (!named)
        df2redis_print(&run.program);
    assert_true(named);
    assert_int_equal(count_of("different"), THOUSAND);
    for (unsigned kind = 0; kind < VERIFY_KINDS; kind++)
        assert_int_equal(kind_of(verify_kind_name((enum verify_kind)kind)),
                         differences_of_kind(made, (enum verify_kind)kind));
}

/* Keys that are written all the time may stay undecided, and nothing else. */
static inline void assert_verified_under_writes(const char *const *extra, bool with_writes)
{
    int code = verify(extra);
    if (code != EX_OK && !(with_writes && code == EX_TEMPFAIL))
        print_message("%s\n", verify_printed ? verify_printed : "nothing was printed");
    assert_true(code == EX_OK || (with_writes && code == EX_TEMPFAIL));
}

static inline void all_are_found_named_and_repaired(bool with_writes)
{
    static const char *const repair[] = {"--repair", NULL};
    assert_verified(EX_DATAERR, NULL);
    assert_all_named("different");
    assert_verified_under_writes(repair, with_writes);
    assert_all_named("repaired");
    assert_int_equal(count_of("repaired"), THOUSAND);
    uint64_t before = busy_writes;
    assert_verified_under_writes(NULL, with_writes);
    assert_int_equal(count_of("different"), 0);
    assert_true(!with_writes || busy_writes > before);
}

#endif
