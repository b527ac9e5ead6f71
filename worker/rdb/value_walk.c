/* The interpreter of the walking programs, and value_skip. See walk_programs.c for the layouts. */
#include "worker/rdb/value_walk.h"

#include <sysexits.h>

#include "worker/rdb/rdb_string.h"

enum { BYTES_LEFT = 3 }; /* index in remaining[] of the bytes left of a string or area */

struct walk {
    const uint8_t *p, *end;
    struct value_skip *s;
    enum value_status status;
};

static inline bool need(struct walk *w)
{
    w->status = VALUE_MORE;
    return false;
}

static inline bool broken(struct walk *w)
{
    w->status = VALUE_BROKEN;
    return false;
}

static inline bool length(struct walk *w, uint64_t *v)
{
    unsigned used = packed_read(w->p, (size_t)(w->end - w->p), v);
    if (used == PACKED_MORE)
        return need(w);
    if (used == PACKED_BROKEN)
        return broken(w);
    w->p += used;
    return true;
}

/* A count for products and sums, limited against overflow. */
static inline bool count(struct walk *w, uint64_t *v)
{
    const uint8_t *start = w->p;
    if (!length(w, v))
        return false;
    if (*v > RDB_LENGTH_MAX) {
        w->p = start;
        return broken(w);
    }
    return true;
}

/* Skips the next n bytes; the next call skips those that are not there yet. The step counts as done. */
static inline void area(struct walk *w, uint64_t n)
{
    uint64_t there = (uint64_t)(w->end - w->p);
    if (n <= there) {
        w->p += n;
        return;
    }
    w->p = w->end;
    w->s->remaining[BYTES_LEFT] = n - there;
}

static inline bool string(struct walk *w, uint64_t and_bytes)
{
    struct rdb_string_head h;
    enum value_status status = rdb_string_head(w->p, (size_t)(w->end - w->p), &h);
    if (status != VALUE_OK) {
        w->status = status;
        return false;
    }
    w->p += h.head_bytes;
    area(w, h.stored_bytes + and_bytes);
    return true;
}

/* remaining[level] strings, each followed by `and_bytes` bytes, in one loop. */
static bool strings(struct walk *w, uint64_t *n, uint64_t and_bytes)
{
    while (*n && !w->s->remaining[BYTES_LEFT]) {
        if (!string(w, and_bytes))
            return false;
        --*n;
    }
    return true;
}

static bool little_endian_32(struct walk *w, uint32_t *v)
{
    if (w->end - w->p < 4)
        return need(w);
    *v = load_le32(w->p);
    w->p += 4;
    return true;
}

static bool text_double(struct walk *w)
{
    if (w->p == w->end)
        return need(w);
    uint8_t len = *w->p++;
    area(w, len >= 253 ? 0 : len);
    return true;
}

/* One piece of a filter in pieces, which add up to a total. */
static bool piece(struct walk *w, uint64_t *total)
{
    const uint8_t *start = w->p;
    uint64_t n;
    if (!count(w, &n))
        return false;
    if (n == 0 || n > *total) {
        w->p = start;
        return broken(w);
    }
    *total -= n;
    area(w, n);
    return true;
}

static bool product(struct walk *w, const uint64_t *counters, uint64_t factor)
{
    uint64_t n;
    if (__builtin_mul_overflow(counters[0], counters[1], &n) || __builtin_mul_overflow(n, factor, &n) ||
        n > RDB_LENGTH_MAX)
        return broken(w);
    area(w, n);
    return true;
}

static inline bool jump(uint8_t *pc, int by)
{
    *pc = (uint8_t)(*pc + by);
    return true;
}

/* One step; advances *pc. False: cannot continue. */
static bool step(struct walk *w, const struct walk_step *program, uint8_t *pc)
{
    const struct walk_step *op = &program[*pc];
    uint64_t *counter = &w->s->remaining[op->level], v;
    uint32_t u32;

    switch (op->op) {
    case WALK_LENGTH:
        if (!length(w, &v))
            return false;
        break;
    case WALK_STRING:
        if (!string(w, 0))
            return false;
        break;
    case WALK_BYTES:
        area(w, op->argument);
        break;
    case WALK_COUNT:
        if (!count(w, counter))
            return false;
        *counter *= op->argument;
        if (*counter == 0)
            return jump(pc, op->target);
        break;
    case WALK_STRINGS:
        if (!strings(w, counter, op->argument))
            return false;
        if (*counter)
            return true;
        break;
    case WALK_NEXT:
        if (*counter > 1) {
            --*counter;
            return jump(pc, op->target);
        }
        break;
    case WALK_TEXT_DOUBLE:
        if (!text_double(w))
            return false;
        break;
    case WALK_AREAS:
        if (!count(w, &v))
            return false;
        area(w, v * op->argument);
        break;
    case WALK_PIECES:
        if (!piece(w, counter))
            return false;
        if (*counter)
            return true;
        break;
    case WALK_PRODUCT:
        if (!product(w, w->s->remaining, op->argument))
            return false;
        break;
    case WALK_LEVELS:
        if (!little_endian_32(w, &u32))
            return false;
        *counter = (uint64_t)u32 + 1;
        break;
    case WALK_LINKS:
        if (!little_endian_32(w, &u32))
            return false;
        area(w, (uint64_t)u32 * 4);
        break;
    case WALK_MODULE:
        if (!length(w, &v))
            return false;
        if (v > op->argument) {
            w->p--; /* these opcodes are one byte */
            return broken(w);
        }
        return jump(pc, v ? (int)(2 * v - 1) : op->target);
    case WALK_GOTO:
        return jump(pc, op->target);
    default:
        w->status = VALUE_OK;
        return false;
    }
    ++*pc;
    return true;
}

enum value_status value_walk(struct value_skip *s, const struct walk_step *program, struct slice input,
                             size_t *consumed, struct error *error)
{
    struct walk w = {.p = input.data, .end = input.data + input.len, .s = s, .status = VALUE_MORE};
    uint64_t left = s->remaining[BYTES_LEFT];
    uint8_t pc = s->stage;

    s->begun = 1;
    s->remaining[BYTES_LEFT] = 0;
    area(&w, left);
    while (!s->remaining[BYTES_LEFT] && step(&w, program, &pc))
        ;
    if (s->remaining[BYTES_LEFT])
        w.status = VALUE_MORE;
    s->stage = pc;
    *consumed = input.len ? (size_t)(w.p - input.data) : 0;
    s->position += *consumed;
    if (w.status == VALUE_MORE) {
        uint64_t missing = s->remaining[BYTES_LEFT];
        s->wanted = s->position + (missing ? missing : input.len - *consumed + 1);
    } else if (w.status == VALUE_BROKEN) {
        error_fatal(error, EX_DATAERR, "invalid byte 0x%02x at position %zu of the value",
                    w.p < w.end ? *w.p : 0, s->position);
    }
    return w.status;
}

bool value_walk_valid(const struct value_skip *s, const struct walk_step *program)
{
    size_t steps = 0;
    while (program[steps].op != WALK_END)
        steps++;
    if (s->stage > steps || s->remaining[BYTES_LEFT] > RDB_LENGTH_MAX * 256)
        return false;
    for (unsigned i = 0; i < BYTES_LEFT; i++)
        if (s->remaining[i] > RDB_LENGTH_MAX * 4)
            return false;
    return true;
}

enum value_status value_skip(struct value_skip *s, uint8_t type, struct slice input, struct error *error)
{
    const struct walk_step *program = walk_of_type(type);
    if (!program) {
        error_fatal(error, EX_DATAERR, "RDB type %u is not known", type);
        return VALUE_BROKEN;
    }
    if (s->position > input.len) {
        s->wanted = s->position;
        return VALUE_MORE;
    }
    size_t consumed;
    struct slice rest = slice_of(input.data + s->position, input.len - s->position);
    return value_walk(s, program, rest, &consumed, error);
}
