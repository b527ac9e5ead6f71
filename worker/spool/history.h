/* Older restart records, for a target that lost writes.
 *
 * The cursor's restart record is the newest position only. A target may be before it: it restarted from an older copy
 * of its data, or a lagging replica was promoted. Then decoding starts at the newest record here that is at or before
 * the target's mark and whose bytes the spool still has.
 *
 * A record describes the stream, not the target, so it stays valid. The records are in a small file beside the spool,
 * for a restarted worker; a SIGKILL at any time leaves each slot complete or empty. */
#ifndef DF2REDIS_WORKER_SPOOL_HISTORY_H
#define DF2REDIS_WORKER_SPOOL_HISTORY_H

#include "common/base/error.h"
#include "common/base/mem.h"

struct history;

/* resume: keep the records in the file if they are of this session and this boot of the machine. */
struct history *history_open(const char *directory, uint32_t flow, uint64_t session, bool resume,
                             struct error *error);
void history_close(struct history *h);
void history_remove(const char *directory, uint32_t flow);

/* Adds a record. Without a free slot it replaces a record before `oldest`, else one of the two closest together; never
 * the newest. A record larger than a slot is lost with this process. */
void history_add(struct history *h, uint64_t seq, uint64_t offset, uint64_t oldest, struct slice record);
/* Appends to *record the newest one at or before seq whose offset is not before `oldest`. */
bool history_find(const struct history *h, uint64_t seq, uint64_t oldest, struct buf *record);
/* Drops the records after the offset: the decoder was put back there. */
void history_forget_after(struct history *h, uint64_t offset);
/* Stream offset of the newest record; 0 without any, as the beginning of the stream needs none. */
uint64_t history_newest_offset(const struct history *h);

/* The run id and the replication id of the target, at most 40 bytes each, from earlier sessions, too; "": unknown. */
const char *history_target(const struct history *h);
const char *history_replid(const struct history *h);
void history_set_target(struct history *h, const char *run_id, const char *replid);

#endif
