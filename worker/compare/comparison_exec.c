/* The last stage of a comparison: MULTI, the commands that heal the keys, EXEC. */
#include <stdio.h>
#include <string.h>

#include "common/ipc/divergence.h"
#include "common/net/resp.h"
#include "worker/compare/comparison_internal.h"
#include "worker/link/reply_reader.h"

/* Whether the values differ as they did before the key was rewritten. */
static bool difference_recurs(const struct comparison *x, struct pair *p)
{
    uint64_t before = p->told.difference;
    if (!p->differs || (p->large && x->large.copying)) /* then only the source was read */
        return false;
    p->told.difference = comparison_difference(x, p);
    return p->told.difference == before;
}

/* Compares the values of a key; if they differ, and config.repair is set, adds the commands that heal it to
 * x->batch. */
static void compare_pair(struct comparison *x, struct pair *p)
{
    p->commands = 0;
    p->guarded = false;
    p->wants_copy = p->recurs = false;
    if (p->decided)
        return;
    /* The target's value may have been written since it was read: the copy replaces it in any case. */
    p->differs = (p->large && x->large.copying) || !comparison_is_equal(x, p);
    /* Commands on groups (XACK, XCLAIM, XGROUP …) do not touch their stream for WATCH. */
    p->guarded = p->target.kind == DIGEST_STREAM && p->target_dump.bytes && x->target.scripts;
    p->told.type = p->source.kind != DIGEST_NOTHING ? p->source.kind : p->target.kind;
    if (p->differs && !(p->large && x->large.copying))
        p->told.kind = comparison_kind(p);
    p->recurs = difference_recurs(x, p);
    if (p->differs && p->source.kind == DIGEST_FOREIGN && p->target.kind == DIGEST_FOREIGN &&
        !x->config.repair)
        comparison_impossible(p, DIVERGENCE_TYPE, "%s", rdb_type_name(p->source.type));
    if (!p->differs || p->recurs || !x->config.repair)
        return;
    p->first_command = x->batch->commands;
    p->told.expires_ms =
        p->source.kind != DIGEST_NOTHING && p->source_expire_ms > 0 ? p->source_expire_ms : 0;
    x->translator.db = x->batch->current_db = p->told.db;
    if (p->source.kind == DIGEST_FOREIGN)
        comparison_impossible(p, DIVERGENCE_TYPE, "%s", rdb_type_name(p->source.type));
    /* A foreign value on both sides: the target's module built it from the same commands, so it is kept. */
    if (p->source.kind == DIGEST_NOTHING ||
        (p->source.kind == DIGEST_FOREIGN && p->target.kind != DIGEST_FOREIGN))
        comparison_unlink(x, p->told.key);
    else if (p->large)
        comparison_large_write(x);
    else if (p->source.kind != DIGEST_FOREIGN)
        comparison_write_value(x, p);
    p->commands = x->batch->commands - p->first_command;
}

void comparison_ask_exec(struct comparison *x)
{
    bool any = false;
    batch_reset(x->batch, BATCH_MAX_BYTES / 16);
    for (size_t i = 0; i < x->count; i++) {
        compare_pair(x, &x->pairs[i]);
        any |= !x->pairs[i].decided || x->pairs[i].commands;
    }
    if (!any) {
        comparison_ask_word(x, TARGET, "UNWATCH");
        return;
    }
    comparison_ask_word(x, TARGET, "MULTI");
    comparison_ask_all(x);
    comparison_ask_word(x, TARGET, "EXEC");
}

/* The target validates a payload more strictly than the source, e.g. refuses duplicate fields in a hash. */
static bool is_payload_refusal(struct slice text)
{
    return slice_begins(text, "ERR Bad data format") || slice_begins(text, "ERR DUMP payload");
}

/* A temporary refusal, independent of the key: the target is full, the slot has moved. */
static bool is_temporary_refusal(struct slice text)
{
    enum refusal refusal = refusal_class(text);
    return refusal == REFUSAL_WAIT || refusal == REFUSAL_MOVED;
}

/* Without the position in the script that Redis 6.2 puts first: "@user_script: 1: -OOM …". */
static struct slice refusal_text(const redisReply *reply)
{
    struct slice text = slice_of(reply->str, reply->len);
    static const char script[] = "@user_script";
    while (slice_begins(text, script)) {
        const char *at = (const char *)text.data + sizeof script - 1;
        text = slice_str(at + strspn(at, ": 0123456789-"));
    }
    return text;
}

static void note_refusal(struct pair *p, const redisReply *reply)
{
    struct slice text = refusal_text(reply);
    p->decided = true;
    if (p->large) /* the copy may have been evicted */
        return;
    if (!p->told.by_elements && is_payload_refusal(text))
        p->told.by_elements = true;
    else if (!is_temporary_refusal(text)) /* a temporary refusal: AGAIN */
        comparison_impossible(p, DIVERGENCE_REFUSED, "%s", resp_text(reply));
}

static bool pair_was_written(const struct pair *p, const redisReply *exec)
{
    if (!p->guarded || p->first_command >= exec->elements)
        return false;
    const redisReply *answer = exec->element[p->first_command];
    return answer->type == REDIS_REPLY_INTEGER && answer->integer == 0;
}

static void decide_pairs(struct comparison *x, const redisReply *exec)
{
    for (size_t i = 0; i < x->count; i++) {
        struct pair *p = &x->pairs[i];
        if (pair_was_written(p, exec)) {
            p->told.alone = true;
            p->told.outcome = COMPARISON_AGAIN;
            continue;
        }
        for (size_t k = p->first_command; k < p->first_command + p->commands && k < exec->elements; k++)
            if (exec->element[k]->type == REDIS_REPLY_ERROR && !p->decided &&
                p->told.outcome != COMPARISON_IMPOSSIBLE)
                note_refusal(p, exec->element[k]);
        p->differs_surely = p->differs && !p->decided;
        if (p->decided || p->wants_copy)
            continue;
        if (p->recurs) {
            comparison_impossible(p, "", "the target holds its value otherwise than it was written");
            continue;
        }
        p->told.outcome = !p->differs        ? COMPARISON_EQUAL
                          : x->config.repair ? COMPARISON_HEALED
                                             : COMPARISON_DIFFERENT;
    }
}

/* A command was not queued, so the EXEC was discarded. Its key is known only in a batch of one. */
static void on_not_queued(struct comparison *x)
{
    struct slice text = slice_str(x->queue_text);
    bool waits = is_temporary_refusal(text);
    for (size_t i = 0; i < x->count; i++) {
        struct pair *p = &x->pairs[i];
        if (p->told.outcome == COMPARISON_IMPOSSIBLE || waits)
            continue;
        if (x->count == 1)
            comparison_impossible(p, DIVERGENCE_REFUSED, "%s", x->queue_text);
        p->told.alone = true;
    }
}

/* The EXEC was aborted: one of the keys was written meanwhile. */
static void on_aborted(struct comparison *x)
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
        decide_pairs(x, reply);
    else if (reply->type == REDIS_REPLY_ERROR && x->queue_refused)
        on_not_queued(x);
    else if (reply->type == REDIS_REPLY_ERROR)
        comparison_fail_answer(x, TARGET, reply);
    else if (reply->type == REDIS_REPLY_NIL)
        on_aborted(x);
}
