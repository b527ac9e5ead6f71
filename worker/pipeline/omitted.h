/* Deletions that may be missing from the source's journal.
 *
 * During a snapshot Dragonfly does not journal DEL, UNLINK and SET (SETEX, PSETEX) of a key until the snapshot has
 * reached the key's bucket: the snapshot then contains the result, except for a key that is deleted by then. The target
 * has such a key only if it was journaled before and its bucket was not saved: MSET, MSETNX (journaled as MSET), SETNX
 * and GETSET do that. Before any other write the snapshot saves the bucket, and from then on every write to it is
 * journaled. So the keys of these four commands, journaled during the snapshot, are suspects: the target may have kept
 * a deleted key, or modified its old value. */
#ifndef DF2REDIS_WORKER_PIPELINE_OMITTED_H
#define DF2REDIS_WORKER_PIPELINE_OMITTED_H

#include "worker/rdb/entry.h"

struct pipeline;

/* For each entry that the target lacks, before it is sent. */
void omitted_entry(struct pipeline *p, const struct entry *e);

#endif
