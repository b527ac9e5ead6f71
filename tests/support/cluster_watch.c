/* What a cluster's members say of each other and of their clients. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/support/cluster.h"
#include "tests/support/testing.h"

struct watch {
    struct redis_cluster *c;
    size_t member;
    const char *text;
    uint64_t calls;
};

/* In the other's own line: its id stands in that of a member whose slot is on its way to it, too. */
static bool is_listed(void *arg)
{
    const struct watch *w = arg;
    redisContext *connection = redis_cluster_connect(w->c, 0);
    redisReply *r = server_command(connection, "CLUSTER NODES");
    bool found = false;
    char *rest = r->str;
    for (char *line; !found && (line = strsep(&rest, "\n"));)
        found = strncmp(line, w->c->members[w->member].id, 40) == 0 && strstr(line, w->text);
    freeReplyObject(r);
    redisFree(connection);
    return found;
}

bool redis_cluster_wait_listed(struct redis_cluster *c, size_t member, const char *text)
{
    struct watch w = {.c = c, .member = member, .text = text};
    return wait_until(is_listed, &w, CLUSTER_DEADLINE_MS);
}

uint64_t redis_cluster_asked(struct redis_cluster *c)
{
    uint64_t calls = 0;
    for (size_t i = 0; i < c->masters; i++) {
        redisContext *connection = redis_cluster_connect(c, i);
        redisReply *r = server_command(connection, "INFO commandstats");
        for (const char *at = r->str; (at = strstr(at, "cmdstat_cluster")); at++)
            calls += strtoull(strstr(at, "calls=") + strlen("calls="), NULL, 10);
        freeReplyObject(r);
        redisFree(connection);
    }
    return calls;
}

static bool was_asked(void *arg)
{
    const struct watch *w = arg;
    return redis_cluster_asked(w->c) >= w->calls;
}

bool redis_cluster_wait_asked(struct redis_cluster *c, uint64_t times)
{
    struct watch w = {.c = c, .calls = times};
    return wait_until(was_asked, &w, CLUSTER_DEADLINE_MS);
}

static bool has_client(void *arg)
{
    const struct watch *w = arg;
    char *wanted = format_text(" name=%s ", w->text);
    redisContext *connection = redis_cluster_connect(w->c, w->member);
    redisReply *r = server_command(connection, "CLIENT LIST");
    bool found = strstr(r->str, wanted) != NULL;
    freeReplyObject(r);
    redisFree(connection);
    free(wanted);
    return found;
}

bool redis_cluster_wait_client(struct redis_cluster *c, size_t member, const char *name)
{
    struct watch w = {.c = c, .member = member, .text = name};
    return wait_until(has_client, &w, CLUSTER_DEADLINE_MS);
}

/* "id=12 addr=127.0.0.1:36218 … name=df2redis:default:flow-0 …" */
bool redis_cluster_cut(struct redis_cluster *c, size_t member, const char *name)
{
    char words[40], *wanted = format_text(" name=%s ", name);
    redisContext *connection = redis_cluster_connect(c, member);
    redisReply *r = server_command(connection, "CLIENT LIST");
    char *rest = r->str;
    unsigned cut = 0;
    for (char *line; (line = strsep(&rest, "\n"));) {
        if (!strstr(line, wanted))
            continue;
        snprintf(words, sizeof words, "CLIENT KILL ID %ld", strtol(line + strlen("id="), NULL, 10));
        server_ok(connection, words);
        cut++;
    }
    freeReplyObject(r);
    redisFree(connection);
    free(wanted);
    return cut == 1;
}
