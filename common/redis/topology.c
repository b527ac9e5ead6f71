/* CLUSTER SLOTS and CLUSTER NODES into a table of slots; keys into slots. */
#include "common/redis/topology.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/crc.h"

/* ---- keys ---- */

uint16_t key_slot(struct slice key)
{
    const uint8_t *open = key.len ? memchr(key.data, '{', key.len) : NULL;
    if (open) {
        size_t rest = key.len - (size_t)(open + 1 - key.data);
        const uint8_t *close = memchr(open + 1, '}', rest);
        if (close && close > open + 1)
            return crc16(open + 1, (size_t)(close - open - 1)) % CLUSTER_SLOTS;
    }
    return crc16(key.data, key.len) % CLUSTER_SLOTS;
}

enum { TAG_BYTES = 4 }; /* three characters are enough for every slot */

/* Writes number n in the digits 0-9a-zA-Z. */
static size_t tag_text(unsigned n, char *out)
{
    static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    size_t len = 0;
    for (; len == 0 || n; n /= sizeof digits - 1)
        out[len++] = digits[n % (sizeof digits - 1)];
    return len;
}

const char *slot_tag(uint16_t slot)
{
    static char tags[CLUSTER_SLOTS][TAG_BYTES];
    static bool filled;
    for (unsigned n = 0, missing = CLUSTER_SLOTS; !filled && missing; n++) {
        char text[8];
        size_t len = tag_text(n, text);
        char *tag = tags[crc16(text, len) % CLUSTER_SLOTS];
        if (*tag)
            continue;
        memcpy(tag, text, len);
        missing--;
    }
    filled = true;
    return tags[slot % CLUSTER_SLOTS];
}

void slot_mark_key(char *out, size_t out_bytes, const char *name, uint16_t slot)
{
    snprintf(out, out_bytes, "df2redis:%s:{%s}", name, slot_tag(slot));
}

void slot_probe_key(char *out, size_t out_bytes, const char *name, uint16_t slot)
{
    snprintf(out, out_bytes, "df2redis:%s:{%s}:probe", name, slot_tag(slot));
}

/* ---- nodes ---- */

void topology_free(struct topology *t)
{
    free(t->nodes);
    *t = (struct topology){0};
}

/* Copies a name from the target's reply; false if it contains a blank or a control character, or does not fit. */
static bool read_word(const redisReply *r, char *out, size_t out_bytes)
{
    if (r->type != REDIS_REPLY_STRING || r->len == 0 || (size_t)r->len >= out_bytes)
        return false;
    for (size_t i = 0; i < (size_t)r->len; i++)
        if (r->str[i] <= ' ' || r->str[i] == 0x7f)
            return false;
    memcpy(out, r->str, (size_t)r->len);
    out[r->len] = '\0';
    return true;
}

static bool read_node(const redisReply *r, const struct uri *asked, struct topology_node *out)
{
    if (r->type != REDIS_REPLY_ARRAY || r->elements < 3 || r->element[1]->type != REDIS_REPLY_INTEGER ||
        r->element[1]->integer <= 0 || r->element[1]->integer > UINT16_MAX ||
        !read_word(r->element[2], out->id, sizeof out->id))
        return false;
    /* Nil, empty or "?": reach it as the one that was asked. */
    if (!read_word(r->element[0], out->host, sizeof out->host) || strcmp(out->host, "?") == 0)
        snprintf(out->host, sizeof out->host, "%s", asked->host);
    out->port = (uint16_t)r->element[1]->integer;
    return true;
}

static size_t find_or_add(struct topology *t, const struct topology_node *node)
{
    for (size_t i = 0; i < t->count; i++)
        if (strcmp(t->nodes[i].id, node->id) == 0)
            return i;
    t->nodes = x_realloc(t->nodes, (t->count + 1) * sizeof *t->nodes);
    t->nodes[t->count] = *node;
    t->nodes[t->count].slots = 0;
    return t->count++;
}

static bool read_range(struct topology *t, const redisReply *r, const struct uri *asked)
{
    struct topology_node node = {0};
    if (r->type != REDIS_REPLY_ARRAY || r->elements < 3 || r->element[0]->type != REDIS_REPLY_INTEGER ||
        r->element[1]->type != REDIS_REPLY_INTEGER || !read_node(r->element[2], asked, &node))
        return false;
    long long first = r->element[0]->integer, last = r->element[1]->integer;
    if (first < 0 || last < first || last >= CLUSTER_SLOTS)
        return false;
    node.replicas = (uint32_t)r->elements - 3;
    size_t at = find_or_add(t, &node);
    if (at >= TOPOLOGY_NODES_MAX)
        return false;
    for (long long s = first; s <= last; s++)
        t->owner[s] = (uint16_t)at;
    return true;
}

static int by_id(const void *a, const void *b)
{
    return strcmp(((const struct topology_node *)a)->id, ((const struct topology_node *)b)->id);
}

static void settle_blocks(struct topology *t)
{
    for (size_t b = 0; b < CLUSTER_SLOTS / SLOTS_OF_BLOCK; b++) {
        const uint16_t *owner = &t->owner[b * SLOTS_OF_BLOCK];
        t->block_owner[b] = owner[0];
        for (size_t s = 1; s < SLOTS_OF_BLOCK; s++)
            if (owner[s] != owner[0])
                t->block_owner[b] = TOPOLOGY_NOBODY;
    }
}

/* Sorts the nodes, and fills in what depends on owner[]. */
static void settle_owners(struct topology *t)
{
    uint16_t moved[TOPOLOGY_NODES_MAX];
    struct topology_node *was = x_malloc((t->count + 1) * sizeof *was);
    if (t->count) {
        memcpy(was, t->nodes, t->count * sizeof *was);
        qsort(t->nodes, t->count, sizeof *t->nodes, by_id);
    }
    for (size_t i = 0; i < t->count; i++)
        for (size_t j = 0; j < t->count; j++)
            if (strcmp(was[i].id, t->nodes[j].id) == 0)
                moved[i] = (uint16_t)j;
    free(was);
    for (size_t i = 0; i < t->count; i++) {
        struct topology_node *n = &t->nodes[i];
        n->slots = 0;
        n->first_slot = 0;
        n->fingerprint = 0;
    }
    t->served = 0;
    for (uint16_t s = 0; s < CLUSTER_SLOTS; s++) {
        if (t->owner[s] == TOPOLOGY_NOBODY)
            continue;
        t->owner[s] = moved[t->owner[s]];
        struct topology_node *node = &t->nodes[t->owner[s]];
        if (node->slots++ == 0)
            node->first_slot = s;
        node->fingerprint = crc64(node->fingerprint, &s, sizeof s);
        t->served++;
    }
    settle_blocks(t);
}

bool topology_parse(struct topology *t, const redisReply *reply, const struct uri *asked, struct error *error)
{
    struct topology fresh = {0};
    memset(fresh.owner, 0xff, sizeof fresh.owner);
    if (reply->type == REDIS_REPLY_ERROR)
        return error_set(error, ERROR_RETRY, "the cluster answers CLUSTER SLOTS: %.200s", reply->str);
    bool ok = reply->type == REDIS_REPLY_ARRAY;
    for (size_t i = 0; ok && i < reply->elements; i++)
        ok = read_range(&fresh, reply->element[i], asked);
    if (!ok) {
        topology_free(&fresh);
        return error_set(error, ERROR_RETRY, "the cluster's answer to CLUSTER SLOTS cannot be read");
    }
    settle_owners(&fresh);
    topology_free(t);
    *t = fresh;
    return true;
}

/* ---- masters without slots ---- */

enum { NODE_FIELDS = 8 }; /* id, address, flags, its master, ping, pong, epoch, state; then slots */

/* Of a line of CLUSTER NODES; more than NODE_FIELDS: it serves slots. */
static size_t node_fields(struct slice line, struct slice *fields)
{
    size_t n = 0;
    while (line.len && n <= NODE_FIELDS) {
        const uint8_t *blank = memchr(line.data, ' ', line.len);
        size_t len = blank ? (size_t)(blank - line.data) : line.len;
        /* "[77->-id]": a slot on its way. */
        if (len && line.data[0] != '[')
            fields[n++] = slice_of(line.data, len);
        len += blank ? 1 : 0;
        line = slice_of(line.data + len, line.len - len);
    }
    return n;
}

static bool has_flag(struct slice flags, const char *flag)
{
    size_t n = strlen(flag);
    while (flags.len) {
        const uint8_t *comma = memchr(flags.data, ',', flags.len);
        size_t len = comma ? (size_t)(comma - flags.data) : flags.len;
        if (len == n && memcmp(flags.data, flag, n) == 0)
            return true;
        len += comma ? 1 : 0;
        flags = slice_of(flags.data + len, flags.len - len);
    }
    return false;
}

/* 10.0.0.7:7000@17000,name,…: an IPv6 address has more colons. */
static bool read_address(struct slice text, const struct uri *asked, struct topology_node *out)
{
    const uint8_t *at = text.len ? memchr(text.data, '@', text.len) : NULL;
    size_t len = at ? (size_t)(at - text.data) : text.len, colon = len;
    uint64_t port;
    while (colon && text.data[colon - 1] != ':')
        colon--;
    if (!colon || colon > sizeof out->host ||
        !slice_to_u64(slice_of(text.data + colon, len - colon), &port) || port == 0 || port > UINT16_MAX)
        return false;
    out->port = (uint16_t)port;
    if (colon > 1)
        snprintf(out->host, sizeof out->host, "%.*s", (int)colon - 1, (const char *)text.data);
    else
        snprintf(out->host, sizeof out->host, "%s", asked->host);
    return true;
}

/* The name behind the first comma; empty: none. */
static struct slice name_of(struct slice address)
{
    const uint8_t *comma = address.len ? memchr(address.data, ',', address.len) : NULL;
    if (!comma)
        return slice_of("", 0);
    struct slice name = slice_of(comma + 1, address.len - (size_t)(comma + 1 - address.data));
    comma = name.len ? memchr(name.data, ',', name.len) : NULL;
    return comma ? slice_of(name.data, (size_t)(comma - name.data)) : name;
}

static bool read_idle(const struct slice *fields, size_t count, const struct uri *asked, bool by_name,
                      struct topology_node *out)
{
    if (count != NODE_FIELDS || fields[0].len >= sizeof out->id || !has_flag(fields[2], "master") ||
        has_flag(fields[2], "handshake") || has_flag(fields[2], "noaddr"))
        return false;
    *out = (struct topology_node){.failed = has_flag(fields[2], "fail")};
    memcpy(out->id, fields[0].data, fields[0].len);
    struct slice name = name_of(fields[1]);
    if (!read_address(fields[1], asked, out))
        return false;
    if (by_name && name.len && name.len < sizeof out->host)
        snprintf(out->host, sizeof out->host, "%.*s", (int)name.len, (const char *)name.data);
    return true;
}

/* Whether this node serves slots, and CLUSTER SLOTS lists it by its name. */
static bool is_named(const struct topology *t, const struct slice *fields, size_t count)
{
    struct slice name = count > NODE_FIELDS ? name_of(fields[1]) : slice_of("", 0);
    for (size_t i = 0; name.len && i < t->count; i++)
        if (slice_eq(fields[0], slice_str(t->nodes[i].id)))
            return slice_eq(name, slice_str(t->nodes[i].host));
    return false;
}

static bool next_line(struct slice *rest, struct slice *line)
{
    if (!rest->len)
        return false;
    const uint8_t *end = memchr(rest->data, '\n', rest->len);
    size_t len = end ? (size_t)(end - rest->data) : rest->len;
    *line = slice_of(rest->data, len);
    len += end ? 1 : 0;
    *rest = slice_of(rest->data + len, rest->len - len);
    return true;
}

bool topology_add_idle(struct topology *t, const redisReply *reply, const struct uri *asked)
{
    struct slice fields[NODE_FIELDS + 1], line;
    struct topology_node node;
    bool by_name = false;
    if (reply->type != REDIS_REPLY_STRING)
        return false;
    for (struct slice rest = slice_of(reply->str, (size_t)reply->len); next_line(&rest, &line);)
        by_name |= is_named(t, fields, node_fields(line, fields));
    for (struct slice rest = slice_of(reply->str, (size_t)reply->len); next_line(&rest, &line);)
        if (t->count < TOPOLOGY_NODES_MAX &&
            read_idle(fields, node_fields(line, fields), asked, by_name, &node))
            find_or_add(t, &node);
    settle_owners(t);
    return true;
}

/* "[77->-<id>]" and "[78-<-<id>]", in its own line alone. */
void topology_each_move(const redisReply *reply,
                        void (*tell)(void *arg, uint16_t slot, bool importing, const char *id), void *arg)
{
    enum { ARROW = 3 };
    const char *text = reply->type == REDIS_REPLY_STRING ? reply->str : "";
    for (const char *at = text; (at = strchr(at, '['));) {
        char id[41] = "";
        uint64_t slot;
        size_t digits = strspn(++at, "0123456789");
        bool ok = slice_to_u64(slice_of(at, digits), &slot) && slot < CLUSTER_SLOTS;
        at += digits;
        bool importing = strncmp(at, "-<-", ARROW) == 0;
        if (!ok || !(importing || strncmp(at, "->-", ARROW) == 0))
            continue;
        at += ARROW;
        snprintf(id, sizeof id, "%.*s", (int)strcspn(at, "] \n"), at);
        tell(arg, (uint16_t)slot, importing, id);
    }
}

/* "… myself,master - 0 0 7 connected 5-9 [77-<-<id>]" */
bool topology_takes_slots(const redisReply *reply)
{
    struct slice fields[NODE_FIELDS + 1], line;
    if (reply->type != REDIS_REPLY_STRING)
        return true;
    for (struct slice rest = slice_of(reply->str, (size_t)reply->len); next_line(&rest, &line);) {
        size_t n = node_fields(line, fields);
        if (n >= NODE_FIELDS && has_flag(fields[2], "myself"))
            return n > NODE_FIELDS || memmem(line.data, line.len, "-<-", 3);
    }
    return true;
}

void topology_give(struct topology *t, uint16_t slot, size_t node)
{
    t->owner[slot] = (uint16_t)node;
    settle_owners(t);
}

size_t topology_find(const struct topology *t, const char *id)
{
    for (size_t i = 0; i < t->count; i++)
        if (strcmp(t->nodes[i].id, id) == 0)
            return i;
    return TOPOLOGY_NOBODY;
}

/* ---- the whole ---- */

bool topology_same(const struct topology *a, const struct topology *b)
{
    if (a->count != b->count || memcmp(a->owner, b->owner, sizeof a->owner) != 0)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (strcmp(a->nodes[i].id, b->nodes[i].id) != 0 || strcmp(a->nodes[i].host, b->nodes[i].host) != 0 ||
            a->nodes[i].port != b->nodes[i].port)
            return false;
    return true;
}

static const struct topology_node *next_serving(const struct topology *t, size_t *i)
{
    while (*i < t->count && !t->nodes[*i].slots)
        ++*i;
    return *i < t->count ? &t->nodes[(*i)++] : NULL;
}

bool topology_serves_same(const struct topology *a, const struct topology *b)
{
    size_t i = 0, j = 0;
    for (;;) {
        const struct topology_node *m = next_serving(a, &i), *n = next_serving(b, &j);
        if (!m || !n)
            return m == n;
        if (strcmp(m->id, n->id) != 0 || strcmp(m->host, n->host) != 0 || m->port != n->port ||
            m->slots != n->slots || m->fingerprint != n->fingerprint)
            return false;
    }
}

bool topology_complete(const struct topology *t, struct error *error)
{
    if (t->served == CLUSTER_SLOTS)
        return true;
    return error_set(error, ERROR_RETRY,
                     "%u of the cluster's %d slots have no master: check CLUSTER INFO there",
                     (unsigned)CLUSTER_SLOTS - t->served, CLUSTER_SLOTS);
}

void topology_uri(const struct topology *t, size_t node, const struct uri *given, struct uri *out)
{
    uri_copy(out, given);
    free(out->host);
    out->host = x_strdup(t->nodes[node].host);
    out->port = t->nodes[node].port;
    out->unix_socket = false;
}
