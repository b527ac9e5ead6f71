/* The servers of the target, a single one or a cluster's nodes: each with a clock of its own that can be set, and
 * reached through a proxy of its own. A cluster's nodes announce the proxies as their addresses. */
#include "tests/soak/soak.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/support/testing.h"

enum { NODE_TIMEOUT_MS = 4000 };

const char *const soak_target_words[] = {"--appendonly", "yes", "--appendfsync", "no", NULL};

/* ---- clocks ---- */

void soak_set_clock(struct soak *s, size_t target, int64_t off_ms)
{
    if (pwrite(s->targets[target].clock, &off_ms, sizeof off_ms, 0) != sizeof off_ms)
        die("the target's clock cannot be set");
}

static char *clock_path(const struct server *server)
{
    return format_text("%s/clock", server->dir);
}

static void begin_clock(struct soak *s, size_t target, const struct server *server)
{
    char *path = clock_path(server);
    s->targets[target].clock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    soak_set_clock(s, target, 0);
    free(path);
}

/* What is started meanwhile has the server's clock. */
static void preload_clock(const struct server *server)
{
    char *here = getcwd(NULL, 0), *path = clock_path(server);
    char *library = format_text("%s/" DF2REDIS_BUILD_DIR "/tests/wrong_clock.so", here);
    setenv("WRONG_CLOCK", path, 1);
    setenv("LD_PRELOAD", library, 1);
    free(library);
    free(path);
    free(here);
}

static void end_preload(void)
{
    unsetenv("LD_PRELOAD");
}

/* ---- a single target ---- */

void soak_start_target(struct soak *s)
{
    preload_clock(&s->run.target);
    redis_restart(&s->run.target, soak_target_words);
    end_preload();
}

static void begin_single(struct soak *s)
{
    begin_clock(s, 0, &s->run.target);
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
    preload_clock(server);
    redis_cluster_revive(&s->cluster, member);
    end_preload();
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
        begin_clock(s, i, server);
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
