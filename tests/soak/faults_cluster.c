/* What happens to the nodes of a cluster, and to its slots. */
#include "tests/soak/soak.h"

#include <signal.h>
#include <stdlib.h>
#include <sysexits.h>

#include "tests/support/testing.h"

enum {
    NODES = 6,
    MASTERS = 3,
    SLOTS_AT_ONCE = 12,
    STOPPED_AT_MOST_MS = 2000,
    MARKED_MS = 2500,
    NOTICED_MS = 2000
};

/* It serves slots, or it is a replica. */
static bool is_master(struct soak *s, size_t member)
{
    redisContext *c = server_connect(s->cluster.members[member].server.port);
    char *role = server_info(c, "replication", "role");
    bool master = role && strcmp(role, "master") == 0;
    free(role);
    redisFree(c);
    return master;
}

/* The nth of one kind. */
static size_t choose(struct soak *s, bool master)
{
    size_t found[NODES], count = 0;
    for (size_t i = 0; i < NODES; i++)
        if (is_master(s, i) == master)
            found[count++] = i;
    if (!count)
        die("no %s in the cluster", master ? "master" : "replica");
    return found[random_below(&s->random, count)];
}

static uint16_t port_of(struct soak *s, size_t member)
{
    return s->cluster.members[member].server.port;
}

static void wait_whole(struct soak *s)
{
    if (!redis_cluster_wait_ok(&s->cluster) || !redis_cluster_wait_replicas(&s->cluster, 1))
        die("the cluster is not whole again");
    run_follow(&s->run, &s->cluster);
}

/* The mark of a node tells of the slots that it served then, and leaves with the lowest of them. So where slots have moved
 * and a replica has taken over, and no mark was written in between, nobody knows what the replica has: a full sync. Marks
 * are written in step, once a second and after such a change. */
static void wait_marked(struct soak *s, bool changed)
{
    if (!changed)
        return;
    if (!s->calm) {
        s->may_sync = true;
        return;
    }
    soak_wait_in_step(s);
    soak_go_on(s, MARKED_MS);
    s->slots_moved = s->node_promoted = false;
}

/* ---- nodes ---- */

struct change {
    struct soak *s;
    size_t member;
};

static bool promote(void *arg)
{
    struct change *c = arg;
    return redis_cluster_wait_promoted(&c->s->cluster, c->member);
}

/* In a thread, while the load goes on. */
static bool beside(struct soak *s, bool (*work)(void *arg), void *arg)
{
    struct redis_cluster_work *w = redis_cluster_work_begin(work, arg);
    while (!redis_cluster_work_done(w))
        soak_go_on(s, 50);
    return redis_cluster_work_end(w);
}

void fault_kill_node(struct soak *s)
{
    struct change c = {s, choose(s, true)};
    redis_cluster_kill(&s->cluster, c.member);
    if (!beside(s, promote, &c))
        die("no replica of member %zu was promoted", c.member);
    soak_revive_node(s, c.member);
    s->node_promoted = true;
    wait_whole(s);
}

static bool became_master(void *arg)
{
    struct change *c = arg;
    return is_master(c->s, c->member);
}

static bool wait_master(void *arg)
{
    return wait_until(became_master, arg, SOAK_STEP_MS);
}

void fault_fail_over_node(struct soak *s)
{
    wait_marked(s, s->slots_moved);
    struct change c = {s, choose(s, false)};
    soak_tell(port_of(s, c.member), "CLUSTER FAILOVER");
    s->missed = !beside(s, wait_master, &c);
    s->node_promoted = true;
    wait_whole(s);
}

void fault_stop_node(struct soak *s)
{
    struct process *p = &s->cluster.members[choose(s, true)].server.process;
    process_signal(p, SIGSTOP);
    soak_go_on(s, soak_some_ms(s, 100, STOPPED_AT_MOST_MS));
    process_signal(p, SIGCONT);
    wait_whole(s);
}

void fault_fill_node(struct soak *s)
{
    uint16_t port = port_of(s, choose(s, true));
    soak_tell(port, "CONFIG SET maxmemory 1");
    soak_go_on(s, soak_some_ms(s, 50, 2000));
    soak_tell(port, "CONFIG SET maxmemory 0");
}

void fault_cut_node(struct soak *s)
{
    soak_tell(port_of(s, choose(s, true)), "CLIENT KILL TYPE normal");
}

/* Its mark has to be there: not during a full sync; once a second then, and after slots have moved. */
static void flush_noticed(struct soak *s, uint16_t port)
{
    soak_wait_in_step(s);
    soak_go_on(s, MARKED_MS);
    s->missed = !soak_tell(port, "FLUSHALL"); /* a replica by now */
    if (s->missed)
        return;
    if (!soak_wait_full_sync(s) && process_running(&s->run.program.process))
        s->trouble = "that another client flushed a node was not noticed";
}

void fault_flush_node(struct soak *s)
{
    soak_wait_in_step(s); /* a failover is over then */
    flush_noticed(s, port_of(s, choose(s, true)));
}

/* Noticed as that of a single target is. A node that takes all others for dead
 * meanwhile, or is taken for it, comes back. */
void fault_change_node_clock(struct soak *s)
{
    size_t member = random_below(&s->random, NODES);
    int64_t off_ms = soak_some_ms(s, 500, 40000);
    soak_set_clock(s, member, random_below(&s->random, 2) ? off_ms : -off_ms);
    soak_go_on(s, soak_some_ms(s, NOTICED_MS, 4000));
    soak_set_clock(s, member, 0);
    wait_whole(s);
}

/* ---- links ---- */

static struct proxy *link_to(struct soak *s, size_t member)
{
    return s->targets[member].link;
}

void fault_cut_node_anywhere(struct soak *s)
{
    struct proxy *p = link_to(s, choose(s, true));
    proxy_cut_after(p, 1000 + random_below(&s->random, 100000));
    soak_go_on(s, soak_some_ms(s, 200, 2000));
    proxy_cut_after(p, 0);
}

void fault_slow_node(struct soak *s)
{
    struct proxy *p = link_to(s, choose(s, true));
    proxy_slow(p, soak_some_ms(s, 0, 300), soak_some_rate(s));
    soak_go_on(s, soak_some_ms(s, 500, 4000));
    proxy_slow(p, 0, 0);
}

/* One slower than the other. */
void fault_slow_nodes(struct soak *s)
{
    for (size_t i = 0; i < NODES; i++)
        proxy_slow(link_to(s, i), soak_some_ms(s, 0, 300), soak_some_rate(s));
    soak_go_on(s, soak_some_ms(s, 500, 4000));
    for (size_t i = 0; i < NODES; i++)
        proxy_slow(link_to(s, i), 0, 0);
}

/* ---- eviction ---- */

/* A FLOW that connected while the node evicted takes a mark that is gone for an evicted one, and ends the run. */
void fault_evict_on_node(struct soak *s)
{
    uint16_t port = port_of(s, choose(s, true));
    if (!soak_evict(s, port))
        return;
    if (process_running(&s->run.program.process))
        flush_noticed(s, port);
    if (process_running(&s->run.program.process))
        return;
    if (s->run.program.process.status != EX_CONFIG)
        s->trouble = "the program ended by itself";
    soak_tell(port, "FLUSHALL");
    soak_start_program(s);
}

/* ---- slots ---- */

struct moves {
    struct soak *s;
    size_t from, to;
    unsigned slots;
};

static bool move(void *arg)
{
    struct moves *m = arg;
    return redis_cluster_move_slots(&m->s->cluster, m->from, m->to, m->slots);
}

void fault_move_slots(struct soak *s)
{
    wait_marked(s, s->node_promoted);
    struct moves m = {.s = s, .slots = 1 + (unsigned)random_below(&s->random, SLOTS_AT_ONCE)};
    m.from = choose(s, true);
    do
        m.to = choose(s, true);
    while (m.to == m.from);
    if (!beside(s, move, &m))
        printf("    not all were moved\n");
    s->slots_moved = true;
    wait_whole(s);
}
