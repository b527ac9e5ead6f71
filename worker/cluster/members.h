/* Identities of the nodes of a cluster, by the last recovery. A node that is still the same process, with the same
 * history, has lost nothing. The successor of a worker reads them from a file:
 *
 *   flow-N.nodes    df2nodes2 <session> <moved seq> <unmarked seq>\n
 *                   {<node id> <run id> <replication id> <fingerprint of its slots, hexadecimal>\n}
 *                   <CRC-64 of all before, hexadecimal>\n
 *
 * A file with another CRC is ignored. The file of an earlier session still shows which nodes have lost nothing. */
#ifndef DF2REDIS_WORKER_CLUSTER_MEMBERS_H
#define DF2REDIS_WORKER_CLUSTER_MEMBERS_H

#include "common/base/error.h"
#include "common/base/mem.h"

struct identity {
    char id[41], run_id[41], replid[41]; /* run_id empty: the node may have lost writes */
    uint64_t fingerprint;                /* of the slots that it served; 0: none */
};

enum { IDENTITY_NONE = 0xffff };

struct identities {
    struct identity *list;
    size_t count;
    uint64_t session;   /* in which they were saved */
    uint64_t moved_seq; /* greatest sent seq when a slot was last seen on another node; 0: none moved */
    /* Greatest sent seq when a node last lacked its mark; UINT64_MAX: unknown (earlier releases). */
    uint64_t unmarked_seq;
    bool changed; /* since they were saved */
};

/* NULL: unknown. */
const struct identity *identities_find(const struct identities *k, const char *id);
/* Index in the list, which never changes; IDENTITY_NONE: unknown. */
size_t identities_index(const struct identities *k, const char *id);
void identities_set(struct identities *k, const struct identity *now);
void identities_moved(struct identities *k, uint64_t seq);    /* raises moved_seq to seq */
void identities_unmarked(struct identities *k, uint64_t seq); /* raises unmarked_seq to seq */
void identities_free(struct identities *k);

/* False: no such file, or an incomplete one. */
bool identities_load(struct identities *k, const char *directory, uint32_t flow);
/* A process killed during it leaves the previous file. A failure removes both files, and leaves `changed` set. */
void identities_save(struct identities *k, const char *directory, uint32_t flow);
void identities_remove(const char *directory, uint32_t flow);

#endif
