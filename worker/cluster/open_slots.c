/* Open slots: a resharding has begun to move them, and has not ended, or was aborted.
 *
 *   MIGRATING (the owner)                          IMPORTING
 *   serves the keys it has, ASK for the others     serves commands after ASKING
 *
 * The run waits for a slot that is open for a moment, as with every MOVED. A slot that stays open must not stop the
 * run: the remaining keys of its owner are moved, as the resharding would do. From then on the importing node counts as
 * the master of the slot, with ASKING before every batch, until the topology names an owner.
 *
 *   met ──1 s──> probed ──ASK──> its keys are moved ──none left──> served ──importer is owner──> over
 *                  └─ no ASK: over                                   └─ no ASK any more: a full sync
 *
 * The probe asks the owner for a key that never exists. If it answers without ASK after the slot was served, the
 * migration was cancelled: no node serves the writes that went to the importing node.
 *
 * A slot that is served after ASKING gets one entry a round, in a MULTI for each key: an importing node refuses
 * (TRYAGAIN) commands that name two keys of which one is missing. Commands with several keys that may run twice are
 * split. RENAME and SMOVE run key by key (cross_slot.c). Other commands with several keys wait until all of these exist
 * there, or the migration has ended.
 *
 * MIGRATE leaves out keys past their TTL, and answers OK all the same. A master in import mode keeps such keys for this
 * run: there their expiry is put off a little before they are moved, and nothing is moved if that is refused. The
 * source sends their DEL or their new expiry. */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/log/log.h"
#include "worker/cluster/cluster.h"
#include "worker/link/mark_text.h"

enum {
    PATIENCE_MS = 1000,
    FORGET_MS = 5000,
    REFUSED_WAIT_MS = 10000,
    MIGRATE_TIMEOUT_MS = 60000,
    MIGRATE_ANSWER_MS = 2 * MIGRATE_TIMEOUT_MS,
    KEYS_AT_ONCE = 10,
    NOKEY_MAX = 20,
    PUT_OFF_MS = 5000, /* longer than the time from PEXPIRE to the MIGRATE after its answer */
};

/* The open slot that is probed, or whose keys are moved, now. */
struct open_slot_work {
    struct client *client; /* to the owner */
    uint16_t slot;
    char owner[41];
    struct uri to;
    char to_id[41];
    uint64_t keys;    /* number of keys moved */
    unsigned nokey;   /* NOKEY answers in a row */
    struct buf names; /* of the keys in the present MIGRATE, concatenated */
    size_t lens[KEYS_AT_ONCE];
    size_t count, answered; /* number of them; of answers to PEXPIRE */
    char refused[200];      /* an error that answered PEXPIRE */
};

static struct open_slot *find_open_slot(const struct cluster *c, uint16_t slot)
{
    for (size_t i = 0; i < c->open_slot_count; i++)
        if (c->open_slots[i].slot == slot)
            return &c->open_slots[i];
    return NULL;
}

static void forget_open_slot(struct cluster *c, struct open_slot *o)
{
    c->by_asking[o->slot] = 0;
    *o = c->open_slots[--c->open_slot_count];
}

void cluster_open_slot_met(struct cluster *c, uint16_t slot)
{
    uint64_t now = clock_monotonic_ms();
    struct open_slot *o = find_open_slot(c, slot);
    if (!o) {
        c->open_slots = x_realloc(c->open_slots, (c->open_slot_count + 1) * sizeof *c->open_slots);
        o = &c->open_slots[c->open_slot_count++];
        *o = (struct open_slot){.slot = slot, .met_first_ms = now};
    } else if (!o->served && now - o->met_last_ms > FORGET_MS) {
        o->met_first_ms = now;
    }
    o->met_last_ms = now;
    o->doubted = true;
}

void cluster_open_slot_doubt(struct cluster *c, uint16_t slot)
{
    if (c->by_asking[slot])
        cluster_open_slot_met(c, slot);
}

bool router_key_by_key(const struct router *r, uint16_t slot)
{
    return r->cluster && r->cluster->by_asking[slot];
}

void cluster_open_slots_apply(struct cluster *c, struct topology *t)
{
    for (size_t i = c->open_slot_count; i-- > 0;) {
        struct open_slot *o = &c->open_slots[i];
        if (!o->served)
            continue;
        const char *owner = t->nodes[t->owner[o->slot]].id;
        size_t to = topology_find(t, o->to);
        c->by_asking[o->slot] = 0;
        if (strcmp(owner, o->to) == 0) {
            log_info("slot %u: its migration has ended", (unsigned)o->slot);
            forget_open_slot(c, o);
        } else if (strcmp(owner, o->from) == 0 && to != TOPOLOGY_NOBODY) {
            topology_give(t, o->slot, to);
            c->by_asking[o->slot] = 1;
        } else {
            o->doubted = true;
        }
    }
}

/* ---- the end of the work on a slot ---- */

static void end_work(struct cluster *c)
{
    struct open_slot_work *w = c->open_slot_work;
    c->open_slot_work = NULL;
    if (!w)
        return;
    client_free(w->client);
    uri_free(&w->to);
    buf_free(&w->names);
    free(w);
}

void cluster_open_slots_free(struct cluster *c)
{
    end_work(c);
    free(c->open_slots);
}

static void work_done(struct cluster *c)
{
    end_work(c);
    if (!c->ready)
        cluster_proceed(c);
    else
        cluster_open_slots_settled(c);
}

static void work_failed(struct cluster *c, struct error *error)
{
    end_work(c);
    cluster_wait(c, error);
}

static void migration_cancelled(struct cluster *c, struct open_slot *o)
{
    struct error error;
    error_set(&error, ERROR_REDIRECT,
              "slot %u was migrating from node %.8s to %.8s, which took its writes, and the migration was "
              "cancelled: these writes are lost; a full sync is needed",
              (unsigned)o->slot, o->from, o->to);
    forget_open_slot(c, o);
    end_work(c);
    c->router->callbacks.lost(c->router->callbacks.arg, &error);
}

/* ---- moving its keys ---- */

static void ask_keys(struct cluster *c);

/* Tries again after 10 s. */
static void retry_later(struct cluster *c, const char *what, const char *answer)
{
    struct open_slot_work *w = c->open_slot_work;
    struct open_slot *o = find_open_slot(c, w->slot);
    log_warning(
        "slot %u stays open between two nodes, and its keys cannot be moved to %s:%u: %s is answered %.200s; "
        "everything is kept until its migration ends: end it by redis-cli --cluster fix",
        (unsigned)w->slot, w->to.host, (unsigned)w->to.port, what, answer);
    if (o)
        o->retry_ms = clock_monotonic_ms() + REFUSED_WAIT_MS;
    work_done(c);
}

static void on_migrated(struct client *client, const redisReply *reply, void *arg)
{
    (void)client;
    struct cluster *c = arg;
    struct open_slot_work *w = c->open_slot_work;
    w->nokey = reply->type == REDIS_REPLY_STATUS && strcmp(reply->str, "NOKEY") == 0 ? w->nokey + 1 : 0;
    if (reply->type != REDIS_REPLY_ERROR && w->nokey < NOKEY_MAX)
        ask_keys(c);
    else
        retry_later(c, "MIGRATE", reply->str);
}

static void take_key_names(struct open_slot_work *w, const redisReply *keys)
{
    buf_clear(&w->names);
    w->count = keys->elements < KEYS_AT_ONCE ? keys->elements : KEYS_AT_ONCE;
    for (size_t i = 0; i < w->count; i++) {
        w->lens[i] = (size_t)keys->element[i]->len;
        buf_put(&w->names, keys->element[i]->str, w->lens[i]);
    }
}

/* Returns their number. */
static size_t put_key_names(const struct open_slot_work *w, struct slice *argv)
{
    size_t at = 0;
    for (size_t i = 0; i < w->count; i++) {
        argv[i] = slice_of(w->names.data + at, w->lens[i]);
        at += w->lens[i];
    }
    return w->count;
}

/* MIGRATE host port "" 0 timeout [AUTH password | AUTH2 user password] KEYS key … */
static void migrate_keys(struct cluster *c)
{
    struct open_slot_work *w = c->open_slot_work;
    char port[8], timeout[12];
    snprintf(port, sizeof port, "%u", (unsigned)w->to.port);
    snprintf(timeout, sizeof timeout, "%d", MIGRATE_TIMEOUT_MS);
    const char *words[] = {"MIGRATE", w->to.host, port, "", "0", timeout};
    struct slice argv[KEYS_AT_ONCE + 10];
    size_t argc = 0;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        argv[argc++] = slice_str(words[i]);
    if (w->to.user || w->to.password) {
        argv[argc++] = slice_str(w->to.user ? "AUTH2" : "AUTH");
        if (w->to.user)
            argv[argc++] = slice_str(w->to.user);
        argv[argc++] = slice_str(w->to.password ? w->to.password : "");
    }
    argv[argc++] = slice_str("KEYS");
    argc += put_key_names(w, argv + argc);
    w->keys += w->count;
    client_command(w->client, MIGRATE_ANSWER_MS, on_migrated, c, argc, argv);
}

/* ASK or MOVED: the key has left this node. */
static bool expiry_is_put_off(const redisReply *reply)
{
    return reply->type != REDIS_REPLY_ERROR || strncmp(reply->str, "ASK ", 4) == 0 ||
           strncmp(reply->str, "MOVED ", 6) == 0;
}

static void on_expiry_put_off(struct client *client, const redisReply *reply, void *arg)
{
    (void)client;
    struct cluster *c = arg;
    struct open_slot_work *w = c->open_slot_work;
    if (!expiry_is_put_off(reply))
        snprintf(w->refused, sizeof w->refused, "%s", reply->str);
    if (++w->answered < w->count)
        return;
    if (w->refused[0])
        retry_later(c, "PEXPIRE, without which MIGRATE would leave out keys past their TTL,", w->refused);
    else
        migrate_keys(c);
}

/* PEXPIRE key ms GT for each key: a key without an expiry stays without. */
static void put_off_expiry(struct cluster *c)
{
    struct open_slot_work *w = c->open_slot_work;
    struct slice names[KEYS_AT_ONCE];
    char ms[12];
    size_t count = put_key_names(w, names);
    snprintf(ms, sizeof ms, "%d", PUT_OFF_MS);
    w->answered = 0;
    for (size_t i = 0; i < count; i++) {
        struct slice argv[] = {slice_str("PEXPIRE"), names[i], slice_str(ms), slice_str("GT")};
        client_command(w->client, MARK_ANSWER_TIMEOUT_MS, on_expiry_put_off, c, 4, argv);
    }
}

static void serve_by_asking(struct cluster *c, struct open_slot *o)
{
    struct open_slot_work *w = c->open_slot_work;
    log_warning(
        "slot %u stays open between two nodes: its remaining %llu keys are moved, and %s:%u serves it while "
        "importing it; end its migration by redis-cli --cluster fix",
        (unsigned)o->slot, (unsigned long long)w->keys, w->to.host, (unsigned)w->to.port);
    o->served = true;
    o->doubted = false;
    snprintf(o->from, sizeof o->from, "%s", w->owner);
    snprintf(o->to, sizeof o->to, "%s", w->to_id);
    end_work(c);
    cluster_refresh_soon(c);
}

static void on_keys(struct client *client, const redisReply *reply, void *arg)
{
    struct cluster *c = arg;
    struct open_slot *o = find_open_slot(c, c->open_slot_work->slot);
    struct error error;
    bool strings = reply->type == REDIS_REPLY_ARRAY;
    for (size_t i = 0; strings && i < reply->elements; i++)
        strings = reply->element[i]->type == REDIS_REPLY_STRING;
    if (!strings || !o) {
        error_set(&error, ERROR_RETRY,
                  "the keys of an open slot cannot be listed: CLUSTER GETKEYSINSLOT is answered %.200s",
                  reply->type == REDIS_REPLY_ERROR ? reply->str : "something unexpected");
        work_failed(c, &error);
    } else if (reply->elements) {
        take_key_names(c->open_slot_work, reply);
        if (client_is_import_source(client))
            put_off_expiry(c);
        else
            migrate_keys(c);
    } else {
        serve_by_asking(c, o);
    }
}

static void ask_keys(struct cluster *c)
{
    char slot[8], most[8];
    snprintf(slot, sizeof slot, "%u", (unsigned)c->open_slot_work->slot);
    snprintf(most, sizeof most, "%d", KEYS_AT_ONCE);
    client_words(c->open_slot_work->client, MARK_ANSWER_TIMEOUT_MS, on_keys, c, "CLUSTER", "GETKEYSINSLOT",
                 slot, most, NULL);
}

/* ---- the probe ---- */

static void on_probe_ask(struct cluster *c, struct open_slot *o, const struct uri *to)
{
    struct open_slot_work *w = c->open_slot_work;
    size_t node = cluster_find_address(c, to);
    bool same = o->served && node != TOPOLOGY_NOBODY && strcmp(c->topology.nodes[node].id, o->to) == 0;
    if (same) {
        bool applied = c->by_asking[o->slot];
        o->doubted = false;
        snprintf(o->from, sizeof o->from, "%s", w->owner);
        if (applied) {
            work_done(c);
            return;
        }
        end_work(c);
        cluster_refresh_soon(c);
    } else if (o->served) {
        migration_cancelled(c, o);
    } else if (node == TOPOLOGY_NOBODY || !c->nodes[node]->ready || !c->nodes[node]->target.scripts) {
        log_warning(
            "slot %u stays open between two nodes, and its importing node %s:%u is not a known master; "
            "everything is kept until its migration ends: end it by redis-cli --cluster fix",
            (unsigned)o->slot, to->host, (unsigned)to->port);
        o->retry_ms = clock_monotonic_ms() + REFUSED_WAIT_MS;
        work_done(c);
    } else {
        uri_copy(&w->to, to);
        snprintf(w->to_id, sizeof w->to_id, "%s", c->topology.nodes[node].id);
        ask_keys(c);
    }
}

static void on_probe_answer(struct client *client, const redisReply *reply, void *arg)
{
    (void)client;
    struct cluster *c = arg;
    struct open_slot *o = find_open_slot(c, c->open_slot_work->slot);
    struct uri to = {0};
    struct error error;
    if (!o) {
        work_done(c);
    } else if (cluster_read_ask(c, reply, &to)) {
        on_probe_ask(c, o, &to);
        uri_free(&to);
    } else if (reply->type == REDIS_REPLY_INTEGER && o->served) {
        migration_cancelled(c, o);
    } else if (reply->type == REDIS_REPLY_INTEGER) {
        forget_open_slot(c, o);
        work_done(c);
    } else {
        if (!o->served)
            forget_open_slot(c, o);
        error_set(&error, ERROR_RETRY, "an open slot cannot be probed: EXISTS is answered %.200s",
                  reply->type == REDIS_REPLY_ERROR ? reply->str : "something unexpected");
        work_failed(c, &error);
    }
}

static void on_owner_ready(struct client *client, void *arg)
{
    struct cluster *c = arg;
    char key[SLOT_KEY_BYTES];
    slot_probe_key(key, sizeof key, c->router->config.settings->name, c->open_slot_work->slot);
    client_words(client, MARK_ANSWER_TIMEOUT_MS, on_probe_answer, c, "EXISTS", key, NULL);
}

static void on_owner_failed(struct client *client, const struct error *error, void *arg)
{
    (void)client;
    struct cluster *c = arg;
    struct error copy = *error;
    work_failed(c, &copy);
}

static void begin_work(struct cluster *c, const struct open_slot *o)
{
    struct error error;
    struct client_callbacks on = {c, on_owner_ready, on_owner_failed};
    size_t owner = c->by_asking[o->slot] ? topology_find(&c->topology, o->from) : c->topology.owner[o->slot];
    struct open_slot_work *w = x_calloc(1, sizeof *w);
    c->open_slot_work = w;
    w->slot = o->slot;
    snprintf(w->owner, sizeof w->owner, "%s", c->topology.nodes[owner].id);
    w->client = client_connect(c->router->base, &c->nodes[owner]->uri, c->router->config.settings, "target",
                               &on, &error);
    if (!w->client)
        work_failed(c, &error);
}

bool cluster_open_slots_settled(struct cluster *c)
{
    uint64_t now = clock_monotonic_ms();
    if (c->open_slot_work)
        return false;
    for (size_t i = c->open_slot_count; i-- > 0;) {
        struct open_slot *o = &c->open_slots[i];
        bool stays = !o->served && !c->ready && o->met_last_ms - o->met_first_ms >= PATIENCE_MS &&
                     now >= o->retry_ms && c->nodes[c->topology.owner[o->slot]]->target.scripts;
        if ((o->served && o->doubted) || stays) {
            begin_work(c, o);
            return false;
        }
        if (!o->served && now - o->met_last_ms > FORGET_MS)
            forget_open_slot(c, o);
    }
    return true;
}

void cluster_open_slots_check(struct cluster *c)
{
    for (size_t i = 0; i < c->open_slot_count; i++)
        c->open_slots[i].doubted |= c->open_slots[i].served;
    cluster_open_slots_settled(c);
}
