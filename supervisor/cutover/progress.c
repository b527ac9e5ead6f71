/* What is told, what is noted, and the deadlines. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "common/base/clock.h"
#include "common/log/log.h"
#include "supervisor/cutover/cutover_internal.h"

enum {
    CHECK_LIMIT_MS = 10000,   /* until all conditions hold */
    TAKE_OVER_MORE_MS = 3000, /* beyond the seconds that the source was given */
    CLOSE_LIMIT_MS = 2000,
    REVERSE_LIMIT_MS = 15000,
    LINK_LIMIT_MS = 20000, /* until the replica has its first copy: Redis waits 5 s before it sends one */
    MARGIN_LEAST_MS = 50,
    MARGIN_MOST_MS = 1000,
};

void cutover_post(struct cutover *c, enum cutover_event event)
{
    if (c->queued == CUTOVER_QUEUE) {
        log_error("cut-over: too many events at once: %s is dropped", cutover_event_name(event));
        return;
    }
    c->queue[c->queued].event = event;
    c->queue[c->queued++].in = c->state;
    event_active(c->timer, EV_TIMEOUT, 1);
}

/* ---- telling ---- */

void cutover_say_json(struct cutover *c, cJSON *json)
{
    char *text = cJSON_PrintUnformatted(json);
    if (c->heard && text)
        c->listener.say(text, c->listener.arg);
    cJSON_free(text);
    cJSON_Delete(json);
}

void cutover_say(struct cutover *c, const char *format, ...)
{
    char text[900];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "say", text);
    log_info("cut-over: %s", text);
    cutover_say_json(c, json);
}

/* For how long writes were held back, until now or until the clients were switched. */
uint64_t cutover_paused_for(const struct cutover *c)
{
    if (!c->pause_sent_ms)
        return 0;
    return (c->switched_ms ? c->switched_ms : clock_monotonic_ms()) - c->pause_sent_ms;
}

uint64_t cutover_command_took(const struct cutover *c)
{
    return c->command_ms && c->switched_ms ? c->switched_ms - c->command_ms : 0;
}

void cutover_finish(struct cutover *c, int exit_code, const char *outcome, const char *text)
{
    c->last.there = true;
    c->last.exit_code = exit_code;
    c->last.paused_ms = cutover_paused_for(c);
    c->last.command_ms = cutover_command_took(c);
    snprintf(c->last.outcome, sizeof c->last.outcome, "%s", outcome);
    snprintf(c->last.text, sizeof c->last.text, "%s", text);
    log_write(exit_code ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO, "cut-over: %s", text);
    cJSON *json = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "exit_code", exit_code);
    cJSON_AddStringToObject(json, "say", text);
    cutover_say_json(c, json);
    if (c->heard)
        c->listener.over(c->state == CUTOVER_DONE, c->listener.arg);
    c->heard = false;
    c->retired = true;
}

/* The first reason counts. */
void cutover_blame(struct cutover *c, int exit_code, const char *text)
{
    if (c->why.class == ERROR_NONE)
        error_fatal(&c->why, exit_code, "%s", text);
}

void cutover_save_note(struct cutover *c, enum note_stage stage)
{
    struct error error = {0};
    c->note.stage = stage;
    if (!note_save(c->run->dir.path, &c->note, &error))
        log_warning("%s", error.text);
}

/* ---- deadlines ---- */

static uint64_t margin_ms(const struct cutover *c)
{
    uint64_t ms = c->order.max_pause_ms / 10;
    return ms < MARGIN_LEAST_MS ? MARGIN_LEAST_MS : ms > MARGIN_MOST_MS ? MARGIN_MOST_MS : ms;
}

/* The source began the pause later than this, and so ends it later. */
uint64_t cutover_pause_end_ms(const struct cutover *c)
{
    return c->pause_sent_ms + c->order.max_pause_ms;
}

uint64_t cutover_command_end_ms(const struct cutover *c)
{
    return cutover_pause_end_ms(c) - margin_ms(c);
}

/* COMMAND gets at least a half. */
static uint64_t apply_end_ms(const struct cutover *c)
{
    return c->order.command ? c->pause_sent_ms + c->order.max_pause_ms / 2 : cutover_command_end_ms(c);
}

uint64_t cutover_deadline_ms(const struct cutover *c)
{
    switch (c->state) {
    case CUTOVER_CHECKING:
        return c->begun_ms + CHECK_LIMIT_MS;
    case CUTOVER_PAUSING:
    case CUTOVER_ASKING:
    case CUTOVER_APPLYING:
    case CUTOVER_CONFIRMING:
        return apply_end_ms(c);
    case CUTOVER_SWITCHING:
        return cutover_pause_end_ms(c) - margin_ms(c) / 2;
    case CUTOVER_TAKING_OVER:
        return c->state_ms + c->order.max_pause_ms + 1000 + TAKE_OVER_MORE_MS;
    case CUTOVER_CLOSING:
        return c->state_ms + CLOSE_LIMIT_MS;
    case CUTOVER_REVERSING:
        return c->reversed ? c->reversed_ms + LINK_LIMIT_MS : c->state_ms + REVERSE_LIMIT_MS;
    case CUTOVER_UNDOING:
        return cutover_pause_end_ms(c);
    default:
        return UINT64_MAX;
    }
}

void cutover_blame_deadline(struct cutover *c)
{
    char text[480];
    const char *limit = c->order.command ? "half of --max-pause" : "--max-pause";
    switch (c->state) {
    case CUTOVER_CHECKING:
        snprintf(text, sizeof text, "%.300s, after %d s: try again later",
                 c->waits_for[0] ? c->waits_for : "the source does not answer", CHECK_LIMIT_MS / 1000);
        break;
    case CUTOVER_APPLYING:
        snprintf(text, sizeof text, "not all is applied within %s: %.300s", limit, c->waits_for);
        break;
    case CUTOVER_PAUSING:
    case CUTOVER_ASKING:
    case CUTOVER_CONFIRMING:
        snprintf(text, sizeof text, "the source has not answered within %s", limit);
        break;
    case CUTOVER_SWITCHING:
        snprintf(text, sizeof text, "the command has not ended before the pause does (--max-pause)");
        break;
    default:
        snprintf(text, sizeof text, "the source does not answer");
        break;
    }
    cutover_blame(c, EX_TEMPFAIL, text);
}
