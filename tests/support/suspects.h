/* Suspect keys of a run, as its status counts them, and what the target holds once none is left. */
#ifndef DF2REDIS_TESTS_SUSPECTS_H
#define DF2REDIS_TESTS_SUSPECTS_H

#include "tests/support/run.h"

/* "pending", "equal", "healed" or "permanent". */
double suspects(const struct run *r, const char *what);
/* In step, and none is pending: a condition of wait_until(). */
bool suspects_settled(void *run);
/* Waits for that. Prints what happened if not. */
bool suspects_wait_settled(struct run *r);
/* After that, by the server that holds what the source has; streams with all their details. Prints what
 * differs. */
bool suspects_settle_equal(struct run *r, uint16_t port);

#endif
