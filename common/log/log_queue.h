/* Log lines that wait for their reader: bounded, in memory. What there is no room for is lost and counted; once half of
 * the room is free again, a line in its place tells how many are missing. */
#ifndef DF2REDIS_COMMON_LOG_LOG_QUEUE_H
#define DF2REDIS_COMMON_LOG_LOG_QUEUE_H

#include "common/base/mem.h"

struct log_queue {
    struct buf kept;
    size_t limit_bytes;
    uint64_t lost_lines, told_lines; /* told: by a line that may be on its way still */
    const char *reason;              /* ends the line that tells of lost ones */
};

/* Whole lines. */
void log_queue_put(struct log_queue *q, struct slice lines);
/* Puts the line about lost ones as soon as there is room for it; for when no further line comes. */
void log_queue_tell_lost(struct log_queue *q);
/* Lines that have left the queue: arrived, or lost as well, with the number that one of them may have told. */
void log_queue_arrived(struct log_queue *q);
void log_queue_lose(struct log_queue *q, struct slice lines);
void log_queue_free(struct log_queue *q);

#endif
