/* When the oldest byte that is not applied was received.
 *
 * Keeps a few (offset, time) samples, fewer per second as the lag grows: the answer is never too late, and too early by
 * at most a sixteenth of the lag, or 50 ms. */
#ifndef DF2REDIS_WORKER_SOURCE_LAG_H
#define DF2REDIS_WORKER_SOURCE_LAG_H

#include <stdint.h>

enum { LAG_SAMPLES = 64 };

struct lag {
    uint64_t offset[LAG_SAMPLES]; /* bytes from here on … */
    uint64_t at_ms[LAG_SAMPLES];  /* … were received at this time or later */
    unsigned count;
    uint64_t step_ms; /* minimum time between two samples */
};

/* Bytes from `offset` on were received at now_ms. */
void lag_received(struct lag *w, uint64_t offset, uint64_t now_ms);
/* When the byte at `applied` was received; 0 if all bytes before `received` are applied. */
uint64_t lag_oldest_ms(struct lag *w, uint64_t applied, uint64_t received);

#endif
