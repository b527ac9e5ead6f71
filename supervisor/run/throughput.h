/* Bytes applied in each of the last seconds, so that the page shows the past when it is opened. */
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

/* Notes the bytes applied so far. Call it more than once a second; a smaller number than before counts as 0. */
void throughput_note(struct throughput *t, uint64_t now_ms, uint64_t applied_bytes);
/* Returns the rates, the oldest first; the caller frees the list. */
cJSON *throughput_list(const struct throughput *t);

#endif
