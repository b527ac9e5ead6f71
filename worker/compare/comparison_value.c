/* Values of both sides: their digests, whether they are equal, and the commands that write the source's. */
#include <string.h>

#include "common/base/clock.h"
#include "common/ipc/divergence.h"
#include "worker/compare/comparison_internal.h"
#include "worker/rdb/dump.h"
#include "worker/rdb/value.h"
#include "worker/translate/value_write.h"

/* Dragonfly stores times to live of fields in whole seconds, far deadlines of keys with less than millisecond
 * resolution, and none beyond 2^28 seconds; Redis before 7.0 only has PTTL. */
#define FARTHEST_MS (INT64_C(8) * 365 * 24 * 3600 * 1000)
enum {
    FIELD_TOLERANCE_MS = 2000,
    KEY_TOLERANCE_MS = 2,
    FAR_MS = 24 * 3600 * 1000,
    FAR_TOLERANCE_MS = 1500,
    OLD_TOLERANCE_MS = 200,
    TYPE_MODULE = 7,
};

/* Called by the translator for details of the value that cannot be carried over. */
static void on_report(void *arg, const char *reason, const char *command, struct slice key, uint64_t count)
{
    struct comparison *x = arg;
    (void)key, (void)count;
    /* The target cannot hold these details, and each was counted when it was received. */
    static const char *const details[] = {DIVERGENCE_SET_TTL, DIVERGENCE_FIELD_TTL, DIVERGENCE_STREAM};
    for (size_t i = 0; i < sizeof details / sizeof *details; i++)
        if (strcmp(reason, details[i]) == 0)
            return;
    if (x->writing)
        comparison_impossible(x->writing, reason, "%s", command);
}

void comparison_values_init(struct comparison *x)
{
    x->scratch = digest_scratch_new();
    x->output = output_new();
    x->batch = batch_new();
    output_target(x->output, x->batch);
    translator_init(&x->translator, x->config.settings, &x->target, x->output);
    x->translator.report = on_report;
    x->translator.report_arg = x;
}

void comparison_values_free(struct comparison *x)
{
    translator_free(&x->translator);
    output_free(x->output);
    batch_free(x->batch);
    digest_scratch_free(x->scratch);
}

static struct digest_options options_of(const struct comparison *x)
{
    return (struct digest_options){.stream_counters = x->target.xsetid_entries,
                                   .entries_read = x->config.entries_read,
                                   .now_ms = clock_unix_ms()};
}

static struct slice bytes_of(const redisReply *r)
{
    return slice_of(r->str, r->len);
}

static void note_bytes(struct pair *p, const redisReply *dump)
{
    if (dump->type == REDIS_REPLY_STRING && dump->len > p->told.bytes)
        p->told.bytes = dump->len;
}

void comparison_take_target(struct comparison *x, struct pair *p, const redisReply *dump)
{
    struct digest_options options = options_of(x);
    struct error why;
    note_bytes(p, dump);
    digest_free(&p->target);
    memset(&p->target_dump, 0, sizeof p->target_dump);
    if (dump->type == REDIS_REPLY_STRING && dump->len > sizeof p->target_dump.tail) {
        p->target_dump.bytes = dump->len;
        memcpy(p->target_dump.tail, dump->str + dump->len - sizeof p->target_dump.tail,
               sizeof p->target_dump.tail);
    }
    /* A payload of the target that cannot be decoded counts as different. */
    if (dump->type == REDIS_REPLY_STRING &&
        !digest_dump(&p->target, bytes_of(dump), &options, x->scratch, &why))
        log_debug("%s of the target: %s", log_key(p->told.key), why.text);
}

void comparison_take_source(struct comparison *x, struct pair *p, const redisReply *dump)
{
    struct digest_options options = options_of(x);
    struct error why;
    note_bytes(p, dump);
    digest_free(&p->source);
    buf_clear(&p->payload);
    if (dump->type != REDIS_REPLY_STRING)
        return;
    if (!digest_dump(&p->source, bytes_of(dump), &options, x->scratch, &why)) {
        comparison_impossible(p, DIVERGENCE_TYPE, "%s", why.text);
        return;
    }
    /* The target cannot store times of fields: compares the values without them. */
    if (!x->target.hash_field_ttl)
        buf_clear(&p->source.times);
    buf_put(&p->payload, dump->str, dump->len);
}

bool comparison_wants_json(const struct comparison *x, const struct pair *p)
{
    return !p->decided && x->target.json && p->source.kind == DIGEST_JSON &&
           p->target.kind == DIGEST_FOREIGN && p->target.type == TYPE_MODULE;
}

void comparison_take_json(struct comparison *x, struct pair *p, const redisReply *text)
{
    struct error why;
    (void)x;
    if (text->type == REDIS_REPLY_STRING && !digest_json(&p->target, bytes_of(text), &why))
        log_debug("%s of the target: %s", log_key(p->told.key), why.text);
}

bool comparison_same_expiry(const struct capabilities *target, int64_t target_ms, int64_t source_ms)
{
    int64_t a = target_ms, b = source_ms;
    if (a < 0 || b < 0)
        return a == b;
    int64_t left = (a < b ? a : b) - clock_unix_ms(), tolerance = KEY_TOLERANCE_MS;
    if (left > FARTHEST_MS)
        return true;
    if (left > FAR_MS)
        tolerance = FAR_TOLERANCE_MS;
    else if (target->kind == SERVER_REDIS && target->version < 70000)
        tolerance = OLD_TOLERANCE_MS;
    return a - b <= tolerance && b - a <= tolerance;
}

static bool same_expiry(const struct comparison *x, const struct pair *p)
{
    return comparison_same_expiry(&x->target, p->target_expire_ms, p->source_expire_ms);
}

bool comparison_is_equal(const struct comparison *x, const struct pair *p)
{
    if (p->source.kind == DIGEST_NOTHING && p->target.kind == DIGEST_NOTHING)
        return true;
    return digest_equal(&p->target, &p->source, FIELD_TOLERANCE_MS) && same_expiry(x, p);
}

enum verify_kind comparison_kind(const struct pair *p)
{
    return digest_difference(&p->source, &p->target, FIELD_TOLERANCE_MS);
}

static void hash_digest(struct hasher *h, const struct digest *d)
{
    hash_u64(h, d->kind);
    hash_u64(h, d->count);
    hash_u64(h, d->hash[0]);
    hash_u64(h, d->hash[1]);
    hash_bytes(h, buf_slice(&d->times));
}

uint64_t comparison_difference(const struct comparison *x, const struct pair *p)
{
    struct hasher h = hash_begin(p->source.kind);
    hash_digest(&h, &p->source);
    hash_digest(&h, &p->target);
    /* Not decoded: its digest says nothing of the value. */
    if (p->target.kind == DIGEST_NOTHING || p->target.kind == DIGEST_FOREIGN)
        hash_bytes(&h, slice_of(p->target_dump.tail, sizeof p->target_dump.tail));
    if (!same_expiry(x, p)) {
        hash_u64(&h, (uint64_t)p->source_expire_ms);
        hash_u64(&h, (uint64_t)p->target_expire_ms);
    }
    return hash_mix(h.a ^ h.b) | 1;
}

void comparison_unlink(struct comparison *x, struct slice key)
{
    output_begin(x->output, x->translator.db, key, 2, OUTPUT_IDEMPOTENT);
    output_text(x->output, "UNLINK");
    output_arg(x->output, key);
    output_end(x->output);
}

void comparison_write_value(struct comparison *x, struct pair *p)
{
    struct error why = {0};
    uint8_t type;
    struct slice value;
    x->writing = p;
    x->translator.by_elements = p->told.by_elements;
    buf_clear(&x->translator.bytes);
    if (!dump_parse(buf_slice(&p->payload), &type, &value) || !rdb_type_known(type))
        comparison_impossible(p, DIVERGENCE_TYPE, "RDB type %u", p->source.type);
    else if (!translate_value(&x->translator, p->told.key, type, value,
                              p->source_expire_ms > 0 ? p->source_expire_ms : 0, true, &why))
        comparison_impossible(p, DIVERGENCE_TYPE, "%s", why.text);
    x->writing = NULL;
}
