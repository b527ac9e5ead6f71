/* Decoder states of the near past, so that a target which went back in time can be brought forward again.
 *
 * The cursor's restart record is the newest position alone. A target may stand before it: it restarted from
 * an older copy of its data, or a replica that lagged took its place. Then the newest state here at or before
 * the target's mark, whose bytes the spool still holds, is where decoding begins anew.
 *
 * A state says nothing about the target, only about the stream, so none is ever wrong later. They stand in a
 * small file beside the spool, for a successor; each slot is whole or void whenever a SIGKILL comes. */
#ifndef DF2REDIS_WORKER_SPOOL_HISTORY_H
#define DF2REDIS_WORKER_SPOOL_HISTORY_H

#include "common/base/error.h"
#include "common/base/mem.h"

struct history;

/* resume: keep what is there, if it is of this session and this boot of the machine. */
struct history *history_open(const char *directory, uint32_t flow, uint64_t session, bool resume,
                             struct error *error);
void history_close(struct history *h);
void history_remove(const char *directory, uint32_t flow);

/* One more. When there is no room, one of those whose bytes are gone (before `oldest`) gives way, else one of
 * the closest together; never the newest. One that is too large for a slot lives as long as this process. */
void history_add(struct history *h, uint64_t seq, uint64_t offset, uint64_t oldest, struct slice record);
/* The newest at or before seq that does not begin before `oldest`: appended to *record. */
bool history_find(const struct history *h, uint64_t seq, uint64_t oldest, struct buf *record);
/* Stream offset of the newest; 0 without any: the stream's begin needs none. */
uint64_t history_newest_offset(const struct history *h);

/* A word about the target that lives as long as the session: which process it was. At most 40 bytes. */
const char *history_target(const struct history *h);
void history_set_target(struct history *h, const char *id);

#endif
