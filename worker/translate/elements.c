/* Translates elements to RPUSH, SADD, HSET, ZADD, XADD.
 *
 * Lists and streams are ONCE; the others are idempotent. */
#include "worker/translate/elements.h"

#include <stdio.h>

#include "common/ipc/divergence.h"
#include "worker/rdb/stream.h"
#include "worker/translate/rewrite.h"

enum { PER_COMMAND = 256 };

typedef bool (*wanted)(const struct translator *t, const struct element *e);

static bool wanted_all(const struct translator *t, const struct element *e)
{
    (void)t, (void)e;
    return true;
}

/* False for an expired field, if the target has no field TTLs. */
static bool wanted_alive(const struct translator *t, const struct element *e)
{
    return !e->expire_ms || e->expire_ms > translator_arrived_ms(t);
}

enum { BESIDE_BYTES = 64 };

static size_t element_bytes(const struct element *e)
{
    return e->a.len + e->b.len + BESIDE_BYTES;
}

static bool fits(const struct translator *t, const struct element *e)
{
    size_t most = capabilities_argument_bytes(t->target);
    return e->a.len <= most && e->b.len <= most;
}

/* End of the command that begins with element `from`: an element too large for the target is alone, so that only it is
 * left out. */
static size_t group_end(const struct translator *t, const struct element *elements, size_t from, size_t count)
{
    size_t end = from + 1, bytes = element_bytes(&elements[from]);
    size_t most = capabilities_command_bytes(t->target) / 4;
    if (!fits(t, &elements[from]))
        return end;
    while (end < count && end - from < PER_COMMAND && fits(t, &elements[end]) &&
           (bytes += element_bytes(&elements[end])) <= most)
        end++;
    return end;
}

/* NAME key, then the arguments of each element. */
static void write_group(struct translator *t, const struct placing *p, const char *name, unsigned flags,
                        enum element_class class, const struct element *elements, size_t count, wanted want)
{
    for (size_t from = 0, end; from < count; from = end) {
        size_t n = 0;
        end = group_end(t, elements, from, count);
        for (size_t i = from; i < end; i++)
            n += want(t, &elements[i]);
        if (!n)
            continue;
        output_begin(t->out, t->db, p->write_key,
                     2 + n * (class == ELEMENT_HASH || class == ELEMENT_ZSET ? 2 : 1), flags);
        output_text(t->out, name);
        output_arg(t->out, p->write_key);
        for (size_t i = from; i < end; i++) {
            if (!want(t, &elements[i]))
                continue;
            if (class == ELEMENT_ZSET)
                output_double(t->out, elements[i].score);
            output_arg(t->out, elements[i].a);
            if (class == ELEMENT_HASH)
                output_arg(t->out, elements[i].b);
        }
        output_end(t->out);
    }
}

static size_t count_expiring(const struct element *elements, size_t count)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        n += elements[i].expire_ms != 0;
    return n;
}

/* HPEXPIREAT key ms FIELDS n field …, for sequences of fields with the same expiry. */
static void write_field_ends(struct translator *t, const struct placing *p, const struct element *elements,
                             size_t count)
{
    for (size_t from = 0, end; from < count; from = end) {
        int64_t ms = elements[from].expire_ms;
        size_t most = group_end(t, elements, from, count);
        for (end = from + 1; end < most && elements[end].expire_ms == ms;)
            end++;
        if (!ms)
            continue;
        output_begin(t->out, t->db, p->write_key, 5 + end - from, OUTPUT_IDEMPOTENT);
        output_text(t->out, "HPEXPIREAT");
        output_arg(t->out, p->write_key);
        int64_t told_ms = ms;
        for (size_t i = from; i < end; i++)
            told_ms = rewrite_field_deadline(t, p->key, elements[i].a, ms);
        output_i64(t->out, told_ms);
        output_text(t->out, "FIELDS");
        output_i64(t->out, (int64_t)(end - from));
        for (size_t i = from; i < end; i++)
            output_arg(t->out, elements[i].a);
        output_end(t->out);
    }
}

static void write_hash(struct translator *t, const struct placing *p, const struct element *elements,
                       size_t count)
{
    size_t expiring = count_expiring(elements, count);
    bool able = t->target->hash_field_ttl;
    write_group(t, p, "HSET", OUTPUT_IDEMPOTENT, ELEMENT_HASH, elements, count,
                expiring && !able ? wanted_alive : wanted_all);
    if (expiring && able)
        write_field_ends(t, p, elements, count);
    else if (expiring)
        t->report(t->report_arg, DIVERGENCE_FIELD_TTL, "HPEXPIREAT", p->key, expiring);
}

static size_t format_id(char *out, struct stream_id id)
{
    size_t n = format_u64(out, id.ms);
    out[n++] = '-';
    return n + format_u64(out + n, id.seq);
}

static void output_id(struct translator *t, struct stream_id id)
{
    char text[48];
    output_arg(t->out, slice_of(text, format_id(text, id)));
}

static bool write_node(struct translator *t, const struct placing *p, const struct element *node,
                       struct error *error)
{
    struct stream_entry entry;
    int more;
    if (!stream_node_begin(t->node, node->a, node->b, error))
        return false;
    while ((more = stream_node_next(t->node, &entry, error)) > 0) {
        output_begin(t->out, t->db, p->write_key, 3 + entry.field_count, OUTPUT_ONCE);
        output_text(t->out, "XADD");
        output_arg(t->out, p->write_key);
        output_id(t, entry.id);
        for (size_t i = 0; i < entry.field_count; i++)
            output_arg(t->out, entry.fields[i]);
        output_end(t->out);
    }
    return more == 0;
}

bool elements_write(struct translator *t, const struct placing *p, enum element_class class,
                    const struct element *elements, size_t count, struct error *error)
{
    switch (class) {
    case ELEMENT_LIST:
        write_group(t, p, "RPUSH", OUTPUT_ONCE, class, elements, count, wanted_all);
        return true;
    case ELEMENT_SET: {
        size_t expiring = count_expiring(elements, count);
        write_group(t, p, "SADD", OUTPUT_IDEMPOTENT, class, elements, count,
                    expiring ? wanted_alive : wanted_all);
        if (expiring)
            t->report(t->report_arg, DIVERGENCE_SET_TTL, "SADDEX", p->key, expiring);
        return true;
    }
    case ELEMENT_HASH:
        write_hash(t, p, elements, count);
        return true;
    case ELEMENT_ZSET:
        write_group(t, p, "ZADD", OUTPUT_IDEMPOTENT, class, elements, count, wanted_all);
        return true;
    case ELEMENT_STREAM_NODE:
        for (size_t i = 0; i < count; i++)
            if (!write_node(t, p, &elements[i], error))
                return false;
        return true;
    case ELEMENT_STREAM_TAIL:
        for (size_t i = 0; i < count; i++)
            if (!stream_tail_write(t, p, elements[i].a, error))
                return false;
        return true;
    }
    return error_set(error, ERROR_FATAL, "element class %d is not known", (int)class);
}

/* ---- a stream's tail ---- */

struct tail_writing {
    struct translator *t;
    const struct placing *p;
};

static void tail_head(void *arg, const struct stream_tail *tail)
{
    struct tail_writing *w = arg;
    struct translator *t = w->t;
    if (tail->length == 0) {
        /* Creates an empty stream. */
        struct stream_id id =
            tail->last_id.ms || tail->last_id.seq ? tail->last_id : (struct stream_id){0, 1};
        output_begin(t->out, t->db, w->p->write_key, 7, OUTPUT_ONCE);
        output_text(t->out, "XADD");
        output_arg(t->out, w->p->write_key);
        output_text(t->out, "MAXLEN");
        output_text(t->out, "0");
        output_id(t, id);
        output_text(t->out, "-");
        output_text(t->out, "-");
        output_end(t->out);
    }
    output_begin(t->out, t->db, w->p->write_key, t->target->xsetid_entries ? 7 : 3, OUTPUT_ONCE);
    output_text(t->out, "XSETID");
    output_arg(t->out, w->p->write_key);
    output_id(t, tail->last_id);
    if (t->target->xsetid_entries) {
        output_text(t->out, "ENTRIESADDED");
        output_i64(t->out, (int64_t)tail->entries_added);
        output_text(t->out, "MAXDELETEDID");
        output_id(t, tail->max_deleted_id);
    }
    output_end(t->out);
}

static void tail_group(void *arg, struct slice name, struct stream_id last_id, uint64_t entries_read)
{
    struct tail_writing *w = arg;
    struct translator *t = w->t;
    output_begin(t->out, t->db, w->p->write_key, t->target->xgroup_entriesread ? 7 : 5, OUTPUT_ONCE);
    output_text(t->out, "XGROUP");
    output_text(t->out, "CREATE");
    output_arg(t->out, w->p->write_key);
    output_arg(t->out, name);
    output_id(t, last_id);
    if (t->target->xgroup_entriesread) {
        output_text(t->out, "ENTRIESREAD");
        output_i64(t->out, (int64_t)entries_read); /* all bits set: -1, unknown */
    }
    output_end(t->out);
}

static void tail_consumer(void *arg, struct slice group, struct slice name, int64_t seen_ms,
                          int64_t active_ms)
{
    (void)seen_ms, (void)active_ms;
    struct tail_writing *w = arg;
    struct translator *t = w->t;
    output_begin(t->out, t->db, w->p->write_key, 5, OUTPUT_ONCE);
    output_text(t->out, "XGROUP");
    output_text(t->out, "CREATECONSUMER");
    output_arg(t->out, w->p->write_key);
    output_arg(t->out, group);
    output_arg(t->out, name);
    output_end(t->out);
}

static void tail_pending(void *arg, struct slice group, struct slice consumer, struct stream_id id,
                         int64_t delivered_ms, uint64_t delivery_count)
{
    struct tail_writing *w = arg;
    struct translator *t = w->t;
    /* Claims nothing, without an error, if the message was deleted: only RESTORE can create such a pending entry. */
    output_begin(t->out, t->db, w->p->write_key, STREAM_PENDING_ARGS, OUTPUT_ONCE | OUTPUT_CONFLICT);
    output_text(t->out, "XCLAIM");
    output_arg(t->out, w->p->write_key);
    output_arg(t->out, group);
    output_arg(t->out, consumer);
    output_text(t->out, "0");
    output_id(t, id);
    output_text(t->out, "TIME");
    output_i64(t->out, delivered_ms);
    output_text(t->out, "RETRYCOUNT");
    output_i64(t->out, (int64_t)delivery_count);
    output_text(t->out, "FORCE");
    output_text(t->out, "JUSTID");
    output_end(t->out);
}

bool stream_tail_write(struct translator *t, const struct placing *p, struct slice tail, struct error *error)
{
    struct tail_writing w = {t, p};
    struct stream_tail_visitor visitor = {&w, tail_head, tail_group, tail_consumer, tail_pending};
    return stream_tail_visit(tail, p->type, &visitor, error);
}
