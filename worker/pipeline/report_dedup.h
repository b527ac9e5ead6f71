/* Which reports the supervisor has, from any worker of the FLOW. An entry that is decoded, sent or answered again is
 * not counted again; a report that was not sent before is sent then.
 *
 * A report is identified by its entry and its number among the reports of that entry. Each stream is in ascending
 * order: reports of the translator, of commands that the target did not queue, of its answers. */
#ifndef DF2REDIS_WORKER_PIPELINE_REPORT_DEDUP_H
#define DF2REDIS_WORKER_PIPELINE_REPORT_DEDUP_H

#include "common/ipc/message.h"

struct reports {
    struct report_position told[REPORT_STREAMS]; /* the last report sent */
    struct report_position at[REPORT_STREAMS];   /* the last report made */
};

/* The next report about this entry. True: send it; it is recorded as sent. */
bool reports_next(struct reports *r, enum report_stream stream, uint64_t seq);
/* The decoder went back: entries are decoded again. */
void reports_rewound(struct reports *r);

#endif
