/* The comparison of one value that is too large for DUMP: both sides are read in pieces (large.h); if they differ, the
 * source's value is read again and written to a temporary key.
 *
 *   target   WATCH k                     as for other values
 *   target   TYPE, PEXPIRETIME, pieces   T
 *   source   WATCH k
 *   source   TYPE, PEXPIRETIME, pieces   S
 *   source   MULTI EXISTS k EXEC         succeeded: S is the source's value at one moment
 *   …        REPLICAOFFSET, wait, EXEC   as for other values: k was not written on the target meanwhile
 *
 * If T differs from S:  the same again with a new WATCH, but instead of reading T the pieces of S are written to
 * df2redis:NAME:new:k, and the EXEC has a RENAME of it. That key has a time to live, so that it goes away if the worker
 * dies.
 *
 * The EXEC on the source only reads, and is necessary: a write that changes nothing on a wrong target does not touch k
 * there, and pieces from before and after it would form a value that the source never had. */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/size_text.h"
#include "common/ipc/divergence.h"
#include "common/net/resp.h"
#include "common/redis/topology.h"
#include "worker/compare/comparison_internal.h"
#include "worker/link/reply_reader.h"
#include "worker/translate/elements.h"

#define BESIDE_TTL_MS "600000"
enum { APPEND_BYTES = 256 << 10 };

enum {
    STEP_TARGET_HEAD,
    STEP_TARGET_PIECES,
    STEP_SOURCE_HEAD,
    STEP_SOURCE_PIECES,
    STEP_WRITING,
    STEP_SOURCE_EXEC
};

static struct pair *pair_of(struct comparison *x)
{
    return &x->pairs[0];
}

static void give_up_key(struct comparison *x)
{
    pair_of(x)->decided = true; /* AGAIN */
    x->large.over = true;
}

/* ---- the temporary key ---- */

static struct slice temporary_key(struct comparison *x)
{
    struct buf *name = &x->large.beside;
    struct slice key = pair_of(x)->told.key;
    buf_clear(name);
    buf_printf(name, "df2redis:%s:new:", x->config.settings->name);
    if (x->target.cluster)
        buf_printf(name, "{%s}:", slot_tag(key_slot(key)));
    buf_put(name, key.data, key.len);
    return buf_slice(name);
}

/* If this is not carried out, the temporary key stays until it expires. */
static void remove_temporary_key(struct comparison *x)
{
    struct slice argv[] = {slice_str("UNLINK"), temporary_key(x)};
    if (x->sides[TARGET].client)
        client_command(x->sides[TARGET].client, 0, NULL, NULL, 2, argv);
}

/* ---- questions ---- */

static void ask_head(struct comparison *x, int side)
{
    struct slice key = pair_of(x)->told.key;
    struct slice watch[] = {slice_str("WATCH"), key}, type[] = {slice_str("TYPE"), key};
    comparison_select_db(x, side);
    comparison_ask_word(x, side, "UNWATCH");
    comparison_ask(x, side, 2, watch);
    comparison_ask(x, side, 2, type);
    comparison_ask_expiry(x, side, key);
}

static void enter_step(struct comparison *x, int step);

static void ask_piece(struct comparison *x, int side)
{
    size_t argc = large_question(&x->large.walk, pair_of(x)->told.key, x->large.argv);
    if (argc)
        comparison_ask(x, side, argc, x->large.argv);
    else if (!large_is_exact(&x->large.walk))
        give_up_key(x);
    else
        enter_step(x, side == TARGET ? STEP_SOURCE_HEAD : STEP_SOURCE_EXEC);
}

static void enter_step(struct comparison *x, int step)
{
    struct slice exists[] = {slice_str("EXISTS"), pair_of(x)->told.key};
    struct slice watch[] = {slice_str("WATCH"), pair_of(x)->told.key};
    x->large.step = step;
    x->awaited = x->got = 0;
    switch (step) {
    case STEP_TARGET_HEAD:
        if (!x->large.copying) {
            ask_head(x, TARGET);
            return;
        }
        comparison_ask(x, TARGET, 2, watch);
        struct slice unlink[] = {slice_str("UNLINK"), temporary_key(x)};
        comparison_ask(x, TARGET, 2, unlink);
        return;
    case STEP_SOURCE_HEAD:
        ask_head(x, SOURCE);
        return;
    case STEP_TARGET_PIECES:
        ask_piece(x, TARGET);
        return;
    case STEP_SOURCE_PIECES:
        ask_piece(x, SOURCE);
        return;
    case STEP_SOURCE_EXEC:
        comparison_ask_word(x, SOURCE, "MULTI");
        comparison_ask(x, SOURCE, 2, exists);
        comparison_ask_word(x, SOURCE, "EXEC");
        return;
    default:
        return;
    }
}

static void begin_reading(struct comparison *x, bool copying)
{
    x->large.copying = copying;
    x->large.over = false;
    enter_step(x, STEP_TARGET_HEAD);
}

void comparison_large_begin(struct comparison *x)
{
    pair_of(x)->large = true;
    begin_reading(x, false);
}

/* ---- heads ---- */

static bool is_refused(struct comparison *x, int side, const redisReply *reply)
{
    if (reply->type != REDIS_REPLY_ERROR)
        return false;
    comparison_on_value_error(x, side, reply);
    return true;
}

/* UNWATCH, WATCH, TYPE, [TIME,] PEXPIRETIME or PTTL. */
static void on_head(struct comparison *x, int side, const redisReply *reply)
{
    struct pair *p = pair_of(x);
    if (x->got < 2)
        return;
    if (x->got > 2) {
        comparison_on_expiry(x, side, p, reply);
        return;
    }
    enum digest_kind kind = large_kind(reply->str);
    if (side == SOURCE && kind == DIGEST_FOREIGN) {
        comparison_impossible(p, DIVERGENCE_TOO_LARGE_TO_COMPARE,
                              "a %s of %s, and above %s this type is not compared; rewrite the key on the "
                              "source, or copy it by hand",
                              reply->str, size_text(p->bytes), size_text(COMPARISON_VALUE_MAX_BYTES));
        give_up_key(x);
    } else if (side == SOURCE) {
        p->told.bytes += p->bytes;
    }
    large_begin(&x->large.walk, side == TARGET ? &p->target : &p->source, kind, p->bytes,
                x->target.hash_field_ttl, clock_unix_ms());
}

/* ---- pieces ---- */

static void append_text(struct comparison *x, struct slice name, struct slice text)
{
    while (text.len) {
        size_t n = text.len < APPEND_BYTES ? text.len : APPEND_BYTES;
        output_begin(x->output, x->translator.db, name, 3, OUTPUT_ONCE);
        output_text(x->output, "APPEND");
        output_arg(x->output, name);
        output_arg(x->output, slice_of(text.data, n));
        output_end(x->output);
        text = slice_of(text.data + n, text.len - n);
    }
}

/* Translates a page of the source's value into commands for the temporary key. */
static bool write_page(struct comparison *x)
{
    struct large_walk *w = &x->large.walk;
    struct slice name = temporary_key(x);
    struct placing placing = {.key = pair_of(x)->told.key, .write_key = name};
    struct error why;
    size_t most = capabilities_argument_bytes(&x->target);
    for (size_t i = 0; i < w->count; i++)
        if (w->elements[i].a.len > most || w->elements[i].b.len > most) {
            comparison_impossible(pair_of(x), DIVERGENCE_TOO_LARGE, "an element");
            give_up_key(x);
            return false;
        }
    batch_reset(x->batch, BATCH_MAX_BYTES / 16);
    x->translator.db = x->batch->current_db = pair_of(x)->told.db;
    if (w->kind != DIGEST_STRING) {
        elements_write(&x->translator, &placing, large_class(w), w->elements, w->count, &why);
    } else {
        append_text(x, name, buf_slice(&w->bytes_of_page));
    }
    output_begin(x->output, x->translator.db, name, 3, OUTPUT_IDEMPOTENT);
    output_text(x->output, "PEXPIRE");
    output_arg(x->output, name);
    output_text(x->output, BESIDE_TTL_MS);
    output_end(x->output);
    return true;
}

static void on_piece(struct comparison *x, int side, const redisReply *reply)
{
    bool whole;
    if (reply->type == REDIS_REPLY_ERROR && x->large.walk.kind != DIGEST_HASH) {
        comparison_on_value_error(x, side, reply);
        return;
    }
    if (!large_answer(&x->large.walk, reply, &whole)) {
        if (!is_refused(x, side, reply))
            give_up_key(x);
        return;
    }
    if (whole && x->large.copying && x->large.walk.count + x->large.walk.bytes_of_page.len && write_page(x)) {
        x->large.step = STEP_WRITING;
        x->awaited = x->got = 0;
        comparison_ask_batch(x);
    }
}

/* After a temporary refusal the key is AGAIN. */
static void on_written(struct comparison *x, const redisReply *reply)
{
    if (reply->type != REDIS_REPLY_ERROR)
        return;
    if (refusal_class(slice_of(reply->str, reply->len)) == REFUSAL_COMMAND)
        comparison_impossible(pair_of(x), DIVERGENCE_REFUSED, "%s", resp_text(reply));
    give_up_key(x);
}

/* ---- steps ---- */

static void leave_step(struct comparison *x)
{
    switch (x->large.step) {
    case STEP_TARGET_HEAD:
        enter_step(x, x->large.copying ? STEP_SOURCE_HEAD : STEP_TARGET_PIECES);
        return;
    case STEP_SOURCE_HEAD:
        enter_step(x, STEP_SOURCE_PIECES);
        return;
    case STEP_WRITING:
        enter_step(x, STEP_SOURCE_PIECES);
        return;
    default:
        enter_step(x, x->large.step);
    }
}

enum comparison_large_state comparison_on_large(struct comparison *x, const redisReply *reply)
{
    bool done = false;
    int step = x->large.step;
    switch (step) {
    case STEP_TARGET_HEAD:
        if (!is_refused(x, TARGET, reply) && !x->large.copying)
            on_head(x, TARGET, reply);
        break;
    case STEP_SOURCE_HEAD:
        if (!is_refused(x, SOURCE, reply))
            on_head(x, SOURCE, reply);
        break;
    case STEP_TARGET_PIECES:
        on_piece(x, TARGET, reply);
        break;
    case STEP_SOURCE_PIECES:
        on_piece(x, SOURCE, reply);
        break;
    case STEP_WRITING:
        on_written(x, reply);
        break;
    default: /* STEP_SOURCE_EXEC */
        if (!is_refused(x, SOURCE, reply) && x->got == 2) {
            done = reply->type == REDIS_REPLY_ARRAY;
            if (!done) /* aborted: written meanwhile */
                give_up_key(x);
        }
    }
    if (x->trouble.class)
        return COMPARISON_LARGE_GOES_ON;
    if (x->large.step != step) /* the page is being written */
        return COMPARISON_LARGE_GOES_ON;
    if (++x->got < x->awaited)
        return COMPARISON_LARGE_GOES_ON;
    if (!done && !x->large.over)
        leave_step(x);
    if (x->large.over || pair_of(x)->decided) {
        if (x->large.copying)
            remove_temporary_key(x);
        return COMPARISON_LARGE_UNDECIDED;
    }
    return done ? COMPARISON_LARGE_READ : COMPARISON_LARGE_GOES_ON;
}

/* ---- the end ---- */

void comparison_large_write(struct comparison *x)
{
    struct pair *p = pair_of(x);
    if (!x->large.copying) {
        p->wants_copy = true;
        return;
    }
    struct slice name = temporary_key(x);
    comparison_unlink(
        x, p->told.key); /* RENAME alone would free the old value synchronously, and block the target */
    output_begin(x->output, p->told.db, name, 3, OUTPUT_ONCE);
    output_text(x->output, "RENAME");
    output_arg(x->output, name);
    output_arg(x->output, p->told.key);
    output_end(x->output);
    output_begin(x->output, p->told.db, p->told.key, p->source_expire_ms > 0 ? 3 : 2, OUTPUT_IDEMPOTENT);
    output_text(x->output, p->source_expire_ms > 0 ? "PEXPIREAT" : "PERSIST");
    output_arg(x->output, p->told.key);
    if (p->source_expire_ms > 0)
        output_i64(x->output, p->source_expire_ms);
    output_end(x->output);
}

bool comparison_large_copies(struct comparison *x)
{
    struct pair *p = pair_of(x);
    if (x->large.copying && p->told.outcome != COMPARISON_HEALED)
        remove_temporary_key(x);
    if (x->large.copying || !p->wants_copy || !p->differs_surely)
        return false;
    p->decided = false;
    begin_reading(x, true);
    return true;
}
