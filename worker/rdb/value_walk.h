/* Walking over values without decoding them: a small program per layout, run step by step.
 *
 * Works for values of any size that are passed by in pieces (nothing is held), for finding the end of
 * a value, and for parts of the stream that are only skipped. value_skip() is the same for whole values. */
#ifndef DF2REDIS_WORKER_RDB_VALUE_WALK_H
#define DF2REDIS_WORKER_RDB_VALUE_WALK_H

#include "worker/rdb/value.h"

enum walk_op {
    WALK_END = 0,
    WALK_LENGTH,      /* packed unsigned, whatever it is */
    WALK_STRING,      /* RDB string */
    WALK_BYTES,       /* `argument` bytes */
    WALK_COUNT,       /* packed unsigned × argument into counter `level`; when 0, on to `target` */
    WALK_STRINGS,     /* as many strings as the counter says, each with `argument` bytes behind it */
    WALK_NEXT,        /* one less on the counter; back to `target` while it is not 0 */
    WALK_TEXT_DOUBLE, /* length byte and digits; 253, 254, 255 stand alone (NaN, inf, -inf) */
    WALK_AREAS,       /* packed n, n × argument bytes */
    WALK_PIECES,      /* packed length and bytes, until the counter's bytes have come */
    WALK_PRODUCT,     /* counter 0 × counter 1 × argument bytes */
    WALK_LEVELS,      /* uint32 LE, and one more, into the counter */
    WALK_LINKS,       /* uint32 LE n, n × 4 bytes */
    WALK_MODULE,      /* module opcode n ≤ argument: 0 on to `target`, else on to the nth pair of steps */
    WALK_GOTO,
};

struct walk_step {
    uint8_t op, argument, level;
    int8_t target; /* relative to this step */
};

const struct walk_step *walk_of_type(uint8_t type); /* NULL: not known */
const struct walk_step *walk_of_stream_tail(uint8_t type);
extern const struct walk_step walk_vector_index[]; /* opcode 222, after the opcode */
extern const struct walk_step walk_doc_index[];    /* 223 */
extern const struct walk_step walk_module_aux[];   /* 247 */
extern const struct walk_step walk_one_string[];   /* 245 */

/* Goes on at the walk's position, where `input` begins. *consumed bytes were walked over, s->position
 * grows by as much. VALUE_MORE: s->wanted is the position before which there is no use in going on.
 * s->remaining[3] bytes of what was begun are then still to come. */
enum value_status value_walk(struct value_skip *s, const struct walk_step *program, struct slice input,
                             size_t *consumed, struct error *error);
/* Is this a state that a walk of the program can be in? For states from outside. */
bool value_walk_valid(const struct value_skip *s, const struct walk_step *program);

#endif
