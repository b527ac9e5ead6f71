/* Conditions over all FLOWs, checked with each message of a worker: those that end a phase post the event. */
#include "supervisor/run/run.h"

uint32_t run_failed_flows(const struct run *run)
{
    uint32_t failed = 0;
    for (uint32_t i = 0; i < run->flow_count; i++)
        failed += run->flows[i].failed;
    return failed;
}

void run_check_snapshots(struct run *run)
{
    if (run->session.state == SESSION_FULL_SYNC && flow_set_full(&run->snapshots_done))
        run_post(run, EVENT_SNAPSHOT_DONE);
}

void run_check_stable(struct run *run)
{
    if (run->session.state != SESSION_ENTERING)
        return;
    for (uint32_t i = 0; i < run->flow_count; i++)
        if (!run->flows[i].stable && !run->flows[i].failed)
            return;
    run_post(run, EVENT_ALL_STABLE);
}
