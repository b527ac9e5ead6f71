/* The comparison's last word: MULTI, what makes the target's values those of the source, EXEC. */
#include <stdio.h>
#include <stdlib.h>

#include "common/ipc/divergence.h"
#include "common/net/resp.h"
#include "worker/compare/comparison_internal.h"
#include "worker/link/reply_reader.h"

/* Arguments of the next command in it. */
static size_t split_command(struct slice *in, struct slice **argv, size_t *room)
{
    char *end;
    size_t argc = strtoull((const char *)in->data + 1, &end, 10);
    if (argc > *room)
        *argv = x_realloc(*argv, (*room = argc) * sizeof **argv);
    const uint8_t *at = (const uint8_t *)end + 2;
    for (size_t i = 0; i < argc; i++) {
        size_t len = strtoull((const char *)at + 1, &end, 10);
        (*argv)[i] = slice_of(end + 2, len);
        at = (const uint8_t *)end + 2 + len + 2;
    }
    *in = slice_of(at, in->len - (size_t)(at - in->data));
    return argc;
}

void comparison_ask_batch(struct comparison *x)
{
    struct slice *argv = NULL;
    size_t room = 0;
    buf_put_u8(&x->batch->out, 0); /* for strtoull */
    x->batch->once = false;        /* it needs no MULTI of its own */
    size_t begin = batch_begin(x->batch);
    struct slice rest = slice_of(x->batch->out.data + begin, x->batch->out.len - 1 - begin);
    while (rest.len) {
        size_t argc = split_command(&rest, &argv, &room);
        comparison_ask(x, TARGET, argc, argv);
    }
    free(argv);
}

void comparison_ask_exec(struct comparison *x)
{
    bool any = false;
    batch_reset(x->batch, BATCH_MAX_BYTES / 16);
    for (size_t i = 0; i < x->count; i++) {
        comparison_judge(x, &x->pairs[i]);
        any |= !x->pairs[i].decided || x->pairs[i].commands;
    }
    if (!any) {
        comparison_ask_word(x, TARGET, "UNWATCH");
        return;
    }
    comparison_ask_word(x, TARGET, "MULTI");
    comparison_ask_batch(x);
    comparison_ask_word(x, TARGET, "EXEC");
}

/* The target looks at what it restores more closely than the source does: two equal fields in a hash. */
static bool is_payload_refusal(struct slice text)
{
    return slice_begins(text, "ERR Bad data format") || slice_begins(text, "ERR DUMP payload");
}

/* It says nothing of the key: the target is full, say, or the slot has moved. */
static bool is_for_now(struct slice text)
{
    enum refusal refusal = refusal_class(text);
    return refusal == REFUSAL_WAIT || refusal == REFUSAL_MOVED;
}

static void note_refusal(struct pair *p, const redisReply *reply)
{
    struct slice text = slice_of(reply->str, reply->len);
    p->decided = true;
    if (p->large) /* the copy was evicted, perhaps */
        return;
    if (!p->told.by_elements && is_payload_refusal(text))
        p->told.by_elements = true;
    else if (!is_for_now(text)) /* that: another time */
        comparison_impossible(p, DIVERGENCE_REFUSED, "%s", resp_text(reply));
}

static void decide(struct comparison *x, const redisReply *exec)
{
    for (size_t i = 0; i < x->count; i++) {
        struct pair *p = &x->pairs[i];
        for (size_t k = p->first_command; k < p->first_command + p->commands && k < exec->elements; k++)
            if (exec->element[k]->type == REDIS_REPLY_ERROR && !p->decided &&
                p->told.outcome != COMPARISON_IMPOSSIBLE)
                note_refusal(p, exec->element[k]);
        p->differs_surely = p->differs && !p->decided;
        if (p->decided || p->wants_copy)
            continue;
        p->told.outcome = !p->differs        ? COMPARISON_EQUAL
                          : x->config.repair ? COMPARISON_HEALED
                                             : COMPARISON_DIFFERENT;
    }
}

/* One command was not queued: nothing was done. Which key it is about is known when there is only one. */
static void not_queued(struct comparison *x)
{
    struct slice text = slice_str(x->queue_text);
    bool waits = is_for_now(text);
    for (size_t i = 0; i < x->count; i++) {
        struct pair *p = &x->pairs[i];
        if (p->told.outcome == COMPARISON_IMPOSSIBLE || waits)
            continue;
        if (x->count == 1)
            comparison_impossible(p, DIVERGENCE_REFUSED, "%s", x->queue_text);
        p->told.alone = true;
    }
}

/* Somebody has written to one of them. */
static void aborted(struct comparison *x)
{
    for (size_t i = 0; i < x->count; i++) {
        struct compared *told = &x->pairs[i].told;
        told->alone = true;
        if (x->pairs[i].commands)
            told->outcome = COMPARISON_AGAIN;
    }
}

void comparison_on_exec(struct comparison *x, const redisReply *reply)
{
    bool last = x->got + 1 == x->awaited;
    if (!last && reply->type == REDIS_REPLY_ERROR && !x->queue_refused) {
        x->queue_refused = true;
        snprintf(x->queue_text, sizeof x->queue_text, "%s", resp_text(reply));
    }
    if (!last)
        return;
    if (reply->type == REDIS_REPLY_ARRAY)
        decide(x, reply);
    else if (reply->type == REDIS_REPLY_ERROR && x->queue_refused)
        not_queued(x);
    else if (reply->type == REDIS_REPLY_ERROR)
        comparison_fail_answer(x, TARGET, reply);
    else if (reply->type == REDIS_REPLY_NIL)
        aborted(x);
}
