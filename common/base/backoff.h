/* Growing pauses between attempts, with jitter so that many clients do not retry at the same moment. */
#ifndef DF2REDIS_COMMON_BASE_BACKOFF_H
#define DF2REDIS_COMMON_BASE_BACKOFF_H

#include <stdint.h>
#include <stdlib.h>

enum { BACKOFF_FIRST_MS = 100, BACKOFF_LAST_MS = 30000 };

struct backoff {
    uint32_t attempts;
};

static inline void backoff_reset(struct backoff *b)
{
    b->attempts = 0;
}

/* The next pause: 0.1 s, 0.2 s … 30 s, shortened by up to a quarter by random (any 32 bits). */
static inline uint32_t backoff_next_ms(struct backoff *b, uint32_t random)
{
    uint32_t pause = BACKOFF_LAST_MS;
    if (b->attempts < 9 && ((uint32_t)BACKOFF_FIRST_MS << b->attempts) < BACKOFF_LAST_MS)
        pause = (uint32_t)BACKOFF_FIRST_MS << b->attempts;
    if (b->attempts < UINT32_MAX)
        b->attempts++;
    return pause - random % (pause / 4 + 1);
}

#endif
