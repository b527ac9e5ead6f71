/* The state of a job: the addresses that are left, the end or another attempt, and what was found. */
#include <stdio.h>

#include "common/base/clock.h"
#include "common/log/log.h"
#include "supervisor/target/target_internal.h"

enum { AGAIN_MS = 500 };

bool target_is_cluster(const struct target_job *job)
{
    return job->topology.count > 0;
}

size_t target_nodes_there(const struct target_job *job)
{
    size_t there = 0;
    for (size_t i = 0; i < job->count; i++)
        there += !job->nodes[i].away;
    return there;
}

size_t target_nodes(const struct target_job *job)
{
    size_t serving = 0;
    for (size_t i = 0; target_is_cluster(job) && i < job->count; i++)
        serving += job->topology.nodes[i].slots > 0;
    return target_is_cluster(job) ? serving : job->count;
}

/* ---- the end, and another attempt ---- */

size_t target_seeds(const struct target_job *job)
{
    return 1 + (job->known ? job->known->count : 0);
}

/* True: another seed, or the same one a little later, may give a better answer. */
static bool may_try_again(const struct target_job *job, const struct error *error)
{
    if (error->class != ERROR_RETRY)
        return false;
    if (!job->begun && job->seed + 1 < target_seeds(job))
        return true;
    return job->task == TARGET_ASK && clock_monotonic_ms() < job->deadline_ms;
}

bool target_ask_next_address(struct target_job *job)
{
    struct timeval at_once = {0};
    if (job->seed || job->begun || job->settings->target.unix_socket || target_is_cluster(job))
        return false;
    if (job->address_count)
        job->address++;
    else
        job->address_count = uri_addresses(&job->settings->target, job->addresses, TARGET_ADDRESSES, NULL);
    if (job->address_count < 2 || job->address >= job->address_count || event_add(job->again, &at_once) != 0)
        return false;
    job->next_address = job->over = true;
    return true;
}

void target_no_master_found(struct target_job *job, const struct error *last)
{
    struct error error = {0};
    job->over = true;
    error_set(&error, last->class,
              "none of the %zu addresses of target %s is a master that answers; the last: %s",
              job->address_count, job->name, last->text);
    error.exit_code = last->exit_code;
    job->callbacks.failed(&error, job->callbacks.arg);
}

void target_fail(struct target_job *job, const struct error *error)
{
    if (job->over)
        return;
    job->last = *error;
    if (job->address_count > 1 && !job->begun) {
        if (!target_ask_next_address(job))
            target_no_master_found(job, error);
        return;
    }
    struct timeval pause = {0, AGAIN_MS * 1000};
    if (may_try_again(job, error) && event_add(job->again, &pause) == 0) {
        if (!job->warned)
            log_warning("%s; trying again", error->text);
        job->warned = true;
        /* The answers still under way do not count any more. */
        job->over = true;
        return;
    }
    job->over = true;
    job->callbacks.failed(error, job->callbacks.arg);
}

void target_done(struct target_job *job)
{
    job->over = true;
    job->callbacks.done(&job->capabilities, job->callbacks.arg);
}

bool target_answered(struct target_job *job)
{
    return --job->pending == 0 && !job->over;
}

/* ---- what was found ---- */

const struct error *target_last_error(const struct target_job *job)
{
    return &job->last;
}

const struct target_marks *target_marks_found(const struct target_job *job)
{
    return &job->marks;
}

uint64_t target_keys_found(const struct target_job *job)
{
    uint64_t keys = job->capabilities.keys, own = job->marks.there + job->marks.databases;
    return keys > own ? keys - own : 0;
}

struct target_cleaned target_cleaned(const struct target_job *job)
{
    return job->cleaned;
}
