/* The link to a real target: marks, MULTI, refusals, trouble that passes and trouble that does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/support/servers.h"
#include "tests/support/testing.h"
#include "worker/link/link.h"

enum { DEADLINE_MS = 300000 };

struct bench {
    struct server target;
    redisContext *redis;
    struct event_base *base;
    struct settings settings;
    struct link *link;
    struct output *output;
    struct mark mark;
    unsigned ready, acknowledged, refused, conflicts, lost;
    char refused_text[300];
    struct error lost_error;
};

static void on_ready(void *arg, const struct mark *mark, const struct capabilities *target)
{
    struct bench *b = arg;
    assert_true(target->version >= 60200);
    b->mark = *mark;
    b->ready++;
}

static void on_acknowledged(void *arg, struct batch *batch)
{
    ((struct bench *)arg)->acknowledged++;
    batch_free(batch);
}

static void on_refused(void *arg, const struct batch *batch, uint32_t i, const char *text)
{
    struct bench *b = arg;
    struct slice name, key;
    assert_true(batch_describe(batch, i, &name, &key));
    snprintf(b->refused_text, sizeof b->refused_text, "%.*s %.*s: %s", (int)name.len, (const char *)name.data,
             (int)key.len, (const char *)key.data, text);
    b->refused++;
}

static void on_conflict(void *arg, const struct batch *batch, uint32_t i)
{
    (void)batch, (void)i;
    ((struct bench *)arg)->conflicts++;
}

static void on_lost(void *arg, const struct error *error)
{
    struct bench *b = arg;
    b->lost_error = *error;
    b->lost++;
}

static void on_writable(void *arg)
{
    (void)arg;
}

/* Runs the loop until *count reaches n. */
static void run_until(struct bench *b, const unsigned *count, unsigned n)
{
    uint64_t end = clock_monotonic_ms() + DEADLINE_MS;
    while (*count < n && clock_monotonic_ms() < end) {
        struct timeval soon = {0, 20000};
        event_base_loopexit(b->base, &soon);
        event_base_dispatch(b->base);
    }
    assert_true(*count >= n);
}

static void open_link(struct bench *b)
{
    static struct link_config config;
    static struct trouble trouble;
    config = (struct link_config){.settings = &b->settings,
                                  .mark_key = "df2redis:t",
                                  .mark_field = "flow-0",
                                  .client_name = "df2redis:t:flow-0",
                                  .trouble = &trouble};
    struct link_callbacks on = {.arg = b,
                                .ready = on_ready,
                                .acknowledged = on_acknowledged,
                                .refused = on_refused,
                                .conflict = on_conflict,
                                .lost = on_lost,
                                .writable = on_writable};
    b->link = link_new(b->base, &config, &on);
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    struct error error;
    redis_start(&b->target, NULL);
    b->redis = server_connect(b->target.port);
    b->base = event_base_new();
    settings_init(&b->settings);
    assert_true(uri_parse(b->target.uri, &b->settings.target, &error));
    b->output = output_new();
    open_link(b);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    link_free(b->link);
    output_free(b->output);
    event_base_free(b->base);
    redisFree(b->redis);
    server_stop(&b->target);
    settings_free(&b->settings);
    free(b);
    return 0;
}

static struct batch *begin(struct bench *b)
{
    struct batch *batch = batch_new();
    output_target(b->output, batch);
    return batch;
}

static void put(struct bench *b, unsigned flags, const char *name, const char *key, const char *value)
{
    output_begin(b->output, 0, slice_str(key), value ? 3 : 2, flags);
    output_text(b->output, name);
    output_text(b->output, key);
    if (value)
        output_text(b->output, value);
    output_end(b->output);
}

static void send_batch(struct bench *b, struct batch *batch)
{
    batch_seal(batch);
    while (batch->once && !link_can_send(b->link, true)) /* the link itself asks something */
        event_base_loop(b->base, EVLOOP_ONCE);
    assert_true(link_can_send(b->link, batch->once));
    link_send(b->link, batch);
}

static void assert_value(struct bench *b, const char *key, const char *value)
{
    redisReply *reply = redisCommand(b->redis, "GET %s", key);
    assert_non_null(reply);
    if (value)
        assert_string_equal(reply->str, value);
    else
        assert_int_equal(reply->type, REDIS_REPLY_NIL);
    freeReplyObject(reply);
}

static void batches_are_acknowledged_in_order_and_applied(void **state)
{
    struct bench *b = *state;
    run_until(b, &b->ready, 1);
    assert_false(b->mark.present);
    for (int i = 0; i < 20; i++) {
        struct batch *batch = begin(b);
        char text[16];
        snprintf(text, sizeof text, "%d", i);
        put(b, OUTPUT_IDEMPOTENT, "SET", "k", text);
        send_batch(b, batch);
    }
    run_until(b, &b->acknowledged, 20);
    assert_true(link_idle(b->link));
    assert_value(b, "k", "19");
}

static void once_batch_is_alone_and_brings_its_mark(void **state)
{
    struct bench *b = *state;
    run_until(b, &b->ready, 1);
    struct batch *batch = begin(b);
    const char *mark = "0123456789012345678901234567890123456789 7 1234 99";
    put(b, OUTPUT_ONCE, "APPEND", "a", "x");
    output_begin(b->output, 0, slice_str("df2redis:t"), 4, OUTPUT_IDEMPOTENT);
    output_text(b->output, "HSET");
    output_text(b->output, "df2redis:t");
    output_text(b->output, "flow-0");
    output_text(b->output, mark);
    output_end(b->output);
    send_batch(b, batch);
    assert_false(link_can_send(b->link, false));
    assert_false(link_can_send(b->link, true));
    run_until(b, &b->acknowledged, 1);
    assert_true(link_can_send(b->link, true));
    struct error why;
    error_set(&why, ERROR_RETRY, "the test wants a new connection");
    link_reset(b->link, &why);
    assert_int_equal(b->lost, 1);
    run_until(b, &b->ready, 2);
    assert_true(b->mark.present);
    assert_int_equal(b->mark.session, 7);
    assert_int_equal(b->mark.seq, 1234);
    assert_int_equal(b->mark.lsn, 99);
}

static void command_that_cannot_be_queued_is_told_and_the_rest_applied(void **state)
{
    struct bench *b = *state;
    run_until(b, &b->ready, 1);
    struct batch *batch = begin(b);
    put(b, OUTPUT_ONCE, "APPEND", "a", "x");
    put(b, OUTPUT_ONCE, "NOSUCHCOMMAND", "b", "x");
    put(b, OUTPUT_ONCE, "APPEND", "a", "y");
    send_batch(b, batch);
    run_until(b, &b->acknowledged, 1);
    assert_int_equal(b->refused, 1);
    assert_int_equal(b->lost, 0);
    assert_non_null(strstr(b->refused_text, "NOSUCHCOMMAND b: ERR unknown command"));
    assert_value(b, "a", "xy");
}

static uint64_t bytes_received(struct bench *b)
{
    char *text = server_info(b->redis, "stats", "total_net_input_bytes");
    uint64_t n = strtoull(text, NULL, 10);
    free(text);
    return n;
}

/* A batch of them is sent twice, and none of those that follow at all. */
static void many_unknown_commands_are_taken_out_at_once(void **state)
{
    enum { MANY = 5000 };
    struct bench *b = *state;
    run_until(b, &b->ready, 1);
    uint64_t before = bytes_received(b);
    struct batch *batch = begin(b);
    for (int i = 0; i < MANY; i++)
        put(b, OUTPUT_ONCE, i % 2 ? "NOSUCHCOMMAND" : "NOSUCHEITHER", "b", "x");
    put(b, OUTPUT_ONCE, "APPEND", "a", "x");
    uint64_t size = batch_bytes(batch);
    send_batch(b, batch);
    run_until(b, &b->acknowledged, 1);
    assert_int_equal(b->refused, MANY);
    uint64_t once = bytes_received(b);
    assert_true(once - before < size * 2);
    for (unsigned round = 2; round <= 3; round++) {
        batch = begin(b);
        for (int i = 0; i < MANY; i++)
            put(b, OUTPUT_ONCE, "NOSUCHCOMMAND", "b", "x");
        put(b, OUTPUT_ONCE, "APPEND", "a", "y");
        send_batch(b, batch);
        run_until(b, &b->acknowledged, round);
        assert_int_equal(b->refused, MANY * round);
    }
    assert_true(bytes_received(b) - once < size / 10);
    assert_int_equal(b->lost, 0);
    assert_value(b, "a", "xyy");
}

static void a_refused_mark_is_fatal(void **state)
{
    struct bench *b = *state;
    run_until(b, &b->ready, 1);
    server_ok(b->redis, "SET df2redis:t other");
    struct batch *batch = begin(b);
    put(b, OUTPUT_ONCE, "APPEND", "a", "x");
    output_begin(b->output, 0, slice_str("df2redis:t"), 4, OUTPUT_ONCE);
    output_text(b->output, "HSET");
    output_text(b->output, "df2redis:t");
    output_text(b->output, "flow-0");
    output_text(b->output, "text");
    output_end(b->output);
    batch->mark_at = batch->commands - 1;
    send_batch(b, batch);
    run_until(b, &b->lost, 1);
    assert_int_equal(b->lost_error.class, ERROR_FATAL);
    assert_int_equal(b->lost_error.exit_code, 77);
    assert_non_null(strstr(b->lost_error.text, "WRONGTYPE"));
    assert_int_equal(b->acknowledged, 0);
}

/* All databases were there at the greeting. What a target does with what stands behind a SELECT that it refuses
 * now is out of our hands: nothing of it may count, and nothing more is sent. */
static void a_database_that_is_refused_later_is_fatal(void **state)
{
    struct bench *b = *state;
    static const unsigned flags[] = {OUTPUT_IDEMPOTENT, OUTPUT_ONCE};
    run_until(b, &b->ready, 1);
    for (unsigned i = 0; i < 2; i++) {
        unsigned acknowledged = b->acknowledged, lost = b->lost;
        struct batch *batch = begin(b);
        put(b, flags[i], "SET", "before", "v");
        output_begin(b->output, 99, slice_str("k"), 3, flags[i]);
        output_text(b->output, "SET");
        output_text(b->output, "k");
        output_text(b->output, "v");
        output_end(b->output);
        put(b, flags[i], "SET", "behind", "v");
        send_batch(b, batch);
        run_until(b, &b->lost, lost + 1);
        assert_int_equal(b->lost_error.class, ERROR_FATAL);
        assert_int_equal(b->lost_error.exit_code, 78);
        assert_non_null(strstr(b->lost_error.text, "refuses SELECT 99"));
        assert_non_null(strstr(b->lost_error.text, "--flush-target"));
        assert_int_equal(b->acknowledged, acknowledged);
        assert_int_equal(b->refused, 0);
        link_free(b->link);
        open_link(b);
        run_until(b, &b->ready, b->ready + 1);
    }
}

static void refused_commands_are_told_with_their_key(void **state)
{
    struct bench *b = *state;
    run_until(b, &b->ready, 1);
    server_ok(b->redis, "SET s 1");
    for (unsigned flags = 0; flags <= OUTPUT_ONCE; flags++) {
        struct batch *batch = begin(b);
        put(b, flags, "SET", "before", "1");
        put(b, flags, "SADD", "s", "x");
        put(b, flags, "SET", "after", "1");
        send_batch(b, batch);
        run_until(b, &b->acknowledged, flags + 1);
        assert_int_equal(b->refused, flags + 1);
        assert_non_null(strstr(b->refused_text, "SADD s: WRONGTYPE"));
    }
    assert_value(b, "after", "1");
}

static void key_that_exists_is_a_conflict_where_asked_for(void **state)
{
    struct bench *b = *state;
    run_until(b, &b->ready, 1);
    server_ok(b->redis, "SET there 1");
    struct batch *batch = begin(b);
    put(b, OUTPUT_CONFLICT, "SETNX", "there", "2");
    put(b, OUTPUT_CONFLICT, "SETNX", "absent", "2");
    put(b, OUTPUT_IDEMPOTENT, "SETNX", "there", "3");
    send_batch(b, batch);
    run_until(b, &b->acknowledged, 1);
    assert_int_equal(b->conflicts, 1);
    assert_int_equal(b->refused, 0);
    assert_value(b, "there", "1");
}

static void full_target_is_waited_for(void **state)
{
    struct bench *b = *state;
    run_until(b, &b->ready, 1);
    server_ok(b->redis, "CONFIG SET maxmemory 1");
    for (unsigned flags = 0; flags <= OUTPUT_ONCE; flags++) {
        struct batch *batch = begin(b);
        put(b, flags, "SET", "k", "v");
        send_batch(b, batch);
        run_until(b, &b->lost, flags + 1);
        assert_int_equal(b->lost_error.class, ERROR_RETRY);
        assert_non_null(strstr(b->lost_error.text, "OOM"));
        assert_true(link_idle(b->link));
        run_until(b, &b->ready, flags + 2);
    }
    assert_int_equal(b->acknowledged, 0);
    assert_int_equal(b->refused, 0);
    server_ok(b->redis, "CONFIG SET maxmemory 0");
    struct batch *batch = begin(b);
    put(b, OUTPUT_ONCE, "SET", "k", "v");
    send_batch(b, batch);
    run_until(b, &b->acknowledged, 1);
    assert_value(b, "k", "v");
}

static void target_that_restarts_is_found_again(void **state)
{
    struct bench *b = *state;
    run_until(b, &b->ready, 1);
    redisFree(b->redis);
    redis_restart(&b->target, NULL);
    b->redis = server_connect(b->target.port);
    run_until(b, &b->lost, 1);
    run_until(b, &b->ready, 2);
    assert_false(b->mark.present);
}

static void earlier_connection_of_the_flow_is_ended_first(void **state)
{
    struct bench *b = *state;
    redisContext *earlier = server_connect(b->target.port), *other = server_connect(b->target.port);
    server_ok(earlier, "CLIENT SETNAME df2redis:t:flow-0");
    server_ok(other, "CLIENT SETNAME df2redis:t:flow-1");
    run_until(b, &b->ready, 1);
    void *reply = redisCommand(earlier, "PING");
    assert_null(reply);
    server_ok(other, "PING");
    redisFree(earlier);
    redisFree(other);
}

static void value_that_is_no_mark_is_fatal(void **state)
{
    struct bench *b = *state;
    server_integer(b->redis, "HSET df2redis:t flow-0 precious");
    run_until(b, &b->lost, 1);
    assert_int_equal(b->lost_error.class, ERROR_FATAL);
    assert_non_null(strstr(b->lost_error.text, "df2redis:t"));
}

/* The target has what another server has, and is a master again; no connection was closed. */
static void take_other_data(struct bench *b, struct server *other)
{
    char *follow = format_text("REPLICAOF 127.0.0.1 %u", other->port);
    server_ok(b->redis, follow);
    free(follow);
    assert_true(wait_until(redis_is_in_sync, &b->target, DEADLINE_MS));
    server_ok(b->redis, "REPLICAOF NO ONE");
}

static void once_batch_to_other_data_does_not_count(void **state)
{
    struct bench *b = *state;
    struct server other;
    redis_start(&other, NULL);
    run_until(b, &b->ready, 1);
    take_other_data(b, &other);
    struct batch *batch = begin(b);
    put(b, OUTPUT_ONCE, "INCR", "n", NULL);
    send_batch(b, batch);
    run_until(b, &b->lost, 1);
    assert_int_equal(b->acknowledged, 0);
    assert_int_equal(b->lost_error.class, ERROR_REDIRECT);
    assert_non_null(strstr(b->lost_error.text, "was made a replica and a master again"));
    server_stop(&other);
}

static void other_data_are_noticed_while_nothing_is_sent(void **state)
{
    struct bench *b = *state;
    struct server other;
    redis_start(&other, NULL);
    run_until(b, &b->ready, 1);
    take_other_data(b, &other);
    run_until(b, &b->lost, 1);
    assert_int_equal(b->lost_error.class, ERROR_RETRY);
    run_until(b, &b->ready, 2);
    struct batch *batch = begin(b);
    put(b, OUTPUT_ONCE, "INCR", "n", NULL);
    send_batch(b, batch);
    run_until(b, &b->acknowledged, 1);
    assert_value(b, "n", "1");
    server_stop(&other);
}

#define LINK_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* The target is a Redis whose HINCRBYFLOAT has another name: its answer is the sum, too. */
static void sum_beyond_2_to_the_53_is_a_conflict_where_asked_for(void **state)
{
    static const char *const renamed[] = {"--rename-command", "HINCRBYFLOAT", "JSON.NUMINCRBY", NULL};
    static const struct {
        const char *more;
        unsigned conflicts;
    } sums[] = {{"900719925474099", 0}, {"0.125", 0}, {"2000000000000", 0}, {"9007199254740993", 1}, {"1", 2},
                {"-1e16", 2},           {"5", 2},     {"-9e15", 3}};
    struct bench *b = *state;
    link_free(b->link);
    redisFree(b->redis);
    server_stop(&b->target);
    redis_start(&b->target, renamed);
    b->redis = server_connect(b->target.port);
    uri_free(&b->settings.target);
    assert_true(uri_parse(b->target.uri, &b->settings.target, &b->lost_error));
    open_link(b);
    run_until(b, &b->ready, 1);
    for (unsigned i = 0; i < sizeof sums / sizeof *sums; i++) {
        struct batch *batch = begin(b);
        output_begin(b->output, 0, slice_str("n"), 4, OUTPUT_ONCE | OUTPUT_CONFLICT);
        output_text(b->output, "JSON.NUMINCRBY");
        output_text(b->output, "n");
        output_text(b->output, "$");
        output_text(b->output, sums[i].more);
        output_end(b->output);
        send_batch(b, batch);
        run_until(b, &b->acknowledged, i + 1);
        if (b->conflicts != sums[i].conflicts)
            fail_msg("%s", sums[i].more);
    }
    assert_int_equal(b->refused, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LINK_TEST(batches_are_acknowledged_in_order_and_applied),
        LINK_TEST(once_batch_is_alone_and_brings_its_mark),
        LINK_TEST(many_unknown_commands_are_taken_out_at_once),
        LINK_TEST(a_refused_mark_is_fatal),
        LINK_TEST(command_that_cannot_be_queued_is_told_and_the_rest_applied),
        LINK_TEST(a_database_that_is_refused_later_is_fatal),
        LINK_TEST(refused_commands_are_told_with_their_key),
        LINK_TEST(key_that_exists_is_a_conflict_where_asked_for),
        LINK_TEST(sum_beyond_2_to_the_53_is_a_conflict_where_asked_for),
        LINK_TEST(full_target_is_waited_for),
        LINK_TEST(target_that_restarts_is_found_again),
        LINK_TEST(earlier_connection_of_the_flow_is_ended_first),
        LINK_TEST(value_that_is_no_mark_is_fatal),
        LINK_TEST(once_batch_to_other_data_does_not_count),
        LINK_TEST(other_data_are_noticed_while_nothing_is_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
