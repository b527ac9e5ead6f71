/* The rows of the benchmark that have a file of their own. live.c, beside a Dragonfly replica of the same
 * master, verify.c and memory.c need a real Dragonfly; cluster.c does not. */
#ifndef DF2REDIS_TESTS_BENCH_LIVE_H
#define DF2REDIS_TESTS_BENCH_LIVE_H

#include <stdbool.h>

/* False when a limit is not kept; true, with a line that says so, without a Dragonfly. */
bool bench_live(unsigned rounds);
/* df2redis verify of a million strings (times percent / 100). */
bool bench_verify(unsigned rounds, unsigned percent);
/* A worker's peak memory with ten thousand keys and with ten million (times percent / 100). */
bool bench_memory(unsigned percent);
/* False when a limit is not kept. Takes two minutes. */
bool bench_cluster(unsigned rounds, unsigned percent, unsigned flows);

#endif
