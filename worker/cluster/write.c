/* Routes commands to the nodes of their slots, and writes the marks that go with them. */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/crc.h"
#include "worker/cluster/cluster.h"
#include "worker/link/mark_text.h"

static struct batch *plain_batch(struct cluster *c, struct round *q, size_t node)
{
    if (!q->plain[node])
        q->plain[node] = router_take_batch(c->router);
    return q->plain[node];
}

/* All further commands of the slot in this round go into it: MULTI with the mark of the slot. */
static struct batch *new_slot_batch(struct cluster *c, struct round *q, uint16_t slot)
{
    struct batch *b = router_take_batch(c->router);
    b->once = true;
    b->slot = slot;
    b->asking = c->by_asking[slot];
    q->alone |= b->asking;
    *(q->once ? &q->last_once->next : &q->once) = b;
    q->last_once = b;
    q->once_count++;
    if (!c->once_of[slot])
        c->once_slots[c->once_used++] = slot;
    return c->once_of[slot] = b;
}

static struct batch *once_batch(struct cluster *c, struct round *q, uint16_t slot)
{
    struct batch *b = c->once_of[slot];
    return b ? b : new_slot_batch(c, q, slot);
}

/* An open slot: one batch for each key while the commands may run twice. Only the last one has a mark. */
static struct batch *asking_batch(struct cluster *c, struct round *q, uint16_t slot, struct slice key,
                                  unsigned flags)
{
    struct batch *b = c->once_of[slot];
    bool once = flags & OUTPUT_ONCE;
    uint64_t hash = crc64(0, key.data, key.len);
    if (b && (b->key_hash == hash || once || !b->unmarked)) {
        b->unmarked &= !once;
        return b;
    }
    b = new_slot_batch(c, q, slot);
    b->key_hash = hash;
    b->unmarked = !once;
    return b;
}

/* Whether no slot has the entry: nearly always. */
static bool is_new_to_all_slots(const struct cluster *c, uint64_t seq, uint64_t lsn)
{
    return seq > c->positions.most_seq && (!lsn || lsn >= c->positions.most_lsn);
}

bool cluster_slot_has(const struct cluster *c, uint16_t slot, uint64_t seq, uint64_t lsn)
{
    return seq <= c->positions.seq[slot] || (lsn && lsn < c->positions.lsn[slot]);
}

bool cluster_lacked_before(const struct cluster *c, uint64_t seq, uint64_t lsn)
{
    return positions_lacked_before(&c->positions, seq, lsn);
}

void cluster_slot_did(struct cluster *c, uint16_t slot, uint64_t seq)
{
    if (c->positions.seq[slot] < seq)
        c->positions.seq[slot] = seq;
    if (c->positions.most_seq < seq)
        c->positions.most_seq = seq;
}

/* NULL: an empty master that is not connected. */
static struct batch *node_batch(struct cluster *c, struct round *q, size_t node)
{
    return c->nodes[node]->ready ? plain_batch(c, q, node) : NULL;
}

struct batch *cluster_route(void *arg, struct round *q, struct slice key, unsigned flags)
{
    struct cluster *c = arg;
    if (c->into)
        return c->into;
    if (flags >> OUTPUT_NODE_SHIFT)
        return node_batch(c, q, (flags >> OUTPUT_NODE_SHIFT) - 1);
    uint16_t slot = key_slot(key);
    if (!is_new_to_all_slots(c, c->seq, c->lsn) && cluster_slot_has(c, slot, c->seq, c->lsn))
        return NULL;
    if (c->open_slot_count && c->by_asking[slot])
        return asking_batch(c, q, slot, key, flags);
    if (q->once && c->once_of[slot])
        return c->once_of[slot];
    return flags & OUTPUT_ONCE ? once_batch(c, q, slot)
                               : plain_batch(c, q, topology_owner(&c->topology, slot));
}

bool cluster_begin_entry(struct cluster *c, struct entry *e)
{
    c->seq = e->seq;
    c->lsn = e->in_snapshot ? 0 : e->lsn;
    if (e->kind == ENTRY_COMMAND || !e->key.data || is_new_to_all_slots(c, e->first_seq, 0))
        return true;
    return entry_drop_front(e, c->positions.seq[key_slot(e->key)]);
}

void cluster_sent(struct cluster *c)
{
    while (c->once_used)
        c->once_of[c->once_slots[--c->once_used]] = NULL;
}

size_t cluster_node_of(const struct cluster *c, const struct batch *once)
{
    return c->topology.owner[once->slot];
}

/* In an open slot a missing mark must not be a second key of the MULTI, so its key is an argument of a script. If the
 * target is out of memory it must refuse the MULTI as a whole, not only the mark. So the script has a shebang line from
 * 7.0 on: such scripts are refused then. (6.2 refuses to queue any command.) */
static const char *asking_mark_script(const struct capabilities *target)
{
    bool flags = target->kind == SERVER_VALKEY || target->version >= 70000;
    return flags ? "#!lua\nreturn redis.call('HSET',unpack(ARGV))" : "return redis.call('HSET',unpack(ARGV))";
}

/* HSET of the slot's hash into b; node_text: value of the field node-N, or NULL. */
static void put_mark(struct cluster *c, struct batch *b, const char *text, const char *node_text)
{
    const struct link_config *config = &c->router->config;
    struct output *o = c->router->output;
    char key[SLOT_KEY_BYTES], session[24];
    const uint8_t there = c->mark_fields[b->slot], known = FIELD_FLOW | FIELD_RUN;
    bool claims = (there & known) != known;
    slot_mark_key(key, sizeof key, config->settings->name, b->slot);
    c->into = b;
    output_begin(o, 0, slice_str(key),
                 4u + (node_text ? 2u : 0u) + (claims ? 2u : 0u) + (b->asking ? 2u : 0u), OUTPUT_ONCE);
    output_text(o, b->asking ? "EVAL" : "HSET");
    if (b->asking) {
        output_text(o, asking_mark_script(&c->nodes[c->topology.owner[b->slot]]->target));
        output_text(o, "0");
    }
    output_text(o, key);
    output_text(o, config->mark_field);
    output_text(o, text);
    if (node_text) {
        output_text(o, config->node_field);
        output_text(o, node_text);
    }
    if (claims) {
        output_text(o, MARK_RUN_FIELD);
        output_arg(o, slice_of(session, format_u64(session, c->router->session.id)));
    }
    output_end(o);
    b->marked_last = b->asking;
    b->mark_at = b->commands - 1;
    b->mark_of_node = node_text != NULL;
    b->mark_new = claims ? MARK_UNKNOWN : node_text && !(there & FIELD_NODE);
    c->into = NULL;
    c->marked[b->slot] = 1;
}

static struct marked_node describe_node(const struct node *n, const struct topology_node *t)
{
    struct marked_node m = {.fingerprint = t->fingerprint};
    memcpy(m.run_id, n->target.run_id, sizeof m.run_id);
    memcpy(m.replid, n->target.replid, sizeof m.replid);
    return m;
}

void cluster_put_marks(struct cluster *c, const char *text, bool whole)
{
    struct round *q = c->router->open;
    char node_text[NODE_MARK_TEXT_BYTES];
    for (size_t i = 0; whole && i < c->count; i++)
        if (!cluster_is_empty(c, i))
            once_batch(c, q, c->topology.nodes[i].first_slot);
    for (struct batch *b = q->once; b; b = b->next) {
        const struct topology_node *t = &c->topology.nodes[c->topology.owner[b->slot]];
        const struct node *node = c->nodes[c->topology.owner[b->slot]];
        bool of_node = whole && t->first_slot == b->slot;
        if (b != c->once_of[b->slot] || (b->unmarked && !of_node))
            continue;
        struct marked_node marked = describe_node(node, t);
        node_mark_write(text, &marked, node_text);
        put_mark(c, b, text, of_node ? node_text : NULL);
    }
}

void cluster_remove_marks(struct cluster *c)
{
    const struct link_config *config = &c->router->config;
    struct output *o = c->router->output;
    for (uint16_t s = 0; s < CLUSTER_SLOTS; s++) {
        char key[SLOT_KEY_BYTES];
        if (!c->marked[s])
            continue;
        slot_mark_key(key, sizeof key, config->settings->name, s);
        c->into = c->by_asking[s] ? new_slot_batch(c, c->router->open, s)
                                  : plain_batch(c, c->router->open, c->topology.owner[s]);
        output_begin(o, 0, slice_str(key), 6, OUTPUT_IDEMPOTENT);
        output_text(o, "HDEL");
        output_text(o, key);
        output_text(o, config->mark_field);
        output_text(o, config->node_field);
        output_text(o, MARK_FLUSHED_FIELD);
        output_text(o, MARK_RUN_FIELD);
        output_end(o);
        c->mark_fields[s] = 0;
    }
    uint16_t slot = key_slot(slice_str(config->mark_key));
    c->into = c->by_asking[slot] ? new_slot_batch(c, c->router->open, slot)
                                 : plain_batch(c, c->router->open, c->topology.owner[slot]);
    output_begin(o, 0, slice_str(config->mark_key), 3, OUTPUT_IDEMPOTENT);
    output_text(o, "HDEL");
    output_text(o, config->mark_key);
    output_text(o, MARK_RUN_FIELD);
    output_end(o);
    c->into = NULL;
}

static void flush_empty_master(struct cluster *c, size_t node)
{
    struct output *o = c->router->output;
    c->into = plain_batch(c, c->router->open, node);
    output_begin(o, 0, slice_of("", 0), 1, OUTPUT_IDEMPOTENT);
    output_text(o, "FLUSHALL");
    output_end(o);
}

/* If the slot has begun to migrate, the script could not write the marks again after its flush. So it also names a key
 * that never exists, and is then refused as a whole. (Not on an importing node, which would always refuse it.) */
static void flush_master(struct cluster *c, size_t node, const char *script, const char *flushed,
                         bool deletes)
{
    struct output *o = c->router->output;
    char key[SLOT_KEY_BYTES], nowhere[SLOT_KEY_BYTES], note[FLUSHED_TEXT_BYTES] = "";
    uint16_t slot = c->topology.nodes[node].first_slot;
    struct marked_node on = describe_node(c->nodes[node], &c->topology.nodes[node]);
    if (*flushed)
        node_flushed_write(flushed, &on, note);
    slot_mark_key(key, sizeof key, c->router->config.settings->name, slot);
    slot_probe_key(nowhere, sizeof nowhere, c->router->config.settings->name, slot);
    c->into = once_batch(c, c->router->open, slot);
    bool asking = c->into->asking;
    output_begin(o, 0, slice_str(key), (asking ? 6U : 7U) + (deletes ? 1U : 0U), OUTPUT_ONCE);
    output_text(o, "EVAL");
    output_text(o, script);
    output_text(o, asking ? "1" : "2");
    output_text(o, key);
    if (!asking)
        output_text(o, nowhere);
    output_text(o, "0");
    output_text(o, note);
    if (deletes)
        output_text(o, "all");
    output_end(o);
}

void cluster_flush_nodes(struct cluster *c, const char *script, const char *flushed, bool deletes)
{
    for (size_t i = 0; i < c->count; i++)
        if (!cluster_is_empty(c, i))
            flush_master(c, i, script, flushed, deletes);
        else if (deletes && c->nodes[i]->ready) /* else no slot is migrating to it */
            flush_empty_master(c, i);
    c->into = NULL;
}
