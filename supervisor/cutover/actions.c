/* The actions of the table. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "common/base/clock.h"
#include "common/log/log.h"
#include "supervisor/cutover/cutover_internal.h"

static void tell_ready(struct cutover *c)
{
    char text[600];
    snprintf(
        text, sizeof text,
        "it would go: in step, %s, no key in doubt, %s may pause writes on source %s%s. Nothing was done "
        "(--dry-run)",
        c->run->divergences.total ? "divergences accepted" : "no divergences", "df2redis",
        c->run->source_name,
        c->order.then == CUTOVER_THEN_REVERSE    ? " and make it a replica of the target"
        : c->order.then == CUTOVER_THEN_TAKEOVER ? " and take over from it"
                                                 : "");
    cutover_finish(c, EX_OK, "ready", text);
}

static void pause_source(struct cutover *c)
{
    cutover_say(c, "checked: in step, %s, no key in doubt",
                c->run->divergences.total ? "divergences accepted" : "no divergences");
    c->note = (struct note){.unix_ms = clock_unix_ms(), .pause_ms = c->order.max_pause_ms};
    snprintf(c->note.then, sizeof c->note.then, "%s", cutover_then_name(c->order.then));
    cutover_save_note(c, NOTE_PAUSED);
    c->pause_sent_ms = clock_monotonic_ms();
    orders_pause(c->orders, c->order.max_pause_ms);
}

/* From here on nothing is undone. */
static void note_switched(struct cutover *c)
{
    c->switched_ms = clock_monotonic_ms();
    cutover_save_note(c, NOTE_SWITCHED);
    if (c->order.command)
        cutover_say(c, "switched: the command has ended well, after %" PRIu64 " ms", cutover_command_took(c));
}

static void add_environment(cJSON *list, const char *name, const char *value)
{
    char text[1400];
    snprintf(text, sizeof text, "%s=%s", name, value);
    cJSON_AddItemToArray(list, cJSON_CreateString(text));
}

static void run_command(struct cutover *c)
{
    char number[24];
    cutover_say(c, "applied: everything up to LSNs %s is on the target, %" PRIu64 " ms after the pause began",
                c->lsns_text, clock_monotonic_ms() - c->pause_sent_ms);
    c->applied_ms = clock_monotonic_ms();
    if (!c->order.command) {
        cutover_post(c,
                     c->order.then == CUTOVER_THEN_TAKEOVER ? CUTOVER_SWITCHED_TAKEOVER : CUTOVER_SWITCHED);
        return;
    }
    cutover_save_note(c, NOTE_SWITCHING);
    c->command_ms = clock_monotonic_ms();
    uint64_t left_ms =
        cutover_command_end_ms(c) > c->command_ms ? cutover_command_end_ms(c) - c->command_ms : 1;
    cJSON *json = cJSON_CreateObject(), *command = cJSON_AddObjectToObject(json, "command");
    cJSON_AddNumberToObject(command, "deadline_ms", (double)left_ms);
    cJSON *list = cJSON_AddArrayToObject(command, "environment");
    snprintf(number, sizeof number, "%" PRIu64, left_ms);
    add_environment(list, "DF2REDIS_NAME", c->run->settings->name);
    add_environment(list, "DF2REDIS_SOURCE", c->run->source_name);
    add_environment(list, "DF2REDIS_TARGET", c->run->target_name);
    add_environment(list, "DF2REDIS_LSNS", c->lsns_text);
    add_environment(list, "DF2REDIS_DEADLINE_MS", number);
    log_info("cut-over: the command runs, for at most %" PRIu64 " ms", left_ms);
    cutover_say_json(c, json);
}

static void take_over(struct cutover *c)
{
    uint64_t left_ms =
        cutover_pause_end_ms(c) > clock_monotonic_ms() ? cutover_pause_end_ms(c) - clock_monotonic_ms() : 0;
    orders_take_over(c->orders, left_ms / 1000 + 1, c->run->greeting.sync_id);
}

static void end_run(struct cutover *c)
{
    size_t bytes = c->run->flow_count * sizeof *c->lsns;
    free(c->run->final_lsns);
    c->run->final_lsns = x_malloc(bytes ? bytes : 1);
    memcpy(c->run->final_lsns, c->lsns, bytes);
    if (c->order.then == CUTOVER_THEN_TAKEOVER)
        cutover_say(c, "taken over: the source refuses all commands and shuts down");
    run_stop(c->run);
}

static void reverse(struct cutover *c)
{
    const struct uri *target = &c->run->settings->target;
    if (c->orders_ready)
        orders_reverse(c->orders, target->host, target->port);
    else if (!cutover_connect_source(c))
        cutover_post(c, CUTOVER_TROUBLE);
}

/* A write that the source holds back is carried out there once the pause ends, and answered, though nobody copies it any
 * more. Until REPLICAOF is sent the workers have to end: that gets a whole pause. */
static void close_source(struct cutover *c)
{
    if (!c->orders_ready) {
        cutover_post(c, CUTOVER_TROUBLE);
        return;
    }
    if (c->order.then == CUTOVER_THEN_REVERSE)
        orders_pause(c->orders, c->order.max_pause_ms);
    orders_ask_lsns(c->orders);
    orders_send_away(c->orders);
}

static void undo(struct cutover *c)
{
    log_info("cut-over: undone: %s", c->why.text);
    if (c->orders_ready)
        orders_unpause(c->orders);
}

static const char *what_next(const struct cutover *c)
{
    switch (c->order.then) {
    case CUTOVER_THEN_TAKEOVER:
        return "the source has shut down";
    case CUTOVER_THEN_REVERSE:
        return c->online ? "the source is a replica of the target; to go back, REPLICAOF NO ONE there"
                         : "the source is a replica of the target, but has no whole copy yet: see INFO "
                           "REPLICATION of the target";
    case CUTOVER_THEN_STOP:
        break;
    }
    return "the source takes writes again when its pause ends: shut it down, or keep clients away from it";
}

static void finish_done(struct cutover *c)
{
    char text[700], command[64] = "";
    if (c->order.command)
        snprintf(command, sizeof command, " (%" PRIu64 " ms of it: the command)", cutover_command_took(c));
    snprintf(text, sizeof text,
             "done: writes were paused for %" PRIu64 " ms%s; target %s has everything up to LSNs %.200s; %s",
             cutover_paused_for(c), command, c->run->target_name, c->lsns_text, what_next(c));
    cutover_finish(c, EX_OK, "done", text);
}

static void give_up(struct cutover *c, enum cutover_state before, enum cutover_event event)
{
    char text[900];
    const char *source = "the source takes writes";
    uint64_t left_ms = c->pause_sent_ms && cutover_pause_end_ms(c) > clock_monotonic_ms()
                           ? cutover_pause_end_ms(c) - clock_monotonic_ms()
                           : 0;
    char later[120];
    if (before == CUTOVER_UNDOING && event != CUTOVER_UNPAUSED) {
        snprintf(later, sizeof later, "the source takes writes again within %.1f s, when its pause ends",
                 (double)left_ms / 1000.0);
        source = later;
    }
    cutover_save_note(c, NOTE_NONE);
    if (c->pause_sent_ms && before == CUTOVER_UNDOING)
        snprintf(text, sizeof text, "undone after %" PRIu64 " ms: %s. %s%s, and the run %s",
                 cutover_paused_for(c), c->why.text,
                 c->command_ms ? "Look whether the command had an effect; " : "Nothing was switched; ",
                 source, c->run->stop_requested || c->run->ending ? "ends" : "goes on");
    else
        snprintf(text, sizeof text, "not begun: %s", c->why.text);
    cutover_finish(c, c->why.exit_code ? c->why.exit_code : EX_TEMPFAIL,
                   before == CUTOVER_UNDOING ? "undone" : "refused", text);
}

/* The clients are switched, and stay so. */
static void give_up_late(struct cutover *c, enum cutover_state before)
{
    char text[600];
    const char *what = before == CUTOVER_TAKING_OVER ? "the source did not hand over"
                       : before == CUTOVER_ENDING    ? "the run has ended, and not all is known to be applied"
                                                     : "the source did not become a replica of the target";
    const char *to_do =
        before == CUTOVER_TAKING_OVER ? "The run goes on, and what is still written to the source is copied: "
                                        "shut the source down, then df2redis "
                                        "stop; or switch the clients back"
        : before == CUTOVER_ENDING
            ? "See the log of the run, and compare; the source takes writes again when its pause ends"
            : "The run has ended, and the source takes writes again when its pause ends: shut it down, or "
              "give it "
              "REPLICAOF by hand";
    snprintf(text, sizeof text, "the clients are switched, but %s: %.200s. %s", what,
             c->why.class == ERROR_NONE ? "see the log" : c->why.text, to_do);
    if (before == CUTOVER_TAKING_OVER)
        cutover_save_note(c, NOTE_NONE);
    cutover_finish(c, EX_PROTOCOL, "switched", text);
}

void cutover_perform(struct cutover *c, enum cutover_action action, enum cutover_state before,
                     enum cutover_event event)
{
    switch (action) {
    case CUTOVER_IGNORE:
    case CUTOVER_ACTIONS:
    case CUTOVER_AWAIT:
        break;
    case CUTOVER_CHECK:
        if (!cutover_connect_source(c))
            cutover_post(c, CUTOVER_TROUBLE);
        break;
    case CUTOVER_TELL_READY:
        tell_ready(c);
        break;
    case CUTOVER_PAUSE:
        pause_source(c);
        break;
    case CUTOVER_ASK:
        if (before == CUTOVER_PAUSING) {
            c->paused_ms = clock_monotonic_ms();
            cutover_say(c, "paused: writes on source %s wait, for at most %.1f s", c->run->source_name,
                        (double)c->order.max_pause_ms / 1000.0);
        }
        orders_ask_lsns(c->orders);
        break;
    case CUTOVER_RUN_COMMAND:
        run_command(c);
        break;
    case CUTOVER_CLOSE:
        note_switched(c);
        close_source(c);
        break;
    case CUTOVER_TAKE_OVER:
        note_switched(c);
        take_over(c);
        break;
    case CUTOVER_END_RUN:
        end_run(c);
        break;
    case CUTOVER_REVERSE:
        reverse(c);
        break;
    case CUTOVER_FINISH:
        finish_done(c);
        break;
    case CUTOVER_UNDO:
        undo(c);
        break;
    case CUTOVER_GIVE_UP:
        give_up(c, before, event);
        break;
    case CUTOVER_GIVE_UP_LATE:
        give_up_late(c, before);
        break;
    }
}
