/* Who the nodes of a cluster were when they were last judged: a node that still is who it was, with the
 * history it had, has lost nothing. A successor reads it from its predecessor's file:
 *
 *   flow-N.nodes    df2nodes1 <session>\n  {<node id> <run id> <replication id>\n}  <CRC-64 of all before>\n
 *
 * A file that is not whole, or of another session, is none. */
#ifndef DF2REDIS_IDENTITIES_H
#define DF2REDIS_IDENTITIES_H

#include "common/error.h"
#include "common/mem.h"

struct identity {
    char id[41], run_id[41], replid[41]; /* the last two empty: nobody */
};

struct identities {
    struct identity *list;
    size_t count;
    bool changed; /* since it was saved */
};

/* NULL: unknown. */
const struct identity *identities_find(const struct identities *k, const char *id);
void identities_set(struct identities *k, const char *id, const char *run_id, const char *replid);
void identities_free(struct identities *k);

/* False: there are none of this session. */
bool identities_load(struct identities *k, const char *directory, uint32_t flow, uint64_t session);
/* Not on failure: changed stays. What was there before is none then. */
void identities_save(struct identities *k, const char *directory, uint32_t flow, uint64_t session);
void identities_remove(const char *directory, uint32_t flow);

#endif
