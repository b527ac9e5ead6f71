/* Several addresses: which master's history is the copy's?
 *
 * After a failover an old master may come back at its address, with its old data. A full sync from it would take the
 * place of a good copy, although the right master has only missed one connection. So a master of another id is asked
 * for the journal, which one that was promoted has; but before a full sync from it every address is asked, and again
 * for a while. */
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/log/log.h"
#include "supervisor/run/run.h"

enum { OTHER_HISTORY_WAIT_MS = 10000 }; /* df2redis(1) states it */

/* Returns the master id of the copy; "": there is no complete one. */
static const char *copied_from(const struct run *run)
{
    bool complete = run->target_written && run->copy.state != RUN_COPY_PARTIAL;
    return !complete ? "" : run->resume ? run->resume_master_id : run->copy.master_id;
}

void run_meet_master(struct run *run)
{
    const char *ours = copied_from(run);
    run->other.greeted =
        addresses_several(&run->addresses) && *ours && strcmp(ours, run->greeting.master_id) != 0;
    if (run->other.greeted)
        memcpy(run->other.last_master_id, run->last_master_id, sizeof run->other.last_master_id);
    else
        run_accept_master(run);
}

void run_leave_other_master(struct run *run)
{
    struct error all;
    if (run->other.greeted) {
        memcpy(run->last_master_id, run->other.last_master_id, sizeof run->last_master_id);
        if (!run->other.asked_again && !addresses_next(&run->addresses, &run->cause, &all))
            run_round_ended(run);
    }
    run->other.greeted = run->other.asked_again = false;
}

void run_accept_master(struct run *run)
{
    addresses_found(&run->addresses);
    memset(&run->other, 0, sizeof run->other);
}

bool run_pass_over(struct run *run, struct error *error)
{
    uint64_t now_ms = clock_monotonic_ms();
    if (!run->other.greeted)
        return false;
    if (!run->other.since_ms)
        run->other.since_ms = now_ms;
    if (run->other.all_asked && now_ms - run->other.since_ms >= OTHER_HISTORY_WAIT_MS) {
        log_warning(
            "source %s has master id %.40s, and the copy is of %.40s: every address was asked for %d s, and "
            "none with the history of the copy has answered, so this one is taken",
            run->source_name, run->greeting.master_id, copied_from(run), OTHER_HISTORY_WAIT_MS / 1000);
        run_accept_master(run);
        return false;
    }
    run->next_address = addresses_more(&run->addresses);
    error_set(
        error, ERROR_RETRY,
        "source %s has another history than the copy (master id %.40s, not %.40s), and its journal does not "
        "continue the copy: for %d s the other addresses are asked first",
        run->source_name, run->greeting.master_id, copied_from(run), OTHER_HISTORY_WAIT_MS / 1000);
    return true;
}

void run_round_ended(struct run *run)
{
    run->other.all_asked = run->other.since_ms != 0;
}
