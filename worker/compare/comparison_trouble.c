/* Early ends of a comparison: a failed batch, a moved slot, a key that cannot be compared. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/net/resp.h"
#include "worker/compare/comparison_internal.h"

void comparison_fail(struct comparison *x, const struct error *why)
{
    if (x->trouble.class || x->stage == STAGE_IDLE)
        return;
    x->trouble = *why;
    event_active(x->soon, EV_TIMEOUT, 1);
}

void comparison_fail_answer(struct comparison *x, int side, const redisReply *reply)
{
    struct error why;
    error_set(&why, ERROR_RETRY, "the %s answers %s", side == TARGET ? "target" : "source", resp_text(reply));
    comparison_fail(x, &why);
}

void comparison_follow(struct comparison *x, const char *text)
{
    struct error why;
    const char *at = strrchr(text, ' '), *colon = at ? strrchr(at, ':') : NULL;
    uint64_t port;
    if (!colon || !slice_to_u64(slice_str(colon + 1), &port) || port > UINT16_MAX) {
        error_set(&why, ERROR_RETRY, "the target answers %s", text);
        comparison_fail(x, &why);
        return;
    }
    struct uri node = {0};
    uri_copy(&node, &x->config.settings->target);
    if (colon > at + 1) { /* no host: the same host, another port */
        free(node.host);
        node.host = x_strndup(at + 1, (size_t)(colon - at - 1));
    }
    node.port = (uint16_t)port;
    uri_free(&x->node);
    x->node = node;
    error_set(&why, ERROR_REDIRECT, "the target answers %s", text);
    comparison_fail(x, &why);
}

void comparison_impossible(struct pair *p, const char *reason, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(p->told.text, sizeof p->told.text, format, args);
    va_end(args);
    snprintf(p->told.reason, sizeof p->told.reason, "%s", reason);
    p->told.outcome = COMPARISON_IMPOSSIBLE;
    p->decided = true;
}
