/* The servers of the target, a single one or a cluster's nodes: each with a clock of its own that can be set, and
 * reached through a proxy of its own. A cluster's nodes announce the proxies as their addresses. */
#include "tests/soak/soak.h"

#include <stdlib.h>
#include <unistd.h>

#include "tests/support/server_clock.h"
#include "tests/support/testing.h"

enum { NODE_TIMEOUT_MS = 4000 };

const char *const soak_target_words[] = {"--appendonly", "yes", "--appendfsync", "no", NULL};

/* ---- clocks ---- */

void soak_set_clock(struct soak *s, size_t target, int64_t off_ms)
{
    server_clock_set(s->targets[target].clock, off_ms);
}

/* ---- a single target ---- */

void soak_start_target(struct soak *s)
{
    server_clock_load(&s->run.target);
    redis_restart(&s->run.target, soak_target_words);
    server_clock_unload();
}

static void begin_single(struct soak *s)
{
    s->targets[0].clock = server_clock_open(&s->run.target);
    soak_start_target(s);
    s->targets[0].link = proxy_start(s->run.target.port);
    soak_record(&s->run.target, "target");
}

/* ---- a cluster ---- */

uint16_t soak_proxy_port(const struct proxy *p)
{
    return (uint16_t)strtoul(strrchr(proxy_uri(p), ':') + 1, NULL, 10);
}

void soak_revive_node(struct soak *s, size_t member)
{
    struct server *server = &s->cluster.members[member].server;
    char *announce =
        format_text("CONFIG SET cluster-announce-port %u", soak_proxy_port(s->targets[member].link));
    server_clock_load(server);
    redis_cluster_revive(&s->cluster, member);
    server_clock_unload();
    server_tell(server->port, announce);
    free(announce);
}

void soak_begin_cluster(struct soak *s)
{
    struct redis_cluster_options o;
    redis_cluster_options_init(&o);
    o.replicas = 1;
    o.node_timeout_ms = NODE_TIMEOUT_MS;
    redis_cluster_start_with(&s->cluster, &o);
    for (size_t i = 0; i < s->cluster.count; i++) {
        const struct server *server = &s->cluster.members[i].server;
        s->targets[i].link = proxy_start(server->port);
        s->targets[i].clock = server_clock_open(server);
        redis_cluster_kill(&s->cluster, i);
        soak_revive_node(s, i);
    }
    if (!redis_cluster_wait_ok(&s->cluster) || !redis_cluster_wait_replicas(&s->cluster, 1))
        die("the cluster's replicas are not known to all");
}

void soak_begin_targets(struct soak *s)
{
    for (size_t i = 0; i < s->cluster.count; i++)
        soak_record(&s->cluster.members[i].server, "node");
    if (!s->in_cluster)
        begin_single(s);
}

void soak_end_targets(struct soak *s)
{
    for (size_t i = 0; i < SOAK_TARGETS; i++) {
        proxy_stop(s->targets[i].link);
        if (s->targets[i].clock >= 0)
            close(s->targets[i].clock);
    }
}
