/* What was applied in each of the last seconds, for whoever begins to watch only now. */
#ifndef DF2REDIS_SUPERVISOR_RUN_THROUGHPUT_H
#define DF2REDIS_SUPERVISOR_RUN_THROUGHPUT_H

#include <cjson/cJSON.h>
#include <stddef.h>
#include <stdint.h>

enum { THROUGHPUT_SECONDS = 120 };

/* Zero-initialise. */
struct throughput {
    uint64_t rates[THROUGHPUT_SECONDS]; /* bytes per second; a ring, next is the oldest once it is full */
    size_t next, count;
    uint64_t due_ms, noted_ms, noted_bytes;
};

/* To be called more than once a second, with all that was applied so far; less than before counts as nothing. */
void throughput_note(struct throughput *t, uint64_t now_ms, uint64_t applied_bytes);
/* The oldest first. The caller owns it. */
cJSON *throughput_list(const struct throughput *t);

#endif
