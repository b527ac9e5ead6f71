/* The rows of the benchmark that need a real Dragonfly: live.c, beside a Dragonfly replica of the same
 * master; memory.c. */
#ifndef DF2REDIS_TESTS_BENCH_LIVE_H
#define DF2REDIS_TESTS_BENCH_LIVE_H

#include <stdbool.h>

/* False when a limit is not kept; true, with a line that says so, without a Dragonfly. */
bool bench_live(unsigned rounds);
/* A worker's peak memory with ten thousand keys and with ten million (times percent / 100). */
bool bench_memory(unsigned percent);

#endif
