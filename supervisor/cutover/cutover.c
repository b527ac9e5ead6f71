/* The events through the table; a timer sees to conditions and deadlines. */
#include "supervisor/cutover/cutover.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "common/base/clock.h"
#include "common/log/log.h"
#include "supervisor/cutover/conditions.h"
#include "supervisor/cutover/cutover_internal.h"

enum { TURN_MS = 4 };

static void step(struct cutover *c, enum cutover_event event)
{
    enum cutover_state before = c->state;
    struct cutover_transition t = cutover_transition(before, event);
    if (t.action == CUTOVER_IGNORE)
        return;
    log_debug("cut-over: %s × %s → %s, %s", cutover_state_name(before), cutover_event_name(event),
              cutover_action_name(t.action), cutover_state_name(t.next));
    c->state = t.next;
    c->state_ms = clock_monotonic_ms();
    cutover_perform(c, t.action, before, event);
}

/* ---- the timer ---- */

static void turn_checking(struct cutover *c)
{
    struct error error;
    conditions_check(c->run, &c->order, &error);
    if (error.class == ERROR_FATAL) {
        cutover_blame(c, error.exit_code, error.text);
        cutover_post(c, CUTOVER_REFUSED);
        return;
    }
    snprintf(c->waits_for, sizeof c->waits_for, "%.390s", error.text);
    if (error.class == ERROR_NONE && c->probed)
        cutover_post(c, c->order.dry_run ? CUTOVER_READY_DRY : CUTOVER_READY);
}

static void turn_applying(struct cutover *c)
{
    struct totals t;
    totals_of(c->run, clock_monotonic_ms(), &t);
    if (!run_in_step_with(c->run, c->lsns, c->waits_for, sizeof c->waits_for))
        return;
    if (t.suspects_pending)
        snprintf(c->waits_for, sizeof c->waits_for,
                 "%" PRIu64 " keys are still to be compared with the source", t.suspects_pending);
    else
        cutover_post(c, CUTOVER_APPLIED);
}

static const char stopped[] = "the run was told to stop";

/* Returns why the run cannot be cut over any more; NULL: it can. */
static const char *run_trouble(const struct run *run)
{
    if (run->stop_requested || run->ending)
        return stopped;
    if (run->session.state != SESSION_STABLE)
        return run->cause.text[0] ? run->cause.text : "the run has left stable sync";
    return run_failed_flows(run) ? "a FLOW was given up" : NULL;
}

static void turn(struct cutover *c)
{
    const char *trouble = cutover_pauses(c->state) ? run_trouble(c->run) : NULL;
    if (trouble) {
        cutover_blame(c, EX_TEMPFAIL, trouble);
        cutover_post(c, CUTOVER_TROUBLE);
    } else if (clock_monotonic_ms() >= cutover_deadline_ms(c)) {
        cutover_blame_deadline(c);
        cutover_post(c, c->state == CUTOVER_REVERSING && c->reversed ? CUTOVER_REVERSED : CUTOVER_TROUBLE);
    } else if (c->state == CUTOVER_CHECKING) {
        turn_checking(c);
    } else if (c->state == CUTOVER_APPLYING) {
        turn_applying(c);
    } else if (c->state == CUTOVER_UNDOING && c->orders_lost && clock_monotonic_ms() - c->connect_ms >= 50) {
        cutover_connect_source(c);
    } else if (c->state == CUTOVER_REVERSING && c->follower_ready &&
               clock_monotonic_ms() - c->link_asked_ms >= 50) {
        c->link_asked_ms = clock_monotonic_ms();
        orders_ask_link(c->follower);
    }
}

static void take_events(struct cutover *c)
{
    while (c->queued) {
        enum cutover_event event = c->queue[0].event;
        bool stale = c->queue[0].in != c->state;
        memmove(c->queue, c->queue + 1, --c->queued * sizeof *c->queue);
        if (!stale)
            step(c, event);
    }
}

static void retire(struct cutover *c)
{
    orders_free(c->orders);
    orders_free(c->follower);
    c->orders = c->follower = NULL;
    c->orders_ready = c->follower_ready = c->retired = false;
    free(c->lsns);
    c->lsns = NULL;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct cutover *c = arg;
    take_events(c);
    turn(c);
    take_events(c);
    if (!c->retired)
        return;
    event_del(c->timer);
    retire(c);
}

/* ---- the outside ---- */

struct cutover *cutover_new(struct run *run)
{
    struct cutover *c = x_calloc(1, sizeof *c);
    c->run = run;
    c->timer = event_new(run->base, -1, EV_PERSIST, on_timer, c);
    if (c->timer)
        return c;
    free(c);
    return NULL;
}

void cutover_free(struct cutover *c)
{
    if (!c)
        return;
    if (c->heard)
        c->listener.over(true, c->listener.arg);
    orders_free(c->orders);
    orders_free(c->follower);
    event_free(c->timer);
    free(c->lsns);
    free(c);
}

static void tell_interrupted(struct cutover *c)
{
    int64_t end_ms = c->note.unix_ms + (int64_t)c->note.pause_ms, left_ms = end_ms - clock_unix_ms();
    c->last.there = true;
    c->last.exit_code = EX_TEMPFAIL;
    snprintf(c->last.outcome, sizeof c->last.outcome, "interrupted");
    if (left_ms > 0 && left_ms <= (int64_t)c->note.pause_ms)
        snprintf(c->last.text, sizeof c->last.text,
                 "the cut-over was interrupted: the source takes writes again within %.1f s, when its pause "
                 "ends%s",
                 (double)left_ms / 1000.0,
                 c->note.stage == NOTE_SWITCHING ? "; look whether the command had an effect" : "");
    else
        snprintf(c->last.text, sizeof c->last.text,
                 "the cut-over was interrupted: the source is writable again%s",
                 c->note.stage == NOTE_SWITCHING ? "; look whether the command had an effect" : "");
    log_warning("%s", c->last.text);
    cutover_save_note(c, NOTE_NONE);
}

bool cutover_may_run(struct cutover *c, struct error *error)
{
    note_load(c->run->dir.path, &c->note);
    if (c->note.stage == NOTE_SWITCHED)
        return error_fatal(
            error, EX_CONFIG,
            "run \"%s\" was cut over: its clients use target %s, and a further run would overwrite what "
            "they write. To copy once more all the same, remove %s/cutover.json",
            c->run->settings->name, c->run->target_name, c->run->dir.path);
    if (c->note.stage != NOTE_NONE)
        tell_interrupted(c);
    return true;
}

static void forget_last(struct cutover *c)
{
    retire(c);
    c->queued = 0;
    c->probed = c->reversed = c->online = c->orders_lost = false;
    c->pause_sent_ms = c->paused_ms = c->applied_ms = c->command_ms = c->switched_ms = 0;
    c->lsns_text[0] = c->waits_for[0] = '\0';
    c->why = (struct error){0};
}

static void refuse_order(const struct cutover_listener *listener, const struct error *error)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "exit_code", error->exit_code);
    cJSON_AddStringToObject(json, "say", error->text);
    char *text = cJSON_PrintUnformatted(json);
    listener->say(text, listener->arg);
    listener->over(false, listener->arg);
    cJSON_free(text);
    cJSON_Delete(json);
}

void cutover_begin(struct cutover *c, const char *order_text, const struct cutover_listener *listener)
{
    struct timeval interval = {.tv_usec = TURN_MS * 1000};
    struct error error = {0};
    struct cutover_order order;
    if (c->state != CUTOVER_NONE)
        error_fatal(&error, EX_TEMPFAIL, "a cut-over of this run is under way already: see df2redis status");
    else
        cutover_order_read(order_text, &order, &error);
    if (error.class != ERROR_NONE) {
        refuse_order(listener, &error);
        return;
    }
    forget_last(c);
    c->order = order;
    c->listener = *listener;
    c->heard = true;
    c->begun_ms = clock_monotonic_ms();
    log_info("cut-over: ordered%s, writes paused for at most %" PRIu64 " ms, then %s",
             order.dry_run ? " as a dry run" : "", order.max_pause_ms, cutover_then_name(order.then));
    event_add(c->timer, &interval);
    cutover_post(c, CUTOVER_ORDERED);
}

void cutover_command_ended(struct cutover *c, const char *text)
{
    char why[480];
    if (c->state != CUTOVER_SWITCHING)
        return;
    if (!text && clock_monotonic_ms() < cutover_deadline_ms(c)) {
        cutover_post(c,
                     c->order.then == CUTOVER_THEN_TAKEOVER ? CUTOVER_SWITCHED_TAKEOVER : CUTOVER_SWITCHED);
        return;
    }
    if (text)
        snprintf(why, sizeof why, "the command %.300s", text);
    else
        snprintf(why, sizeof why,
                 "the command has ended well, but after the end of the pause: undo what it did");
    cutover_blame(c, EX_TEMPFAIL, why);
    cutover_post(c, CUTOVER_REFUSED);
}

void cutover_abandoned(struct cutover *c)
{
    c->heard = false;
    if (!cutover_pauses(c->state) && c->state != CUTOVER_CHECKING)
        return;
    cutover_blame(c, EX_TEMPFAIL, "the command line that ordered it has ended");
    cutover_post(c, CUTOVER_TROUBLE);
}

static bool is_under_way(const struct cutover *c)
{
    return c->state != CUTOVER_NONE && c->state != CUTOVER_DONE;
}

void cutover_conclude(struct cutover *c)
{
    struct run *run = c->run;
    if (!is_under_way(c))
        return;
    bool all = run->exit_code == EX_OK || run->exit_code == EX_DATAERR;
    if (c->state == CUTOVER_ENDING && all)
        cutover_say(c, "ended: the run, all is applied");
    if (c->state == CUTOVER_ENDING) {
        if (!all)
            cutover_blame(c, EX_TEMPFAIL, run->cause.text[0] ? run->cause.text : "see the log");
        cutover_post(c, !all                                    ? CUTOVER_ENDED_EARLY
                        : c->order.then == CUTOVER_THEN_REVERSE ? CUTOVER_ENDED_REVERSE
                                                                : CUTOVER_ENDED);
    } else if (c->state != CUTOVER_UNDOING) {
        cutover_blame(c, EX_TEMPFAIL,
                      run->cause.text[0]    ? run->cause.text
                      : run->stop_requested ? stopped
                                            : "the run has ended");
        cutover_post(c, CUTOVER_TROUBLE);
    }
    take_events(c);
    while (is_under_way(c) && event_base_loop(run->base, EVLOOP_ONCE) >= 0)
        ;
}

cJSON *cutover_status(const struct cutover *c)
{
    if (!c || (!is_under_way(c) && !c->last.there))
        return NULL;
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "state", cutover_state_name(c->state));
    if (is_under_way(c)) {
        uint64_t left_ms = c->pause_sent_ms && cutover_pause_end_ms(c) > clock_monotonic_ms()
                               ? cutover_pause_end_ms(c) - clock_monotonic_ms()
                               : 0;
        cJSON_AddStringToObject(json, "then", cutover_then_name(c->order.then));
        cJSON_AddNumberToObject(json, "since_ms", (double)(clock_monotonic_ms() - c->begun_ms));
        cJSON_AddNumberToObject(json, "paused_ms", (double)cutover_paused_for(c));
        cJSON_AddNumberToObject(json, "pause_left_ms", (double)left_ms);
        cJSON_AddStringToObject(json, "waits_for", c->waits_for);
    } else {
        cJSON_AddStringToObject(json, "outcome", c->last.outcome);
        cJSON_AddStringToObject(json, "text", c->last.text);
        cJSON_AddNumberToObject(json, "exit_code", c->last.exit_code);
        cJSON_AddNumberToObject(json, "paused_ms", (double)c->last.paused_ms);
        cJSON_AddNumberToObject(json, "command_ms", (double)c->last.command_ms);
    }
    return json;
}
