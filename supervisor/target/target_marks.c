/* Marks: read from replies, and those of all nodes combined into one. */
#include "supervisor/target/target_marks.h"

#include <stdlib.h>

#include "common/redis/marks.h"

static bool flow_of_field(struct slice field, const char *prefix, uint32_t *out)
{
    size_t len = strlen(prefix);
    uint64_t flow;
    if (field.len <= len || memcmp(field.data, prefix, len) != 0 ||
        !slice_to_u64(slice_of(field.data + len, field.len - len), &flow) || flow > UINT32_MAX)
        return false;
    *out = (uint32_t)flow;
    return true;
}

/* of_node: a cluster node's mark, with the *fingerprint of the slots that the node served then. */
static bool read_mark(struct slice text, bool of_node, uint64_t *fingerprint, struct target_mark *out)
{
    struct slot_mark m = {0};
    if (of_node ? !node_mark_parse(text, &m) : !mark_parse(text, &m.node))
        return false;
    *fingerprint = m.marked.fingerprint;
    out->session = m.node.session;
    out->at = (struct resume_point){.lsn = m.node.lsn, .check = m.node.check, .unchecked = m.node.unchecked};
    memcpy(out->master_id, m.node.master_id, sizeof out->master_id);
    return true;
}

/* fingerprint NULL: flow-N and run; otherwise node-N. */
static void read_fields(struct target_marks *m, const redisReply *reply, const uint64_t *fingerprint)
{
    /* A key of another type, or NOPERM: no marks. */
    size_t count = reply->type == REDIS_REPLY_ARRAY ? reply->elements / 2 : 0;
    target_marks_free(m);
    m->there = count > 0;
    m->list = x_calloc(count ? count : 1, sizeof *m->list);
    for (size_t i = 0; i < count; i++) {
        const redisReply *name = reply->element[2 * i], *value = reply->element[2 * i + 1];
        if (name->type != REDIS_REPLY_STRING || value->type != REDIS_REPLY_STRING)
            continue;
        struct slice field = slice_of(name->str, name->len), text = slice_of(value->str, value->len);
        uint64_t seen = 0;
        struct target_mark *mark = &m->list[m->count];
        if (!fingerprint && slice_eq(field, slice_str(MARK_RUN_FIELD)))
            slice_to_u64(text, &m->run_session);
        else if (!fingerprint && name->len > 3 && memcmp(name->str, MARK_DATABASE_FIELD, 3) == 0)
            m->databases++;
        else if (flow_of_field(field, fingerprint ? "node-" : "flow-", &mark->flow) &&
                 read_mark(text, fingerprint != NULL, &seen, mark)) {
            memcpy(m->seen_id, mark->master_id, sizeof m->seen_id);
            m->seen_stable |= mark->at.lsn > 0;
            if (!fingerprint || seen == *fingerprint)
                m->count++;
        }
    }
}

void target_marks_read(struct target_marks *m, const redisReply *reply)
{
    read_fields(m, reply, NULL);
}

void target_marks_read_node(struct target_marks *m, const redisReply *reply, uint64_t fingerprint)
{
    read_fields(m, reply, &fingerprint);
}

static const struct target_mark *find_mark(const struct target_marks *m, uint32_t flow)
{
    for (size_t i = 0; i < m->count; i++)
        if (m->list[i].flow == flow)
            return &m->list[i];
    return NULL;
}

/* A node without writes in the last session keeps its mark of the session before: the earliest session shows that
 * entries may be missing there. False: the node has no such mark. */
static bool join_mark(struct target_mark *mark, const struct target_marks *node)
{
    const struct target_mark *other = find_mark(node, mark->flow);
    if (!other || strcmp(other->master_id, mark->master_id) != 0)
        return false;
    if (other->at.lsn < mark->at.lsn)
        mark->at = other->at;
    if (other->session < mark->session)
        mark->session = other->session;
    return true;
}

void target_marks_common(struct target_marks *out, const struct target_marks *nodes, size_t count)
{
    size_t most = count ? nodes[0].count : 0;
    free(out->list);
    out->list = x_calloc(most ? most : 1, sizeof *out->list);
    out->count = 0;
    for (size_t i = 0; i < count; i++) {
        out->seen_stable |= nodes[i].seen_stable;
        if (nodes[i].seen_id[0])
            memcpy(out->seen_id, nodes[i].seen_id, sizeof out->seen_id);
    }
    for (size_t i = 0; i < most; i++) {
        struct target_mark mark = nodes[0].list[i];
        bool everywhere = true;
        for (size_t n = 1; everywhere && n < count; n++)
            everywhere = join_mark(&mark, &nodes[n]);
        if (everywhere)
            out->list[out->count++] = mark;
    }
}

void target_marks_free(struct target_marks *m)
{
    free(m->list);
    *m = (struct target_marks){0};
}
