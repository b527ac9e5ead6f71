/* SIGKILL to workers, and how long their successors take. */
#ifndef DF2REDIS_TESTS_KILLS_H
#define DF2REDIS_TESTS_KILLS_H

#include "tests/support/run.h"

enum { KILLS_KEPT = 4096 };

struct kills {
    uint64_t count;
    double took_ms[KILLS_KEPT]; /* from the kill until the successor has spool, cursor and socket */
};

/* The worker of this FLOW, as its cursor names it; 0 when there is none. */
pid_t worker_pid(const struct df2redis *d, uint32_t flow);
/* Of the cursor: what its worker has read, decoded, and the target acknowledged. */
uint64_t worker_received(const struct df2redis *d, uint32_t flow);
/* Kills it, and waits until another one has taken over. False when that does not happen in time. */
bool kill_worker(struct kills *k, const struct df2redis *d, uint32_t flow);
/* The same, but only when it has just been stopped in the midst of decoding. False also when it was not met
 * there in so long. */
bool kill_busy_worker(struct kills *k, const struct df2redis *d, uint32_t flow, uint32_t limit_ms);
/* Waits until another one than this has taken over. */
bool worker_replaced(const struct df2redis *d, uint32_t flow, pid_t old);
void kills_print(const struct kills *k, const char *what);

#endif
