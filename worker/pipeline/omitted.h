/* Deletions that the source's journal may lack.
 *
 * A Dragonfly that makes its snapshot leaves DEL, UNLINK and SET (SETEX, PSETEX) of a key out of its journal
 * while its snapshot has not come to the key's bucket: what the snapshot then holds tells as much, but for a key
 * that is gone by then. The target has such a key only where it was journaled all the same and the bucket was
 * left untouched: MSET, MSETNX (journaled as MSET), SETNX and GETSET do that. What any other command writes,
 * the snapshot takes first, and from then on all of it is journaled. So the keys of these, journaled during the
 * snapshot, are suspects: the target may have kept one, or counted on from its value. */
#ifndef DF2REDIS_WORKER_PIPELINE_OMITTED_H
#define DF2REDIS_WORKER_PIPELINE_OMITTED_H

#include "worker/rdb/entry.h"

struct pipeline;

/* Of an entry that is new to the target; before it is sent. */
void omitted_entry(struct pipeline *p, const struct entry *e);

#endif
