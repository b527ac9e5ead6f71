/* Skips values without decoding them: a small program per layout, run step by step.
 *
 * Skips values of any size in pieces, without storing them; finds the end of a value; skips parts of the stream.
 * value_skip() does so for a complete value. */
#ifndef DF2REDIS_WORKER_RDB_VALUE_WALK_H
#define DF2REDIS_WORKER_RDB_VALUE_WALK_H

#include "worker/rdb/value.h"

enum walk_op {
    WALK_END = 0,
    WALK_LENGTH,      /* packed unsigned, ignored */
    WALK_STRING,      /* RDB string */
    WALK_BYTES,       /* `argument` bytes */
    WALK_COUNT,       /* packed unsigned × argument into counter `level`; jumps to `target` if 0 */
    WALK_STRINGS,     /* as many strings as the counter, each followed by `argument` bytes */
    WALK_NEXT,        /* decrements the counter; jumps back to `target` unless 0 */
    WALK_TEXT_DOUBLE, /* length byte and digits; 253, 254, 255 stand alone (NaN, inf, -inf) */
    WALK_AREAS,       /* packed n, n × argument bytes */
    WALK_PIECES,      /* packed length and bytes, until their sum is the counter */
    WALK_PRODUCT,     /* counter 0 × counter 1 × argument bytes */
    WALK_LEVELS,      /* uint32 LE, and one more, into the counter */
    WALK_LINKS,       /* uint32 LE n, n × 4 bytes */
    WALK_MODULE,      /* module opcode n ≤ argument: 0 jumps to `target`, else to the nth pair of steps */
    WALK_GOTO,
};

struct walk_step {
    uint8_t op, argument, level;
    int8_t target; /* relative to this step */
};

const struct walk_step *walk_of_type(uint8_t type); /* NULL: unknown */
const struct walk_step *walk_of_stream_tail(uint8_t type);
extern const struct walk_step walk_vector_index[]; /* opcode 222, after the opcode */
extern const struct walk_step walk_doc_index[];    /* 223 */
extern const struct walk_step walk_module_aux[];   /* 247 */
extern const struct walk_step walk_one_string[];   /* 245 */

/* Continues at s->position, where `input` begins. Skips *consumed bytes, and advances s->position by as many. VALUE_MORE:
 * call again once the input reaches position s->wanted; s->remaining[3] is the number of bytes left of the current area.
 */
enum value_status value_walk(struct value_skip *s, const struct walk_step *program, struct slice input,
                             size_t *consumed, struct error *error);
/* Validates an untrusted state of a walk of the program. */
bool value_walk_valid(const struct value_skip *s, const struct walk_step *program);

#endif
