/* Monotonic time and Unix time. */
#ifndef DF2REDIS_COMMON_BASE_CLOCK_H
#define DF2REDIS_COMMON_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* For intervals and deadlines; never goes back. */
static inline uint64_t clock_monotonic_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* The same in microseconds, for round trips. */
static inline uint64_t clock_monotonic_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* Unix time, for times to live of keys. */
static inline int64_t clock_unix_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

#endif
