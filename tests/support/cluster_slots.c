/* Slots that move with their keys, one by one, as the cluster's specification says. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/support/cluster_internal.h"
#include "tests/support/testing.h"

enum { KEYS_AT_ONCE = 50, MIGRATE_TIMEOUT_MS = 60000 };

/* What moves a slot: a connection to every running member. */
struct hands {
    struct redis_cluster *c;
    redisContext *to[CLUSTER_MEMBERS];
};

static void hands_open(struct hands *h, struct redis_cluster *c)
{
    *h = (struct hands){.c = c};
    for (size_t i = 0; i < c->count; i++)
        if (redis_cluster_runs(c, i))
            h->to[i] = redis_cluster_connect(c, i);
}

static void hands_close(struct hands *h)
{
    for (size_t i = 0; i < CLUSTER_MEMBERS; i++)
        if (h->to[i])
            redisFree(h->to[i]);
}

static bool say(struct hands *h, size_t member, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static bool say(struct hands *h, size_t member, const char *format, ...)
{
    char words[160];
    va_list args;
    va_start(args, format);
    vsnprintf(words, sizeof words, format, args);
    va_end(args);
    redisReply *r = server_command(h->to[member], words);
    bool ok = r->type != REDIS_REPLY_ERROR;
    if (!ok)
        fprintf(stderr, "member %zu: %s: %s\n", member, words, r->str);
    freeReplyObject(r);
    return ok;
}

/* MIGRATE host port "" 0 timeout [AUTH password] KEYS … */
static bool migrate(struct hands *h, size_t from, size_t to, const redisReply *keys)
{
    const char *argv[KEYS_AT_ONCE + 10];
    size_t lengths[KEYS_AT_ONCE + 10];
    char port[8], timeout[16];
    snprintf(port, sizeof port, "%u", redis_cluster_peer_port(h->c, to));
    snprintf(timeout, sizeof timeout, "%d", MIGRATE_TIMEOUT_MS);
    const char *const head[] = {"MIGRATE", "127.0.0.1", port,           "",    "0",
                                timeout,   "AUTH",      h->c->password, "KEYS"};
    int argc = 0;
    for (size_t i = 0; i < sizeof head / sizeof *head; i++) {
        if ((i == 6 || i == 7) && !h->c->password)
            continue;
        argv[argc] = head[i];
        lengths[argc++] = strlen(head[i]);
    }
    for (size_t i = 0; i < keys->elements && i < KEYS_AT_ONCE; i++) {
        argv[argc] = keys->element[i]->str;
        lengths[argc++] = keys->element[i]->len;
    }
    redisReply *r = redisCommandArgv(h->to[from], argc, argv, lengths);
    bool ok = r && r->type == REDIS_REPLY_STATUS; /* NOKEY: somebody has deleted them meanwhile */
    if (!ok)
        fprintf(stderr, "MIGRATE from member %zu to %zu: %s\n", from, to, r ? r->str : h->to[from]->errstr);
    if (r)
        freeReplyObject(r);
    return ok;
}

/* So many at the most. */
static bool move_keys(struct hands *h, uint16_t slot, size_t from, size_t to, uint64_t most)
{
    while (most) {
        char words[64];
        unsigned n = most < KEYS_AT_ONCE ? (unsigned)most : KEYS_AT_ONCE;
        snprintf(words, sizeof words, "CLUSTER GETKEYSINSLOT %u %u", slot, n);
        redisReply *keys = server_command(h->to[from], words);
        bool over = keys->type != REDIS_REPLY_ARRAY || keys->elements == 0;
        bool ok = keys->type == REDIS_REPLY_ARRAY && (over || migrate(h, from, to, keys));
        freeReplyObject(keys);
        if (!ok || over)
            return ok;
        most -= n;
    }
    return true;
}

/* Everybody hears who serves it now: left to gossip, slots that move again soon are remembered differently by
 * different members for good. A replica takes no SETSLOT; it hears from its master. */
static bool tell_all(struct hands *h, uint16_t slot, size_t from, size_t to)
{
    const char *id = h->c->members[to].id;
    /* The new owner first: in between, both send clients to it. */
    if (!say(h, to, "CLUSTER SETSLOT %u NODE %s", slot, id))
        return false;
    /* One that gave its last slot away has become a replica of the new owner (6.2): it takes no SETSLOT. */
    for (size_t n = 0; n < h->c->count; n++) {
        size_t i = (from + n) % h->c->count;
        if (!h->to[i] || i == to)
            continue;
        char words[80];
        snprintf(words, sizeof words, "CLUSTER SETSLOT %u NODE %s", slot, id);
        freeReplyObject(server_command(h->to[i], words));
    }
    return true;
}

/* Does this line of CLUSTER NODES say that its node serves the slot, and since which epoch?
 * id address flags master ping pong config-epoch link slot … from-to … [slot->-id] */
static bool serves(char *line, uint16_t slot, uint64_t *epoch)
{
    enum { EPOCH = 6, SLOTS = 8 };
    char *rest = NULL;
    unsigned field = 0;
    for (char *word = strtok_r(line, " ", &rest); word; word = strtok_r(NULL, " ", &rest), field++) {
        if (field == EPOCH)
            *epoch = strtoull(word, NULL, 10);
        if (field < SLOTS || *word == '[')
            continue;
        char *dash;
        unsigned long from = strtoul(word, &dash, 10), to = *dash ? strtoul(dash + 1, NULL, 10) : from;
        if (slot >= from && slot <= to)
            return true;
    }
    return false;
}

struct agreement {
    struct hands *hands;
    uint16_t slot;
    const char *id;
};

/* As this member knows them; 0: another one serves the slot. */
static uint64_t epoch_of_owner(const struct agreement *a, size_t member)
{
    redisReply *r = server_command(a->hands->to[member], "CLUSTER NODES");
    uint64_t epoch = 0;
    char *rest = NULL;
    bool found = false;
    for (char *line = strtok_r(r->str, "\n", &rest); line && !found; line = strtok_r(NULL, "\n", &rest))
        found = strncmp(line, a->id, strlen(a->id)) == 0 && serves(line, a->slot, &epoch);
    freeReplyObject(r);
    return found ? epoch : 0;
}

static bool all_agree(void *arg)
{
    const struct agreement *a = arg;
    uint64_t first = 0;
    for (size_t i = 0; i < a->hands->c->count; i++) {
        uint64_t epoch = a->hands->to[i] ? epoch_of_owner(a, i) : first;
        if ((!epoch && a->hands->to[i]) || (first && epoch != first))
            return false;
        first = epoch;
    }
    return true;
}

static bool open_slot(struct hands *h, uint16_t slot, size_t from, size_t to)
{
    return say(h, to, "CLUSTER SETSLOT %u IMPORTING %s", slot, h->c->members[from].id) &&
           say(h, from, "CLUSTER SETSLOT %u MIGRATING %s", slot, h->c->members[to].id);
}

/* The next slot waits until all have heard of this one from its new owner, and of that one's new epoch. Two
 * masters that take slots in the same moment would take the same epoch, and whose word counts would be
 * chance; and a member that only was told may believe an old message of the old owner again, which that one's
 * next epoch makes true: then the slot goes back, and its keys do not. */
static bool move(struct hands *h, uint16_t slot, size_t from, size_t to)
{
    if (from == to)
        return true;
    if (from == CLUSTER_MEMBERS || !h->to[from] || !h->to[to]) {
        fprintf(stderr, "slot %u cannot be moved: its master or the new one does not run\n", slot);
        return false;
    }
    struct agreement all = {h, slot, h->c->members[to].id};
    bool ok = open_slot(h, slot, from, to) && move_keys(h, slot, from, to, UINT64_MAX) &&
              tell_all(h, slot, from, to);
    if (ok && !wait_until(all_agree, &all, CLUSTER_DEADLINE_MS)) {
        fprintf(stderr, "slot %u has moved to member %zu, and not all of them have heard of it\n", slot, to);
        ok = false;
    }
    return ok;
}

bool redis_cluster_move_slot(struct redis_cluster *c, uint16_t slot, size_t to)
{
    struct hands h;
    hands_open(&h, c);
    bool ok = move(&h, slot, redis_cluster_owner(c, slot), to);
    hands_close(&h);
    return ok;
}

bool redis_cluster_begin_slot(struct redis_cluster *c, uint16_t slot, size_t to, unsigned keys)
{
    struct hands h;
    size_t from = redis_cluster_owner(c, slot);
    hands_open(&h, c);
    bool ok = from != to && open_slot(&h, slot, from, to) && move_keys(&h, slot, from, to, keys);
    hands_close(&h);
    return ok;
}

bool redis_cluster_call_off_slot(struct redis_cluster *c, uint16_t slot, size_t to)
{
    struct hands h;
    hands_open(&h, c);
    bool ok = say(&h, redis_cluster_owner(c, slot), "CLUSTER SETSLOT %u STABLE", slot) &&
              say(&h, to, "CLUSTER SETSLOT %u STABLE", slot);
    hands_close(&h);
    return ok;
}

bool redis_cluster_take_slot(struct redis_cluster *c, uint16_t slot, size_t to)
{
    struct hands h;
    size_t from = redis_cluster_owner(c, slot);
    hands_open(&h, c);
    redisFree(h.to[from]);
    h.to[from] = NULL;
    bool ok = say(&h, to, "CLUSTER SETSLOT %u IMPORTING %s", slot, c->members[from].id) &&
              tell_all(&h, slot, from, to);
    hands_close(&h);
    return ok;
}

uint64_t redis_cluster_keys_in_slot(struct redis_cluster *c, uint16_t slot, size_t member)
{
    char words[64];
    redisContext *connection = redis_cluster_connect(c, member);
    snprintf(words, sizeof words, "CLUSTER COUNTKEYSINSLOT %u", slot);
    redisReply *r = server_command(connection, words);
    uint64_t keys = r->type == REDIS_REPLY_INTEGER ? (uint64_t)r->integer : UINT64_MAX;
    freeReplyObject(r);
    redisFree(connection);
    return keys;
}

bool redis_cluster_move_slots(struct redis_cluster *c, size_t from, size_t to, unsigned slots)
{
    struct topology t = {0};
    struct hands h;
    bool ok = redis_cluster_topology(c, &t);
    hands_open(&h, c);
    for (unsigned s = 0; ok && slots && s < CLUSTER_SLOTS; s++) {
        if (t.owner[s] == TOPOLOGY_NOBODY || strcmp(t.nodes[t.owner[s]].id, c->members[from].id) != 0)
            continue;
        ok = move(&h, (uint16_t)s, from, to);
        slots--;
    }
    hands_close(&h);
    topology_free(&t);
    return ok && slots == 0 && redis_cluster_wait_ok(c);
}

/* ---- redis-cli ---- */

bool redis_cluster_cli_available(void)
{
    const char *const argv[] = {"redis-cli", "--version", NULL};
    return process_run(argv, CLUSTER_DEADLINE_MS, NULL) == 0;
}

bool redis_cluster_reshard(struct redis_cluster *c, size_t from, size_t to, unsigned slots)
{
    char *node = format_text("127.0.0.1:%u", c->members[to].server.port), *count = format_text("%u", slots);
    char *said = NULL;
    const char *argv[] = {"redis-cli",       "--cluster",
                          "reshard",         node,
                          "--cluster-from",  c->members[from].id,
                          "--cluster-to",    c->members[to].id,
                          "--cluster-slots", count,
                          "--cluster-yes",   c->password ? "-a" : NULL,
                          c->password,       NULL};
    int status = process_run(argv, 4 * CLUSTER_DEADLINE_MS, &said);
    if (status != 0)
        fprintf(stderr, "redis-cli --cluster reshard ended with %d:\n%s\n", status, said);
    free(node);
    free(count);
    free(said);
    return status == 0 && redis_cluster_wait_ok(c);
}

/* ---- without end ---- */

struct redis_cluster_mover {
    struct hands hands;
    struct random random;
    uint16_t *slots;
    size_t count, masters[CLUSTER_MEMBERS], master_count;
    pthread_t thread;
    uint16_t owner[CLUSTER_SLOTS]; /* member */
    atomic_bool stop, broken;
    atomic_uint_least64_t moved;
};

static void *move_on(void *arg)
{
    struct redis_cluster_mover *m = arg;
    while (!atomic_load(&m->stop)) {
        uint64_t at = random_below(&m->random, m->slots ? m->count : CLUSTER_SLOTS);
        uint16_t slot = m->slots ? m->slots[at] : (uint16_t)at;
        size_t to = m->masters[random_below(&m->random, m->master_count)];
        if (to == m->owner[slot])
            continue;
        if (!move(&m->hands, slot, m->owner[slot], to)) {
            atomic_store(&m->broken, true);
            break;
        }
        m->owner[slot] = (uint16_t)to;
        atomic_fetch_add(&m->moved, 1);
    }
    return NULL;
}

struct redis_cluster_mover *redis_cluster_mover_start(struct redis_cluster *c, uint64_t seed,
                                                      const uint16_t *slots, size_t count)
{
    struct redis_cluster_mover *m = x_calloc(1, sizeof *m);
    struct topology t = {0};
    m->random.state = seed;
    if (slots) {
        m->slots = x_calloc(count, sizeof *slots);
        memcpy(m->slots, slots, count * sizeof *slots);
        m->count = count;
    }
    if (!redis_cluster_topology(c, &t) || t.served != CLUSTER_SLOTS)
        die("slots that nobody serves cannot be moved");
    for (size_t node = 0; node < t.count; node++)
        for (size_t i = 0; i < c->count; i++)
            if (!c->members[i].removed && strcmp(c->members[i].id, t.nodes[node].id) == 0)
                m->masters[m->master_count++] = i;
    if (m->master_count != t.count || t.count < 2)
        die("slots cannot be moved between fewer than two masters");
    for (unsigned s = 0; s < CLUSTER_SLOTS; s++)
        m->owner[s] = (uint16_t)m->masters[t.owner[s]];
    topology_free(&t);
    hands_open(&m->hands, c);
    if (pthread_create(&m->thread, NULL, move_on, m) != 0)
        die("no thread");
    return m;
}

uint64_t redis_cluster_mover_progress(struct redis_cluster_mover *m)
{
    return atomic_load(&m->moved);
}

uint64_t redis_cluster_mover_stop(struct redis_cluster_mover *m)
{
    atomic_store(&m->stop, true);
    pthread_join(m->thread, NULL);
    uint64_t moved = atomic_load(&m->broken) ? 0 : atomic_load(&m->moved);
    hands_close(&m->hands);
    free(m->slots);
    free(m);
    return moved;
}
