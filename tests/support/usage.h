/* What processes used: CPU seconds, and the most anonymous memory they were seen with. */
#ifndef DF2REDIS_TESTS_USAGE_H
#define DF2REDIS_TESTS_USAGE_H

#include <sys/types.h>

#include "common/base/mem.h"

enum { USAGE_PROCESSES = 64 };

/* The worker processes (children) of a supervisor. The kernel keeps no peak of RssAnon alone, so it is
 * sampled: call usage_sample often; what lives in files (the spool) is not counted. */
struct usage {
    pid_t parent;
    size_t count;
    struct {
        pid_t pid;
        double cpu_s;
        uint64_t peak_anon_bytes;
    } processes[USAGE_PROCESSES];
};

void usage_sample(struct usage *u);
double usage_cpu_s(const struct usage *u);             /* of all */
uint64_t usage_peak_anon_bytes(const struct usage *u); /* of the largest */
/* read(2) and its like, so far; 0 when the kernel does not tell. */
uint64_t usage_reads(pid_t pid);

#endif
