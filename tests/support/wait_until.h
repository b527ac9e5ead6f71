/* A condition is waited for, with a deadline, instead of sleeping. */
#ifndef DF2REDIS_TESTS_WAIT_UNTIL_H
#define DF2REDIS_TESTS_WAIT_UNTIL_H

#include <poll.h>

#include "common/base/clock.h"

/* Asks again and again, with short waits in between, until the condition holds (true) or the deadline has
 * passed (false). */
typedef bool (*condition)(void *arg);
static inline bool wait_until(condition holds, void *arg, uint32_t deadline_ms)
{
    uint64_t end = clock_monotonic_ms() + deadline_ms;
    int pause_ms = 1;
    for (;;) {
        if (holds(arg))
            return true;
        if (clock_monotonic_ms() >= end)
            return holds(arg);
        poll(NULL, 0, pause_ms);
        if (pause_ms < 20)
            pause_ms *= 2;
    }
}

#endif
