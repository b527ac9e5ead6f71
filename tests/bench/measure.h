/* Times and medians of the benchmarks. */
#ifndef DF2REDIS_BENCH_MEASURE_H
#define DF2REDIS_BENCH_MEASURE_H

#include <stddef.h>

/* CLOCK_MONOTONIC, in seconds. */
double now_s(void);
/* Of `count` values, at least one, which are sorted. */
double median_of(double *values, size_t count);

#endif
