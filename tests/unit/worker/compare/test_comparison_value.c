/* What the two values of a key are compared by, as the target can hold it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/redis/capabilities.h"
#include "worker/compare/comparison_internal.h"
#include "worker/rdb/dump.h"
#include "worker/rdb/stream.h"
#include "tests/unit/worker/type_samples.h"

static struct comparison *comparison_with(struct capabilities target)
{
    struct comparison *x = x_calloc(1, sizeof *x);
    x->target = target;
    x->scratch = digest_scratch_new();
    x->pairs[0].source_expire_ms = x->pairs[0].target_expire_ms = NO_EXPIRY;
    return x;
}

static void comparison_done(struct comparison *x)
{
    digest_free(&x->pairs[0].source);
    digest_free(&x->pairs[0].target);
    buf_free(&x->pairs[0].payload);
    digest_scratch_free(x->scratch);
    free(x);
}

/* The answer to DUMP: type, value, footer. */
static redisReply dumped(uint8_t type, struct slice value, struct buf *payload)
{
    uint8_t footer[DUMP_FOOTER_BYTES];
    buf_clear(payload);
    buf_put_u8(payload, type);
    buf_put(payload, value.data, value.len);
    dump_footer(footer, type, value);
    buf_put(payload, footer, sizeof footer);
    return (redisReply){.type = REDIS_REPLY_STRING, .str = (char *)payload->data, .len = payload->len};
}

/* A stream as Dragonfly has it, and as the target has stored it in a layout of its own. */
static bool stream_equals(struct capabilities target, uint8_t target_type)
{
    struct error error = {0};
    struct buf value = {0}, stored = {0}, payload = {0};
    struct comparison *x = comparison_with(target);
    struct pair *p = &x->pairs[0];
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++)
        if (samples[i].type == RDB_STREAM_LISTPACKS_3)
            sample_of(i, &value);
    if (target_type == RDB_STREAM_LISTPACKS_3)
        buf_put(&stored, value.data, value.len);
    else
        assert_true(stream_convert(buf_slice(&value), RDB_STREAM_LISTPACKS_3, target_type, &stored, &error));
    redisReply dump = dumped(RDB_STREAM_LISTPACKS_3, buf_slice(&value), &payload);
    comparison_take_source(x, p, &dump);
    dump = dumped(target_type, buf_slice(&stored), &payload);
    comparison_take_target(x, p, &dump);
    assert_int_equal(p->source.kind, DIGEST_STREAM);
    assert_int_equal(p->target.kind, DIGEST_STREAM);
    bool equal = comparison_is_equal(x, p);
    comparison_done(x);
    buf_free(&value);
    buf_free(&stored);
    buf_free(&payload);
    return equal;
}

/* Redis 6.2 has no entries-added, no greatest deleted id and no entries-read: by nature, and not as a loss. */
static void what_redis_6_2_has_not_of_a_stream_is_no_difference(void **state)
{
    (void)state;
    const struct capabilities of_6_2 = {.kind = SERVER_REDIS, .version = 60216, .stream_type = 15};
    assert_true(stream_equals(of_6_2, RDB_STREAM_LISTPACKS));
}

static void from_redis_7_0_on_it_is_one(void **state)
{
    (void)state;
    const struct capabilities of_7_0 = {
        .kind = SERVER_REDIS, .version = 70015, .stream_type = 19, .xsetid_entries = true};
    assert_true(stream_equals(of_7_0, RDB_STREAM_LISTPACKS_2));
    assert_false(stream_equals(of_7_0, RDB_STREAM_LISTPACKS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_redis_6_2_has_not_of_a_stream_is_no_difference),
        cmocka_unit_test(from_redis_7_0_on_it_is_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
