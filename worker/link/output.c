/* Writes commands into batches, as RESP, argument by argument. */
#include "worker/link/batch.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/net/resp_write.h"
#include "worker/link/round.h"

enum { NOWHERE_KEEP_BYTES = 64 * 1024 };

struct output {
    struct batch *batch;
    struct round *round; /* NULL: batch alone */
    output_route *route; /* NULL: the round's only batch */
    void *route_arg;
    struct database_marks *databases; /* may be NULL */
    struct batch *nowhere;            /* takes commands that the target has already */
    size_t begun_bytes;               /* bytes of the batch when the command began */
    uint32_t begun_commands;
    struct {
        size_t out, borrowed, borrowed_bytes, conflict_at;
        bool once, conflicts;
    } before; /* state before the command, after its SELECT */
    struct output_limits most;
    bool too_large;
    unsigned left_out;
    uint64_t seq;
    size_t borrow_from;
    struct buf *test_resp; /* output_for_tests */
    bool *test_once;
};

struct output *output_new(void)
{
    struct output *o = x_calloc(1, sizeof *o);
    o->most = OUTPUT_UNLIMITED;
    return o;
}

void output_limit(struct output *o, struct output_limits most)
{
    o->most = most;
}

unsigned output_left_out(struct output *o)
{
    unsigned n = o->left_out;
    o->left_out = 0;
    return n;
}

struct output *output_for_tests(struct buf *resp, bool *once)
{
    struct output *o = output_new();
    o->batch = batch_new();
    o->test_resp = resp;
    o->test_once = once;
    return o;
}

static struct batch *route_of_tests(void *arg, struct round *r, struct slice key, unsigned flags)
{
    (void)r, (void)key, (void)flags;
    return arg;
}

void output_by_slot_for_tests(struct output *o)
{
    o->route = route_of_tests;
    o->route_arg = o->batch;
}

void output_free(struct output *o)
{
    if (o && o->test_resp)
        batch_free(o->batch);
    if (o)
        batch_free(o->nowhere);
    free(o);
}

void output_target(struct output *o, struct batch *b)
{
    o->batch = b;
}

void output_round(struct output *o, struct round *r, output_route *route, void *arg)
{
    o->round = r;
    o->batch = route ? NULL : r->plain[0];
    o->route = route;
    o->route_arg = arg;
}

void output_mark_databases(struct output *o, struct database_marks *marks)
{
    o->databases = marks;
}

bool output_by_slot(const struct output *o)
{
    return o->route != NULL;
}

bool output_wants_probe(struct output *o, struct slice key, unsigned flags, bool alone)
{
    struct batch *b = o->route ? o->route(o->route_arg, o->round, key, flags) : NULL;
    if (!b || !b->once || b->asking || b->probed || !(alone || b->commands))
        return false;
    b->probed = true;
    return true;
}

size_t output_nodes(const struct output *o)
{
    return o->route ? o->round->nodes : 1;
}

void output_borrow_from(struct output *o, size_t bytes)
{
    o->borrow_from = bytes;
}

size_t output_borrowing(const struct output *o)
{
    return o->borrow_from;
}

void output_entry(struct output *o, uint64_t seq)
{
    o->seq = seq;
}

static void count_command(struct output *o)
{
    buf_put(&o->batch->seqs, &o->seq, sizeof o->seq);
    o->batch->commands++;
}

static void select_db(struct output *o, uint32_t db)
{
    struct batch *b = o->batch;
    char text[24];
    if (o->databases && database_marks_take(o->databases, db)) {
        database_marks_write(o->databases, db, &b->out);
        count_command(o);
    }
    resp_put_array(&b->out, 2);
    resp_put_text(&b->out, "SELECT");
    resp_put_bulk(&b->out, slice_of(text, format_u64(text, db)));
    count_command(o);
    b->current_db = db;
}

void output_begin(struct output *o, uint32_t db, struct slice key, size_t argc, unsigned flags)
{
    if (o->route && !(o->batch = o->route(o->route_arg, o->round, key, flags))) {
        if (!o->nowhere)
            o->nowhere = batch_new();
        o->batch = o->nowhere;
    }
    struct batch *b = o->batch;
    o->begun_bytes = b->out.len + b->borrowed_bytes;
    o->begun_commands = b->commands;
    if (!o->route && b->current_db != db)
        select_db(o, db);
    o->too_large = false;
    o->before.out = b->out.len;
    o->before.borrowed = b->borrowed_count;
    o->before.borrowed_bytes = b->borrowed_bytes;
    o->before.conflict_at = b->conflict_at.len;
    o->before.once = b->once;
    o->before.conflicts = b->conflicts;
    if (flags & OUTPUT_ONCE)
        b->once = true;
    if (flags & OUTPUT_CONFLICT) {
        buf_put(&b->conflict_at, &b->commands, sizeof b->commands);
        b->conflicts = true;
    }
    resp_put_array(&b->out, argc);
}

void output_arg(struct output *o, struct slice arg)
{
    struct batch *b = o->batch;
    if (__builtin_expect(arg.len > o->most.argument, 0)) {
        o->too_large = true;
        return;
    }
    if (__builtin_expect(o->borrow_from && arg.len >= o->borrow_from, 0) &&
        b->borrowed_count < BATCH_MAX_BORROWED) {
        resp_put_header(&b->out, '$', arg.len);
        b->borrowed[b->borrowed_count].at = b->out.len;
        b->borrowed[b->borrowed_count++].data = arg;
        b->borrowed_bytes += arg.len;
        buf_put(&b->out, "\r\n", 2);
        return;
    }
    resp_put_bulk(&b->out, arg);
}

void output_arg_parts(struct output *o, const struct slice *parts, size_t count)
{
    struct batch *b = o->batch;
    size_t len = 0;
    for (size_t i = 0; i < count; i++)
        len += parts[i].len;
    if (len > o->most.argument) {
        o->too_large = true;
        return;
    }
    resp_put_header(&b->out, '$', len);
    buf_reserve(&b->out, len + 2);
    for (size_t i = 0; i < count; i++) {
        if (o->borrow_from && parts[i].len >= o->borrow_from && b->borrowed_count < BATCH_MAX_BORROWED - 1) {
            b->borrowed[b->borrowed_count].at = b->out.len;
            b->borrowed[b->borrowed_count++].data = parts[i];
            b->borrowed_bytes += parts[i].len;
        } else {
            buf_put(&b->out, parts[i].data, parts[i].len);
        }
    }
    buf_put(&b->out, "\r\n", 2);
}

static bool command_is_too_large(const struct output *o)
{
    const struct batch *b = o->batch;
    size_t bytes = b->out.len + b->borrowed_bytes;
    return o->too_large || bytes - o->before.out - o->before.borrowed_bytes > o->most.command ||
           (b->once && bytes > o->most.multi);
}

static void command_take_back(struct output *o)
{
    struct batch *b = o->batch;
    b->out.len = o->before.out;
    b->borrowed_count = o->before.borrowed;
    b->borrowed_bytes = o->before.borrowed_bytes;
    b->conflict_at.len = o->before.conflict_at;
    b->once = o->before.once;
    b->conflicts = o->before.conflicts;
    o->left_out += b != o->nowhere;
}

void output_end(struct output *o)
{
    struct batch *b = o->batch;
    if (__builtin_expect(command_is_too_large(o), 0))
        command_take_back(o);
    else
        count_command(o);
    if (b == o->nowhere)
        batch_reset(b, NOWHERE_KEEP_BYTES);
    else if (o->round)
        round_count(o->round, b, o->begun_commands, o->begun_bytes);
    if (o->test_resp) {
        bool once = b->once;
        uint32_t db = b->current_db;
        b->once = false;
        buf_put(o->test_resp, b->out.data + batch_begin(b), b->out.len - batch_begin(b));
        if (o->test_once && once)
            *o->test_once = true;
        batch_reset(b, SIZE_MAX);
        b->current_db = db;
    }
}

void output_i64(struct output *o, int64_t v)
{
    char text[24];
    resp_put_bulk(&o->batch->out, slice_of(text, format_i64(text, v)));
}

void output_double(struct output *o, double v)
{
    char text[40];
    int n = 0;
    if (isinf(v))
        n = snprintf(text, sizeof text, "%s", v > 0 ? "inf" : "-inf");
    else
        for (int digits = 15; digits <= 17; digits++) {
            n = snprintf(text, sizeof text, "%.*g", digits, v);
            if (strtod(text, NULL) == v)
                break;
        }
    resp_put_bulk(&o->batch->out, slice_of(text, (size_t)n));
}
