/* Log lines that wait for their reader: bounded, in memory. Lines that do not fit are lost and counted; once half of the
 * space is free again, a line in their place reports the count. */
#ifndef DF2REDIS_COMMON_LOG_LOG_QUEUE_H
#define DF2REDIS_COMMON_LOG_LOG_QUEUE_H

#include "common/base/mem.h"

struct log_queue {
    struct buf kept;
    size_t limit_bytes;
    uint64_t lost_lines, told_lines; /* told: reported by a line that may not have arrived yet */
    const char *reason;              /* ends the line that reports lost ones */
};

/* Whole lines. */
void log_queue_put(struct log_queue *q, struct slice lines);
/* Queues the report of lost lines if there is space for it; called when no further line follows. */
void log_queue_tell_lost(struct log_queue *q);
/* Lines that have left the queue arrived, or were lost, together with the report among them. */
void log_queue_arrived(struct log_queue *q);
void log_queue_lose(struct log_queue *q, struct slice lines);
void log_queue_free(struct log_queue *q);

#endif
