/* WAIT for the replicas of a node to have its writes; cross_slot.h says when, and why. */
#include "common/base/clock.h"
#include "common/log/log.h"
#include "worker/cluster/cluster.h"

enum { WAIT_MS = 500, LATE_PAUSE_MS = 10000 };

static struct node *node_of(const struct router *r, uint16_t slot)
{
    return r->cluster->nodes[r->cluster->topology.owner[slot]];
}

static uint32_t replica_count(const struct node *n)
{
    return n->cluster->topology.nodes[n->index].replicas;
}

uint32_t router_replicas(const struct router *r, uint16_t slot)
{
    const struct node *n = r->cluster ? node_of(r, slot) : NULL;
    return n && n->target.wait && clock_monotonic_ms() >= n->no_wait_until_ms ? replica_count(n) : 0;
}

void router_put_wait(struct router *r, uint16_t slot)
{
    struct node *n = node_of(r, slot);
    struct output *o = r->output;
    n->wait_sent_ms = clock_monotonic_ms();
    output_begin(o, 0, slice_of(NULL, 0), 3, OUTPUT_IDEMPOTENT | output_node(n->index));
    output_text(o, "WAIT");
    output_i64(o, replica_count(n));
    output_i64(o, WAIT_MS);
    output_end(o);
}

/* After a timeout no WAIT for a while: a replica that is down or far behind would delay every cross-slot command. */
void router_waited(struct router *r, uint16_t slot)
{
    struct node *n = node_of(r, slot);
    uint64_t now = clock_monotonic_ms();
    bool late = n->wait_sent_ms && now - n->wait_sent_ms >= WAIT_MS;
    n->wait_sent_ms = 0;
    if (!late)
        return;
    n->no_wait_until_ms = now + LATE_PAUSE_MS;
    log_info(
        "%s: not all of its %u replicas keep up; cross-slot commands do not wait for them for %d s: see to "
        "the replicas",
        n->name, (unsigned)replica_count(n), LATE_PAUSE_MS / 1000);
}
