/* Batches, from creation to reset. Their RESP is written by output.c. */
#include "worker/link/batch.h"

#include <stdlib.h>

static const char before_text[] = "*1\r\n$6\r\nASKING\r\n*1\r\n$5\r\nMULTI\r\n";
static const char info_text[] = "*2\r\n$4\r\nINFO\r\n$11\r\nreplication\r\n";
static const char exec_text[] = "*1\r\n$4\r\nEXEC\r\n";
enum { BEFORE_BYTES = sizeof before_text - 1, ASKING_BYTES = sizeof "*1\r\n$6\r\nASKING\r\n" - 1 };

/* Position of the last command looked up, as commands are looked up in order. */
static struct {
    const struct batch *batch;
    uint32_t number;
    size_t at, piece;
} place;

static void place_forget(const struct batch *b)
{
    if (place.batch == b)
        place.batch = NULL;
}

struct batch *batch_new(void)
{
    struct batch *b = x_calloc(1, sizeof *b);
    batch_reset(b, SIZE_MAX);
    return b;
}

void batch_free(struct batch *b)
{
    if (!b)
        return;
    place_forget(b);
    buf_free(&b->out);
    buf_free(&b->conflict_at);
    buf_free(&b->seqs);
    free(b);
}

void batch_reset(struct batch *b, size_t keep_bytes)
{
    struct buf out = b->out, conflict_at = b->conflict_at, seqs = b->seqs;
    if (out.cap > keep_bytes)
        buf_free(&out);
    buf_clear(&out);
    buf_clear(&conflict_at);
    buf_clear(&seqs);
    *b = (struct batch){.out = out,
                        .conflict_at = conflict_at,
                        .seqs = seqs,
                        .current_db = UINT32_MAX,
                        .mark_at = UINT32_MAX,
                        .mark_new = MARK_UNKNOWN};
    place_forget(b);
    buf_put(&b->out, before_text, BEFORE_BYTES);
    b->sent = BEFORE_BYTES;
}

size_t batch_begin(const struct batch *b)
{
    return !b->once ? BEFORE_BYTES : b->asking ? 0 : ASKING_BYTES;
}

size_t batch_bytes(const struct batch *b)
{
    return b->out.len - batch_begin(b) + b->borrowed_bytes;
}

void batch_seal(struct batch *b)
{
    b->asks = b->once && !b->asking;
    if (b->asks)
        buf_put(&b->out, info_text, sizeof info_text - 1);
    if (b->once)
        buf_put(&b->out, exec_text, sizeof exec_text - 1);
    batch_rewind(b);
}

void batch_rewind(struct batch *b)
{
    b->sent = batch_begin(b);
    b->sent_piece = 0;
    b->sent_in_piece = 0;
    b->answered = 0;
    b->asked = false;
}

bool batch_sent(const struct batch *b)
{
    return b->sent == b->out.len;
}

int batch_parts(const struct batch *b, struct iovec *parts, int max)
{
    int n = 0;
    size_t at = b->sent, piece = b->sent_piece, inside = b->sent_in_piece;
    while (n < max && (at < b->out.len || piece < b->borrowed_count)) {
        if (piece < b->borrowed_count && b->borrowed[piece].at == at) {
            struct slice data = b->borrowed[piece++].data;
            parts[n++] = (struct iovec){(void *)(data.data + inside), data.len - inside};
            inside = 0;
            continue;
        }
        size_t end = piece < b->borrowed_count ? b->borrowed[piece].at : b->out.len;
        parts[n++] = (struct iovec){b->out.data + at, end - at};
        at = end;
    }
    return n;
}

void batch_advance(struct batch *b, size_t bytes)
{
    while (bytes) {
        bool in_piece = b->sent_piece < b->borrowed_count && b->borrowed[b->sent_piece].at == b->sent;
        size_t there =
            in_piece
                ? b->borrowed[b->sent_piece].data.len - b->sent_in_piece
                : (b->sent_piece < b->borrowed_count ? b->borrowed[b->sent_piece].at : b->out.len) - b->sent;
        size_t n = bytes < there ? bytes : there;
        bytes -= n;
        if (!in_piece) {
            b->sent += n;
        } else if (n == there) {
            b->sent_piece++;
            b->sent_in_piece = 0;
        } else {
            b->sent_in_piece += n;
        }
        if (there == 0 && !in_piece)
            break;
    }
}

/* A walk over the batch's RESP. The bytes of borrowed arguments are not in `out`. */
struct walk {
    const struct batch *batch;
    size_t at;
    size_t piece;
};

static bool walk_number(struct walk *w, char kind, uint64_t *n)
{
    const struct buf *out = &w->batch->out;
    if (w->at >= out->len || out->data[w->at] != (uint8_t)kind)
        return false;
    const uint8_t *line = out->data + w->at + 1;
    const uint8_t *end = memchr(line, '\r', out->len - w->at - 1);
    if (!end || !slice_to_u64(slice_of(line, (size_t)(end - line)), n))
        return false;
    w->at = (size_t)(end - out->data) + 2;
    return true;
}

static bool walk_bulk(struct walk *w, struct slice *arg)
{
    uint64_t len;
    const struct batch *b = w->batch;
    if (!walk_number(w, '$', &len))
        return false;
    *arg = slice_of(b->out.data + w->at, (size_t)len);
    while (w->piece < b->borrowed_count && b->borrowed[w->piece].data.len <= len &&
           b->borrowed[w->piece].at <= w->at + len - b->borrowed[w->piece].data.len) {
        *arg = b->borrowed[w->piece].data;
        len -= b->borrowed[w->piece++].data.len;
    }
    if (len + 2 > b->out.len - w->at)
        return false;
    w->at += (size_t)len + 2;
    return true;
}

/* Advances over one command; *name, *key: its name and first argument. */
static bool walk_command(struct walk *w, struct slice *name, struct slice *key)
{
    uint64_t argc;
    if (!walk_number(w, '*', &argc))
        return false;
    *name = *key = slice_of("", 0);
    for (uint64_t a = 0; a < argc; a++) {
        struct slice arg;
        if (!walk_bulk(w, &arg))
            return false;
        if (a == 0)
            *name = arg;
        else if (a == 1 || (a == 3 && slice_is(*name, "EVAL")))
            *key = arg;
    }
    return true;
}

bool batch_describe(const struct batch *b, uint32_t i, struct slice *name, struct slice *key)
{
    struct walk w = {b, BEFORE_BYTES, 0};
    uint32_t n = 0;
    if (place.batch == b && place.number <= i) {
        n = place.number;
        w.at = place.at;
        w.piece = place.piece;
    }
    for (;; n++) {
        size_t at = w.at, piece = w.piece;
        if (!walk_command(&w, name, key))
            return false;
        if (n < i)
            continue;
        place.batch = b;
        place.number = i;
        place.at = at;
        place.piece = piece;
        return true;
    }
}

size_t batch_largest_argument(const struct batch *b)
{
    struct walk w = {b, BEFORE_BYTES, 0};
    size_t most = 0;
    for (uint32_t n = 0; n < b->commands; n++) {
        uint64_t argc, len;
        if (!walk_number(&w, '*', &argc))
            return most;
        for (uint64_t a = 0; a < argc; a++) {
            struct walk header = w;
            struct slice arg;
            if (!walk_number(&header, '$', &len) || !walk_bulk(&w, &arg))
                return most;
            most = len > most ? (size_t)len : most;
        }
    }
    return most;
}

size_t batch_command(const struct batch *b, uint32_t i, struct slice *argv, size_t most, uint32_t *db)
{
    struct walk w = {b, BEFORE_BYTES, 0};
    struct slice name, text, arg;
    uint64_t number, argc;
    for (uint32_t n = 0; n < i; n++) {
        if (!walk_command(&w, &name, &text))
            return 0;
        if (slice_is(name, "SELECT") && slice_to_u64(text, &number) && number <= UINT32_MAX)
            *db = (uint32_t)number;
    }
    if (!walk_number(&w, '*', &argc))
        return 0;
    for (uint64_t a = 0; a < argc; a++) {
        if (!walk_bulk(&w, &arg))
            return 0;
        if (a < most)
            argv[a] = arg;
    }
    return argc < most ? (size_t)argc : most;
}

uint64_t batch_command_seq(const struct batch *b, uint32_t i)
{
    uint64_t seq = 0;
    if (((size_t)i + 1) * sizeof seq <= b->seqs.len)
        memcpy(&seq, b->seqs.data + (size_t)i * sizeof seq, sizeof seq);
    return seq;
}

/* Lowers each remaining number by the count of removed commands before it. */
static void conflicts_renumber(struct batch *b, const uint32_t *numbers, size_t count)
{
    size_t kept = 0, gone = 0;
    for (size_t at = 0; at < b->conflict_at.len; at += sizeof(uint32_t)) {
        uint32_t n;
        memcpy(&n, b->conflict_at.data + at, sizeof n);
        while (gone < count && numbers[gone] < n)
            gone++;
        if (gone < count && numbers[gone] == n)
            continue;
        n -= (uint32_t)gone;
        memcpy(b->conflict_at.data + kept, &n, sizeof n);
        kept += sizeof n;
    }
    b->conflict_at.len = kept;
}

/* Moves the RESP between `from` and `now` down to *to. */
static void walk_keep(struct batch *b, const struct walk *from, const struct walk *now, struct walk *to)
{
    size_t down = from->at - to->at;
    memmove(b->out.data + to->at, b->out.data + from->at, now->at - from->at);
    to->at += now->at - from->at;
    for (size_t p = from->piece; p < now->piece; p++) {
        b->borrowed[to->piece] = b->borrowed[p];
        b->borrowed[to->piece++].at -= down;
    }
}

bool batch_remove(struct batch *b, const uint32_t *numbers, size_t count)
{
    struct walk w = {b, BEFORE_BYTES, 0}, to = w;
    size_t gone = 0, seqs = 0;
    struct slice name, key;
    place_forget(b);
    for (uint32_t n = 0; n < b->commands; n++) {
        struct walk from = w;
        if (!walk_command(&w, &name, &key))
            return false;
        if (gone < count && numbers[gone] == n) {
            gone++;
            continue;
        }
        walk_keep(b, &from, &w, &to);
        memmove(b->seqs.data + seqs, b->seqs.data + (size_t)n * sizeof(uint64_t), sizeof(uint64_t));
        seqs += sizeof(uint64_t);
        if (b->mark_at == n)
            b->mark_at -= (uint32_t)gone;
    }
    struct walk end = {b, b->out.len, b->borrowed_count};
    walk_keep(b, &w, &end, &to);
    b->out.len = to.at;
    b->seqs.len = seqs;
    b->borrowed_count = to.piece;
    b->borrowed_bytes = 0;
    for (size_t p = 0; p < b->borrowed_count; p++)
        b->borrowed_bytes += b->borrowed[p].data.len;
    conflicts_renumber(b, numbers, count);
    b->commands -= (uint32_t)gone;
    return gone == count;
}

bool batch_is_conflict_command(const struct batch *b, uint32_t i)
{
    size_t from = 0, to = b->conflict_at.len / sizeof i;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        uint32_t n;
        memcpy(&n, b->conflict_at.data + middle * sizeof n, sizeof n);
        if (n == i)
            return true;
        if (n < i)
            from = middle + 1;
        else
            to = middle;
    }
    return false;
}
