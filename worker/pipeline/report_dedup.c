/* Positions of reports, by stream. */
#include "worker/pipeline/report_dedup.h"

bool reports_next(struct reports *r, enum report_stream stream, uint64_t seq)
{
    struct report_position *at = &r->at[stream], *told = &r->told[stream];
    at->number = at->seq == seq ? at->number + 1 : 1;
    at->seq = seq;
    if (at->seq < told->seq || (at->seq == told->seq && at->number <= told->number))
        return false;
    *told = *at;
    return true;
}

void reports_rewound(struct reports *r)
{
    for (int i = 0; i < REPORT_STREAMS; i++)
        r->at[i] = (struct report_position){0};
}
