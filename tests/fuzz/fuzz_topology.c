/* Any bytes as what a cluster says of itself: as the text of CLUSTER NODES, or, when the first byte is odd,
 * as RESP that CLUSTER SLOTS was answered with. */
#include <stdio.h>
#include <stdlib.h>

#include "common/net/resp.h"
#include "common/redis/topology.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char id[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
static const struct uri asked = {.host = (char *)(uintptr_t) "asked.example", .port = 7000};

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void check(const struct topology *t)
{
    uint32_t served = 0;
    must(t->count <= TOPOLOGY_NODES_MAX);
    for (uint16_t s = 0; s < CLUSTER_SLOTS; s++) {
        must(t->owner[s] == TOPOLOGY_NOBODY || t->owner[s] < t->count);
        served += t->owner[s] != TOPOLOGY_NOBODY;
    }
    must(served == t->served);
    for (size_t i = 0; i < t->count; i++) {
        const struct topology_node *n = &t->nodes[i];
        must(strlen(n->id) < sizeof n->id && *n->host && strlen(n->host) < sizeof n->host && n->port);
        must(!n->slots || t->owner[n->first_slot] == i);
        served -= n->slots;
        must(topology_find(t, n->id) == i);
    }
    must(served == 0);
}

static void hear(void *arg, uint16_t slot, bool importing, const char *node)
{
    (void)importing;
    must(slot < CLUSTER_SLOTS);
    *(size_t *)arg += strlen(node);
    must(strlen(node) <= 40);
}

/* One node that serves all, and what is said of others. */
static void read_nodes(struct slice text)
{
    struct topology t = {0}, before = {0};
    size_t heard = 0;
    char *copy = x_calloc(1, text.len + 1); /* hiredis ends strings so */
    if (text.len)
        memcpy(copy, text.data, text.len);
    redisReply reply = {.type = REDIS_REPLY_STRING, .str = copy, .len = text.len};
    t.nodes = x_calloc(1, sizeof *t.nodes);
    t.count = 1;
    snprintf(t.nodes->id, sizeof t.nodes->id, "%s", id);
    snprintf(t.nodes->host, sizeof t.nodes->host, "named.example");
    t.nodes->port = 7001;
    must(topology_add_idle(&t, &reply, &asked));
    check(&t);
    must(t.nodes[t.owner[0]].slots == CLUSTER_SLOTS);
    topology_give(&t, 99, t.count - 1);
    check(&t);
    must(topology_same(&t, &t) && topology_serves_same(&t, &t) && !topology_serves_same(&t, &before));
    topology_each_move(&reply, hear, &heard);
    topology_takes_slots(&reply);
    topology_free(&t);
    free(copy);
}

static void read_slots(struct slice bytes)
{
    struct topology t = {0};
    struct resp_reader reader;
    redisReply *reply = NULL;
    resp_reader_init(&reader);
    if (resp_reader_feed(&reader, bytes, NULL) && resp_reader_next(&reader, &reply, NULL) == 1) {
        if (topology_parse(&t, reply, &asked, NULL))
            check(&t);
        topology_complete(&t, NULL);
        freeReplyObject(reply);
    }
    topology_free(&t);
    resp_reader_free(&reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct slice rest = slice_of(data + 1, size - 1);
    if (data[0] % 2)
        read_slots(rest);
    else
        read_nodes(rest);
    return 0;
}
