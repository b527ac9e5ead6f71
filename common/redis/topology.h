/* Redis Cluster: which node serves which slots, and which slot a key belongs to.
 *
 * Source: the Redis Cluster specification, and the reply of CLUSTER SLOTS (every version has it):
 *
 *   [ [first slot, last slot, [host, port, node id, …] the master, [host, port, node id, …] a replica …] … ]
 *
 * and CLUSTER NODES, which knows the masters without slots, too: new ones, to which the first slot may be on
 * its way already with a part of its keys. A line for each node:
 *
 *   <id> <address>:<port>@<port of the bus>[,<name>…] <flags> <its master> <ping> <pong> <epoch> <state> [slots]
 *
 * A slot is CRC-16 of the key, or of what stands between its first { and the next } when that is not
 * empty, modulo 16,384. */
#ifndef DF2REDIS_COMMON_REDIS_TOPOLOGY_H
#define DF2REDIS_COMMON_REDIS_TOPOLOGY_H

#include <hiredis/hiredis.h>

#include "common/base/error.h"
#include "common/base/mem.h"
#include "common/base/uri.h"

enum { CLUSTER_SLOTS = 16384, SLOTS_OF_BLOCK = 64, TOPOLOGY_NODES_MAX = 1000, TOPOLOGY_NOBODY = 0xffff };

/* A master. One without slots (slots: 0) is known by topology_add_idle() alone. */
struct topology_node {
    char id[41];
    char host[256];
    uint16_t port;
    uint16_t first_slot;  /* the lowest it serves */
    uint32_t slots;       /* how many */
    uint64_t fingerprint; /* of which slots it serves */
    uint32_t replicas;    /* that have not failed */
    bool failed;          /* of one without slots: the flag fail in CLUSTER NODES */
};

struct topology {
    struct topology_node *nodes; /* by id, ascending */
    size_t count;
    uint32_t served;               /* slots that have a master */
    uint16_t owner[CLUSTER_SLOTS]; /* index into nodes; TOPOLOGY_NOBODY */
    /* Of 64 slots in a row, where all have the same; else TOPOLOGY_NOBODY. Most have, and half a KiB stays in
     * the cache where 32 do not. */
    uint16_t block_owner[CLUSTER_SLOTS / SLOTS_OF_BLOCK];
};

/* owner[slot]; for every key that is written. */
static inline uint16_t topology_owner(const struct topology *t, uint16_t slot)
{
    uint16_t owner = t->block_owner[slot / SLOTS_OF_BLOCK];
    return owner != TOPOLOGY_NOBODY ? owner : t->owner[slot];
}

/* asked: the node that replied; its host stands for nodes listed without one. False and ERROR_RETRY: the reply cannot be
 * used (from a node that is starting). Replaces *t, which was zeroed or filled before. */
bool topology_parse(struct topology *t, const redisReply *reply, const struct uri *asked,
                    struct error *error);
/* Adds the masters without slots from the reply to CLUSTER NODES, by name where CLUSTER SLOTS uses names. False: not such
 * a reply. */
bool topology_add_idle(struct topology *t, const redisReply *reply, const struct uri *asked);
/* Makes that node the owner of the slot. */
void topology_give(struct topology *t, uint16_t slot, size_t node);
/* Index of the node; TOPOLOGY_NOBODY. */
size_t topology_find(const struct topology *t, const char *id);
void topology_free(struct topology *t);
/* The same masters with the same slots. */
bool topology_same(const struct topology *a, const struct topology *b);
/* The same, but for masters without slots. */
bool topology_serves_same(const struct topology *a, const struct topology *b);
/* Calls tell for each slot that the node which replied to CLUSTER NODES is migrating to another node, or (importing) is
 * importing from one. */
void topology_each_move(const redisReply *reply,
                        void (*tell)(void *arg, uint16_t slot, bool importing, const char *id), void *arg);
/* Whether the node that replied to CLUSTER NODES serves or imports slots. */
bool topology_takes_slots(const redisReply *reply);
/* Whether every slot has a master. ERROR_RETRY with the number of those that have none. */
bool topology_complete(const struct topology *t, struct error *error);
/* The URI of one node: the given one, with the node's host and port. */
void topology_uri(const struct topology *t, size_t node, const struct uri *given, struct uri *out);

uint16_t key_slot(struct slice key);
/* The shortest tag of letters and digits that lies in the slot: {tag} in a key puts it there. */
const char *slot_tag(uint16_t slot);
/* Size of a buffer for a key of df2redis; the run's name has at most 64 bytes. */
enum { SLOT_KEY_BYTES = 180 };
/* df2redis:NAME:{tag}, the key of our marks in that slot. */
void slot_mark_key(char *out, size_t out_bytes, const char *name, uint16_t slot);
/* A key of that slot that never exists. A command on it shows whether the node still serves the whole slot. */
void slot_probe_key(char *out, size_t out_bytes, const char *name, uint16_t slot);

#endif
