/* The run's queue of events, and what ends a session or the run: posted from anywhere, acted on by supervisor.c. */
#include "supervisor/run/run.h"

#include <sysexits.h>

#include "common/base/clock.h"
#include "common/log/log.h"

static bool event_is_queued(const struct run *run, enum session_event event)
{
    for (size_t i = 0; i < run->queued; i++)
        if (run->queue[i] == event)
            return true;
    return false;
}

void run_post(struct run *run, enum session_event event)
{
    if (event_is_queued(run, event))
        return;
    if (run->queued == RUN_QUEUE) {
        log_error("too many events at once: %s is dropped", session_event_name(event));
        return;
    }
    run->queue[run->queued++] = event;
    event_active(run->pump, EV_TIMEOUT, 1);
}

void run_forget_events(struct run *run)
{
    size_t kept = 0;
    for (size_t i = 0; i < run->queued; i++)
        if (run->queue[i] == EVENT_STOP || run->queue[i] == EVENT_FATAL)
            run->queue[kept++] = run->queue[i];
    run->queued = kept;
}

void run_fatal(struct run *run, const struct error *why)
{
    /* The first error counts: later ones are its consequences. */
    if (run->ending || event_is_queued(run, EVENT_FATAL))
        return;
    run->cause = *why;
    if (run->cause.class != ERROR_FATAL || run->cause.exit_code == 0)
        run->cause.exit_code = why->class == ERROR_FATAL ? EX_SOFTWARE : EX_UNAVAILABLE;
    run_post(run, EVENT_FATAL);
}

void run_session_over(struct run *run, enum session_event event, const struct error *why)
{
    if (run->session.state == SESSION_WAITING || run->ending || event_is_queued(run, EVENT_FATAL))
        return;
    /* The first reason counts. */
    bool over = run->session.state == SESSION_SETTLING || event_is_queued(run, EVENT_LINK_LOST);
    if (event == EVENT_LINK_LOST && over)
        return;
    /* A first start that does not work ends the run, so that scripts see it; later sessions are retried for ever. */
    bool late = clock_monotonic_ms() - run->started_ms >= run->settings->connect_timeout_ms;
    if (!run->streamed && (run->refused || why->class == ERROR_FATAL || (!run->greeted && late) ||
                           run->backoff.attempts >= RUN_FIRST_ATTEMPTS)) {
        run_fatal(run, why);
        return;
    }
    run->cause = *why;
    run_post(run, run->broken_stream.class != ERROR_NONE ? EVENT_RESYNC : event);
}

void run_link_lost(struct run *run, const struct error *why)
{
    run_session_over(run, EVENT_LINK_LOST, why);
}

void run_resync(struct run *run, const struct error *why)
{
    if (run->ending || event_is_queued(run, EVENT_FATAL))
        return;
    run->cause = *why;
    run->cause.exit_code = EX_TEMPFAIL;
    run_post(run, EVENT_RESYNC);
}

void run_stop(struct run *run)
{
    if (!run->stop_requested)
        run_post(run, EVENT_STOP);
    run->stop_requested = true;
}
