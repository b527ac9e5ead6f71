/* The connection to the source: its answers become events. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "common/base/clock.h"
#include "common/log/log.h"
#include "supervisor/cutover/cutover_internal.h"

static void on_ready(void *arg)
{
    struct cutover *c = arg;
    c->orders_ready = true;
    if (c->state == CUTOVER_CHECKING)
        orders_probe(c->orders, c->order.then == CUTOVER_THEN_REVERSE,
                     c->run->settings->target.password != NULL);
    else if (c->state == CUTOVER_UNDOING)
        orders_unpause(c->orders);
    else if (c->state == CUTOVER_REVERSING)
        orders_reverse(c->orders, c->run->settings->target.host, c->run->settings->target.port);
}

static void on_lost(const struct error *why, void *arg)
{
    struct cutover *c = arg;
    c->orders_lost = true;
    c->orders_ready = false;
    if (c->state == CUTOVER_UNDOING || c->state == CUTOVER_ENDING || c->state == CUTOVER_NONE ||
        c->state == CUTOVER_DONE)
        return;
    cutover_blame(c, why->class == ERROR_FATAL && why->exit_code ? why->exit_code : EX_TEMPFAIL, why->text);
    cutover_post(c, CUTOVER_TROUBLE);
}

static void blame_refusal(struct cutover *c, const char *command, const char *text)
{
    char why[480];
    snprintf(why, sizeof why, "source %s refuses %s: %.200s", c->run->source_name, command, text);
    cutover_blame(c, EX_TEMPFAIL, why);
}

static void keep_lsns(struct cutover *c, const uint64_t *lsns)
{
    size_t bytes = c->run->flow_count * sizeof *c->lsns, len = 0;
    free(c->lsns);
    c->lsns = x_malloc(bytes ? bytes : 1);
    memcpy(c->lsns, lsns, bytes);
    c->lsns_text[0] = '\0';
    for (uint32_t i = 0; i < c->run->flow_count && len + 24 < sizeof c->lsns_text; i++)
        len += (size_t)snprintf(c->lsns_text + len, sizeof c->lsns_text - len, "%s%" PRIu64, i ? "-" : "",
                                lsns[i]);
}

static void take_lsns(struct cutover *c, const struct orders_answer *a)
{
    bool known = c->lsns && a->ok && memcmp(c->lsns, a->lsns, c->run->flow_count * sizeof *c->lsns) == 0;
    if (!a->ok) {
        blame_refusal(c, "DFLY REPLICAOFFSET", a->text);
        cutover_post(c, CUTOVER_REFUSED);
        return;
    }
    if (!known)
        keep_lsns(c, a->lsns);
    if (c->state == CUTOVER_ASKING)
        cutover_post(c, CUTOVER_LSNS);
    else if (c->state == CUTOVER_CONFIRMING)
        cutover_post(c, known ? CUTOVER_UNCHANGED : CUTOVER_CHANGED);
    if (c->state == CUTOVER_CLOSING && !known)
        cutover_say(
            c, "the source was written to in spite of the pause (by its admin port?): that is copied, too");
}

static void take_probe(struct cutover *c, const struct orders_answer *a)
{
    char text[480];
    c->probed = a->ok;
    if (a->ok)
        return;
    if (strcmp(a->text, "masterauth") == 0)
        snprintf(
            text, sizeof text,
            "the target wants a password, and source %s has none to log in there as a replica: CONFIG SET "
            "masterauth, and masteruser, on the source",
            c->run->source_name);
    else
        snprintf(text, sizeof text, "source %s: its user lacks rights for a cut-over: give it %s",
                 c->run->source_name, a->text);
    cutover_blame(c, EX_NOPERM, text);
    cutover_post(c, CUTOVER_REFUSED);
}

static void on_answered(const struct orders_answer *a, void *arg);

static void on_follower_ready(void *arg)
{
    struct cutover *c = arg;
    c->follower_ready = true;
}

static void on_follower_lost(const struct error *why, void *arg)
{
    struct cutover *c = arg;
    c->follower_ready = false;
    log_debug("cut-over: %s", why->text);
}

void cutover_connect_target(struct cutover *c)
{
    struct error error = {0};
    struct orders_callbacks callbacks = {
        .arg = c, .ready = on_follower_ready, .answered = on_answered, .lost = on_follower_lost};
    orders_free(c->follower);
    c->follower_ready = false;
    c->follower = orders_connect(c->run->base, "target", &c->run->settings->target, c->run->settings, 0,
                                 &callbacks, &error);
}

static void take_reverse(struct cutover *c, const struct orders_answer *a)
{
    if (!a->ok) {
        blame_refusal(c, "REPLICAOF", a->text);
        cutover_post(c, CUTOVER_REFUSED);
        return;
    }
    c->reversed = true;
    c->reversed_ms = clock_monotonic_ms();
    orders_unpause(c->orders); /* clients that wait there get an error now: it is a replica */
    cutover_say(c, "reversed: the source is a replica of the target now, and gets a first copy");
    cutover_connect_target(c);
}

static void on_answered(const struct orders_answer *a, void *arg)
{
    struct cutover *c = arg;
    switch (a->order) {
    case ORDER_PROBE:
        if (c->state == CUTOVER_CHECKING)
            take_probe(c, a);
        break;
    case ORDER_PAUSE:
        if (c->state == CUTOVER_CLOSING)
            break; /* the first one still holds */
        if (!a->ok)
            blame_refusal(c, "CLIENT PAUSE", a->text);
        cutover_post(c, a->ok ? CUTOVER_PAUSED : CUTOVER_REFUSED);
        break;
    case ORDER_LSNS:
        if (c->state == CUTOVER_ASKING || c->state == CUTOVER_CONFIRMING || c->state == CUTOVER_CLOSING)
            take_lsns(c, a);
        break;
    case ORDER_UNPAUSE:
        cutover_post(c, a->ok ? CUTOVER_UNPAUSED : CUTOVER_REFUSED);
        break;
    case ORDER_TAKE_OVER:
        if (!a->ok)
            blame_refusal(c, "DFLY TAKEOVER", a->text);
        cutover_post(c, a->ok ? CUTOVER_TAKEN : CUTOVER_REFUSED);
        break;
    case ORDER_SEND_AWAY:
        if (a->ok && a->count)
            cutover_say(c, "%" PRIu64 " client%s that waited at the source %s disconnected from it", a->count,
                        a->count == 1 ? "" : "s", a->count == 1 ? "was" : "were");
        cutover_post(c, CUTOVER_CLOSED);
        break;
    case ORDER_REVERSE:
        take_reverse(c, a);
        break;
    case ORDER_LINK:
        c->online = a->ok;
        if (a->ok)
            cutover_post(c, CUTOVER_REVERSED);
        break;
    }
}

bool cutover_connect_source(struct cutover *c)
{
    struct error error = {0};
    struct orders_callbacks callbacks = {
        .arg = c, .ready = on_ready, .answered = on_answered, .lost = on_lost};
    c->connect_ms = clock_monotonic_ms();
    c->orders_ready = c->orders_lost = false;
    orders_free(c->orders);
    c->orders = orders_connect(c->run->base, "source", &c->run->source_uri, c->run->settings,
                               c->run->flow_count, &callbacks, &error);
    if (!c->orders)
        cutover_blame(c, EX_TEMPFAIL, error.text);
    return c->orders != NULL;
}
