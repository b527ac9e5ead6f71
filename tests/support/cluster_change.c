/* Members that die, come back, are added and removed. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/support/cluster_internal.h"
#include "tests/support/testing.h"

void redis_cluster_kill(struct redis_cluster *c, size_t member)
{
    struct process *p = &c->members[member].server.process;
    process_signal(p, SIGKILL);
    if (process_wait(p, CLUSTER_DEADLINE_MS) < 0)
        die("member %zu of the cluster cannot be killed", member);
}

struct succession {
    struct redis_cluster *c;
    const char *id;
};

static bool serves_nothing(void *arg)
{
    struct succession *s = arg;
    struct topology t = {0};
    bool nothing = redis_cluster_topology(s->c, &t) && t.served == CLUSTER_SLOTS;
    for (size_t i = 0; nothing && i < t.count; i++)
        nothing = strcmp(t.nodes[i].id, s->id) != 0;
    topology_free(&t);
    return nothing;
}

bool redis_cluster_wait_promoted(struct redis_cluster *c, size_t member)
{
    struct succession s = {c, c->members[member].id};
    if (wait_until(serves_nothing, &s, CLUSTER_DEADLINE_MS))
        return redis_cluster_wait_ok(c);
    fprintf(stderr, "nobody takes over what member %zu served\n", member);
    return false;
}

void redis_cluster_revive(struct redis_cluster *c, size_t member)
{
    redis_cluster_words(c, member);
    redis_restart(&c->members[member].server, c->words);
    if (!c->password)
        return;
    redisContext *connection = server_connect(c->members[member].server.port);
    char *words[2] = {format_text("CONFIG SET masterauth %s", c->password),
                      format_text("CONFIG SET requirepass %s", c->password)};
    for (int i = 0; i < 2; i++) {
        server_ok(connection, words[i]);
        free(words[i]);
    }
    redisFree(connection);
}

size_t redis_cluster_add(struct redis_cluster *c, size_t of)
{
    size_t member = redis_cluster_start_member(c, 0);
    redis_cluster_introduce(c);
    if (of < CLUSTER_MEMBERS)
        redis_cluster_make_replica(c, member, of);
    if (!redis_cluster_wait_ok(c))
        die("the new member of the cluster is not taken");
    return member;
}

bool redis_cluster_empty(struct redis_cluster *c, size_t member)
{
    struct topology t = {0};
    uint16_t slots[CLUSTER_SLOTS];
    size_t n = 0, others[CLUSTER_MEMBERS], other_count = 0;
    if (!redis_cluster_topology(c, &t))
        return false;
    for (size_t node = 0; node < t.count; node++)
        for (size_t i = 0; i < c->count; i++)
            if (i != member && redis_cluster_runs(c, i) && strcmp(c->members[i].id, t.nodes[node].id) == 0)
                others[other_count++] = i;
    for (unsigned s = 0; s < CLUSTER_SLOTS; s++)
        if (t.owner[s] != TOPOLOGY_NOBODY && strcmp(t.nodes[t.owner[s]].id, c->members[member].id) == 0)
            slots[n++] = (uint16_t)s;
    topology_free(&t);
    bool ok = other_count > 0;
    for (size_t i = 0; ok && i < n; i++)
        ok = redis_cluster_move_slot(c, slots[i], others[i % other_count]);
    return ok && redis_cluster_wait_ok(c);
}

struct forgetting {
    struct redis_cluster *c;
    size_t who;
    const char *id;
};

/* A node that still counts the other as its master refuses; one that never knew it has nothing to forget. */
static bool forgets(void *arg)
{
    struct forgetting *f = arg;
    char *words = format_text("CLUSTER FORGET %s", f->id);
    redisContext *connection = redis_cluster_connect(f->c, f->who);
    redisReply *r = server_command(connection, words);
    bool ok = r->type == REDIS_REPLY_STATUS || strstr(r->str, "Unknown node");
    freeReplyObject(r);
    redisFree(connection);
    free(words);
    return ok;
}

/* With all that it serves gone first; stopped before it is forgotten, since its gossip would bring it back.
 */
bool redis_cluster_remove(struct redis_cluster *c, size_t member)
{
    if (!redis_cluster_empty(c, member))
        return false;
    redis_cluster_kill(c, member);
    for (size_t i = 0; i < c->count; i++) {
        struct forgetting f = {c, i, c->members[member].id};
        if (redis_cluster_runs(c, i) && !wait_until(forgets, &f, CLUSTER_DEADLINE_MS))
            return false;
    }
    server_stop(&c->members[member].server);
    c->members[member].removed = true;
    return redis_cluster_wait_ok(c);
}

/* ---- beside the test ---- */

struct redis_cluster_work {
    bool (*work)(void *arg);
    void *arg;
    pthread_t thread;
    bool result;
    atomic_bool done;
};

static void *do_work(void *arg)
{
    struct redis_cluster_work *w = arg;
    w->result = w->work(w->arg);
    atomic_store(&w->done, true);
    return NULL;
}

struct redis_cluster_work *redis_cluster_work_begin(bool (*work)(void *arg), void *arg)
{
    struct redis_cluster_work *w = x_calloc(1, sizeof *w);
    w->work = work;
    w->arg = arg;
    if (pthread_create(&w->thread, NULL, do_work, w) != 0)
        die("no thread");
    return w;
}

bool redis_cluster_work_done(struct redis_cluster_work *w)
{
    return atomic_load(&w->done);
}

bool redis_cluster_work_end(struct redis_cluster_work *w)
{
    pthread_join(w->thread, NULL);
    bool result = w->result;
    free(w);
    return result;
}

/* ---- replicas that all know ---- */

struct listing {
    struct redis_cluster *c;
    unsigned replicas; /* of each master */
};

static bool all_list_them(void *arg)
{
    struct listing *l = arg;
    bool ok = true;
    for (size_t i = 0; ok && i < l->c->count; i++) {
        struct topology t = {0};
        if (!redis_cluster_runs(l->c, i))
            continue;
        ok = redis_cluster_slots_of(l->c, i, &t);
        for (size_t n = 0; ok && n < t.count; n++)
            ok = t.nodes[n].replicas == l->replicas;
        topology_free(&t);
    }
    return ok;
}

bool redis_cluster_wait_replicas(struct redis_cluster *c, unsigned replicas)
{
    struct listing l = {c, replicas};
    return wait_until(all_list_them, &l, CLUSTER_DEADLINE_MS);
}
