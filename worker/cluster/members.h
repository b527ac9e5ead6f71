/* Who the nodes of a cluster were when they were last judged: a node that still is who it was, with the
 * history it had, has lost nothing. A successor reads it from its predecessor's file:
 *
 *   flow-N.nodes    df2nodes2 <session> <moved seq> <unmarked seq>\n
 *                   {<node id> <run id> <replication id> <fingerprint of its slots, hexadecimal>\n}
 *                   <CRC-64 of all before, hexadecimal>\n
 *
 * A file that is not whole is none. That of an earlier session still tells who has lost nothing since. */
#ifndef DF2REDIS_WORKER_CLUSTER_MEMBERS_H
#define DF2REDIS_WORKER_CLUSTER_MEMBERS_H

#include "common/base/error.h"
#include "common/base/mem.h"

struct identity {
    char id[41], run_id[41], replid[41]; /* run_id empty: nobody that can be trusted */
    uint64_t fingerprint;                /* of which slots it served */
};

enum { IDENTITY_NONE = 0xffff };

struct identities {
    struct identity *list;
    size_t count;
    uint64_t session;   /* that they were saved in */
    uint64_t moved_seq; /* what was sent when a slot last came to another node; 0: none did */
    /* What was sent when some node was last without its mark; UINT64_MAX: not known (earlier releases). */
    uint64_t unmarked_seq;
    bool changed; /* since it was saved */
};

/* NULL: unknown. */
const struct identity *identities_find(const struct identities *k, const char *id);
/* Its place in the list, which it keeps; IDENTITY_NONE. */
size_t identities_index(const struct identities *k, const char *id);
void identities_set(struct identities *k, const struct identity *now);
void identities_moved(struct identities *k, uint64_t seq);
void identities_unmarked(struct identities *k, uint64_t seq);
void identities_free(struct identities *k);

/* False: there are none. */
bool identities_load(struct identities *k, const char *directory, uint32_t flow);
/* Killed meanwhile, what was there before is there still. On failure changed stays, and nothing is there. */
void identities_save(struct identities *k, const char *directory, uint32_t flow);
void identities_remove(const char *directory, uint32_t flow);

#endif
