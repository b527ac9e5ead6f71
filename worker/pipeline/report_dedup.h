/* Which reports the supervisor has had, whoever of a FLOW's workers made them: what is decoded, sent or
 * answered once more is not counted once more, and what was not told before is told then.
 *
 * A report is known by its entry and its number among that entry's. Each stream grows: reports of the
 * translator, of what the target would not queue, of what it answered. */
#ifndef DF2REDIS_WORKER_PIPELINE_REPORT_DEDUP_H
#define DF2REDIS_WORKER_PIPELINE_REPORT_DEDUP_H

#include "common/ipc/message.h"

struct reports {
    struct report_position told[REPORT_STREAMS]; /* the last one */
    struct report_position at[REPORT_STREAMS];
};

/* The next report about this entry. True: it is to be told, and counts as told. */
bool reports_next(struct reports *r, enum report_stream stream, uint64_t seq);
/* Entries come once more. */
void reports_rewound(struct reports *r);

#endif
