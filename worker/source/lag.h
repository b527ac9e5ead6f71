/* Since when has the oldest byte that is not applied been here?
 *
 * Keeps a few (offset, time) samples of what was received; old ones thin out when the lag grows, so the
 * answer is never too young, and too old by at most a sixteenth of the lag (or 50 ms). */
#ifndef DF2REDIS_WORKER_SOURCE_LAG_H
#define DF2REDIS_WORKER_SOURCE_LAG_H

#include <stdint.h>

enum { WAITING_SAMPLES = 64 };

struct waiting {
    uint64_t offset[WAITING_SAMPLES]; /* bytes from here on … */
    uint64_t at_ms[WAITING_SAMPLES];  /* … came at this time or later */
    unsigned count;
    uint64_t step_ms; /* least time between two samples */
};

/* Bytes from `offset` on have just come. */
void waiting_received(struct waiting *w, uint64_t offset, uint64_t now_ms);
/* Everything before `applied` of `received` is applied. The time, 0 when nothing waits. */
uint64_t waiting_since(struct waiting *w, uint64_t applied, uint64_t received);

#endif
