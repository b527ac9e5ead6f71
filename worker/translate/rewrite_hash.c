/* Rewrites of commands on hash fields (and set members) with a time to live. Dragonfly counts it in whole seconds by
 * its clock, and journals it relative: it becomes absolute, from the time of receipt. */
#include "worker/translate/rewrite.h"

/* The deadline as Dragonfly computes it: the remaining time rounded up to seconds, from the second of the receipt. If
 * it has passed since, it is postponed like that of a key. */
static int64_t field_deadline(const struct translator *t, const struct entry *e, int64_t at_ms, size_t first,
                              size_t end, size_t step)
{
    int64_t now = translator_arrived_ms(t);
    if (at_ms <= now || at_ms - now > INT64_MAX - now - 2000)
        return at_ms;
    int64_t left = (at_ms - now + 999) / 1000;
    int64_t told_ms = at_ms;
    for (size_t i = first; i < end; i += step)
        told_ms = rewrite_field_deadline(t, e->argv[1], e->argv[i], (now / 1000 + left) * 1000);
    return told_ms;
}

/* HPEXPIREAT key ms [flag] FIELDS n field …, of fields first, first+step, … below end. */
static bool expire_fields(struct translator *t, const struct entry *e, int64_t at_ms, struct slice flag,
                          size_t first, size_t end, size_t step)
{
    size_t n = (end - first + step - 1) / step;
    output_begin(t->out, t->db, e->argv[1], 5 + n + (flag.len ? 1 : 0),
                 flag.len ? OUTPUT_ONCE : OUTPUT_IDEMPOTENT | rewrite_effective(t));
    output_text(t->out, "HPEXPIREAT");
    output_arg(t->out, e->argv[1]);
    output_i64(t->out, field_deadline(t, e, at_ms, first, end, step));
    if (flag.len)
        output_arg(t->out, flag);
    output_text(t->out, "FIELDS");
    output_i64(t->out, (int64_t)n);
    for (size_t i = first; i < end; i += step)
        output_arg(t->out, e->argv[i]);
    output_end(t->out);
    return true;
}

/* FIELDS n field …: *first, *end: positions of the fields, `width` arguments each. */
static bool fields_range(const struct entry *e, size_t at, size_t width, size_t *first, size_t *end)
{
    uint64_t n;
    if (at + 2 >= e->argc || !slice_is(e->argv[at], "FIELDS") || !slice_to_u64(e->argv[at + 1], &n) || n == 0)
        return false;
    *first = at + 2;
    *end = e->argc;
    return (e->argc - *first) % width == 0 && (e->argc - *first) / width == n;
}

/* HSETEX in the syntax of Dragonfly and of Redis 8. */
struct hsetex {
    struct slice condition; /* NX: only missing fields; FNX, FXX: all fields or none */
    bool keep_ttl;
    bool expires;
    int64_t at_ms;
    size_t first, end; /* field value … */
};

/* key [NX | FNX | FXX] [KEEPTTL] seconds field value …
 * key [FNX | FXX] [EX s | PX ms | EXAT s | PXAT ms | KEEPTTL] FIELDS n field value … */
static bool hsetex_parse(const struct translator *t, const struct entry *e, struct hsetex *h)
{
    size_t i = 2;
    int64_t seconds;
    for (; i < e->argc; i++) {
        struct slice a = e->argv[i];
        if (slice_is(a, "NX") || slice_is(a, "FNX") || slice_is(a, "FXX")) {
            h->condition = a;
        } else if (slice_is(a, "KEEPTTL")) {
            h->keep_ttl = true;
        } else if (i + 1 < e->argc && rewrite_expiry_option(t, a, e->argv[i + 1], &h->at_ms)) {
            h->expires = true;
            i++;
        } else {
            break;
        }
    }
    if (i < e->argc && slice_is(e->argv[i], "FIELDS"))
        return fields_range(e, i, 2, &h->first, &h->end);
    if (h->expires || i >= e->argc || !slice_to_i64(e->argv[i], &seconds) ||
        !rewrite_after(t, seconds, 1000, &h->at_ms))
        return false;
    h->expires = true;
    h->first = i + 1;
    h->end = e->argc;
    return h->end > h->first && (h->end - h->first) % 2 == 0;
}

/* ARGV: condition, keep, deadline ('' none, or the target has no field TTLs), field, value … */
static const char hsetex_script[] =
    "local k,c,keep,at=KEYS[1],ARGV[1],ARGV[2]=='1',ARGV[3]\n"
    "if c=='FNX' or c=='FXX' then for i=4,#ARGV,2 do\n"
    "if (redis.call('HEXISTS',k,ARGV[i])==1)~=(c=='FXX') then return end end end\n"
    "for i=4,#ARGV,2 do local f=ARGV[i]\n"
    "local there=redis.call('HEXISTS',k,f)==1\n"
    "if not (there and c=='NX') then\n"
    "local a=at\n"
    "if keep and there then local x=redis.call('HPEXPIRETIME',k,'FIELDS',1,f)[1]\n"
    "if x>0 then a=string.format('%.0f',x) end end\n"
    "redis.call('HSET',k,f,ARGV[i+1])\n"
    "if a~='' then redis.call('HPEXPIREAT',k,a,'FIELDS',1,f) end\n"
    "end end";

static bool hsetex_conditional(struct translator *t, const struct command *c, const struct entry *e,
                               const struct hsetex *h)
{
    bool ttl = t->target->hash_field_ttl;
    if (t->target->scripts)
        rewrite_probe(t, e->argv[1], OUTPUT_ONCE, true); /* a passed deadline deletes the fields */
    if (!rewrite_eval(t, c, hsetex_script, e->argv[1], 1, 3 + h->end - h->first, OUTPUT_ONCE))
        return true;
    output_arg(t->out, e->argv[1]);
    if (slice_is(h->condition, "FNX"))
        output_text(t->out, "FNX");
    else if (slice_is(h->condition, "FXX"))
        output_text(t->out, "FXX");
    else
        output_text(t->out, h->condition.len ? "NX" : "");
    output_text(t->out, h->keep_ttl && ttl ? "1" : "0");
    if (ttl && h->expires)
        output_i64(t->out, field_deadline(t, e, h->at_ms, h->first, h->end, 2));
    else
        output_text(t->out, "");
    rewrite_args(t, e, h->first, h->end);
    output_end(t->out);
    return true;
}

bool rewrite_hsetex(struct translator *t, const struct command *c, const struct entry *e, struct error *error)
{
    struct hsetex h = {0};
    (void)error;
    if (!hsetex_parse(t, e, &h))
        return rewrite_report(t, DIVERGENCE_UNKNOWN, c, e->argv[1]);
    if (h.expires && !t->target->hash_field_ttl)
        rewrite_report(t, DIVERGENCE_FIELD_TTL, c, e->argv[1]);
    if (h.condition.len || (h.keep_ttl && t->target->hash_field_ttl))
        return hsetex_conditional(t, c, e, &h);
    output_begin(t->out, t->db, e->argv[1], 2 + h.end - h.first, OUTPUT_IDEMPOTENT);
    output_text(t->out, "HSET");
    output_arg(t->out, e->argv[1]);
    rewrite_args(t, e, h.first, h.end);
    output_end(t->out);
    if (!h.expires || !t->target->hash_field_ttl)
        return true;
    return expire_fields(t, e, h.at_ms, slice_of(NULL, 0), h.first, h.end, 2);
}

/* FIELDEXPIRE key seconds field … */
bool rewrite_fieldexpire(struct translator *t, const struct command *c, const struct entry *e,
                         struct error *error)
{
    int64_t seconds, at_ms;
    (void)error;
    if (!slice_to_i64(e->argv[2], &seconds) || !rewrite_after(t, seconds, 1000, &at_ms))
        return rewrite_report(t, DIVERGENCE_LOST_BY_SOURCE, c, e->argv[1]);
    if (!t->target->hash_field_ttl)
        return rewrite_report(t, DIVERGENCE_FIELD_TTL, c, e->argv[1]);
    return expire_fields(t, e, at_ms, slice_of(NULL, 0), 3, e->argc, 1);
}

/* HDEL key field …: for a passed deadline, if the target has no field TTLs. */
static bool delete_fields(struct translator *t, const struct entry *e, size_t first, size_t end)
{
    output_begin(t->out, t->db, e->argv[1], 2 + end - first, OUTPUT_ONCE);
    output_text(t->out, "HDEL");
    output_arg(t->out, e->argv[1]);
    rewrite_args(t, e, first, end);
    output_end(t->out);
    return true;
}

/* HEXPIRE key seconds [NX | XX | GT | LT] FIELDS n field …; 0 seconds delete. */
bool rewrite_hexpire(struct translator *t, const struct command *c, const struct entry *e,
                     struct error *error)
{
    int64_t seconds, at_ms;
    size_t first, end;
    (void)error;
    bool flag = !slice_is(e->argv[3], "FIELDS");
    if (!slice_to_i64(e->argv[2], &seconds) || !rewrite_after(t, seconds, 1000, &at_ms) ||
        !fields_range(e, flag ? 4 : 3, 1, &first, &end))
        return rewrite_report(t, DIVERGENCE_LOST_BY_SOURCE, c, e->argv[1]);
    if (seconds == 0 && !flag)
        return delete_fields(t, e, first, end);
    if (!t->target->hash_field_ttl)
        return rewrite_report(t, DIVERGENCE_FIELD_TTL, c, e->argv[1]);
    return expire_fields(t, e, at_ms, flag ? e->argv[3] : slice_of(NULL, 0), first, end, 1);
}

/* HGETEX key [EX s | PX ms | EXAT s | PXAT ms | PERSIST] FIELDS n field …; a passed deadline deletes. */
bool rewrite_hgetex(struct translator *t, const struct command *c, const struct entry *e, struct error *error)
{
    int64_t at_ms = 0;
    size_t first, end;
    (void)error;
    bool persist = slice_is(e->argv[2], "PERSIST");
    bool expires = !persist && rewrite_expiry_option(t, e->argv[2], e->argv[3], &at_ms);
    if (!fields_range(e, expires ? 4 : persist ? 3 : 2, 1, &first, &end))
        return rewrite_report(t, DIVERGENCE_LOST_BY_SOURCE, c, e->argv[1]);
    if (expires && at_ms <= translator_arrived_ms(t))
        return delete_fields(t, e, first, end);
    if (expires && !t->target->hash_field_ttl)
        return rewrite_report(t, DIVERGENCE_FIELD_TTL, c, e->argv[1]);
    if (expires)
        return expire_fields(t, e, at_ms, slice_of(NULL, 0), first, end, 1);
    if (!persist || !t->target->hash_field_ttl)
        return true; /* a read, or no time to live to remove */
    output_begin(t->out, t->db, e->argv[1], 4 + end - first, OUTPUT_IDEMPOTENT | rewrite_effective(t));
    output_text(t->out, "HPERSIST");
    output_arg(t->out, e->argv[1]);
    rewrite_args(t, e, first - 2, end);
    output_end(t->out);
    return true;
}

/* SADDEX key [KEEPTTL] seconds member … */
bool rewrite_saddex(struct translator *t, const struct command *c, const struct entry *e, struct error *error)
{
    size_t first = slice_is(e->argv[2], "KEEPTTL") ? 4 : 3;
    (void)error;
    if (first >= e->argc)
        return rewrite_report(t, DIVERGENCE_LOST_BY_SOURCE, c, e->argv[1]);
    output_begin(t->out, t->db, e->argv[1], 2 + e->argc - first, OUTPUT_IDEMPOTENT);
    output_text(t->out, "SADD");
    output_arg(t->out, e->argv[1]);
    rewrite_args(t, e, first, e->argc);
    output_end(t->out);
    return rewrite_report(t, DIVERGENCE_SET_TTL, c, e->argv[1]);
}
