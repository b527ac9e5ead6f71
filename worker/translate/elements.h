/* Collections by native commands, where RESTORE cannot be used: the value is too large, in chunks, or in a layout
 * unknown to the target. */
#ifndef DF2REDIS_WORKER_TRANSLATE_ELEMENTS_H
#define DF2REDIS_WORKER_TRANSLATE_ELEMENTS_H

#include "worker/translate/translator.h"

struct placing {
    struct slice key;       /* the key on the source, for reports */
    struct slice write_key; /* the key that elements are written to: the same, or a temporary one */
    uint8_t type;           /* RDB type, for the layout of a stream's tail */
    int64_t expire_ms;
};

/* Writes elements of one class, in commands of at most a few hundred each. */
bool elements_write(struct translator *t, const struct placing *p, enum element_class class,
                    const struct element *elements, size_t count, struct error *error);
/* Writes the tail of a stream: ids, groups, consumers, pending entries. */
enum { STREAM_PENDING_ARGS = 12 }; /* number of arguments of the XCLAIM for a pending entry */
bool stream_tail_write(struct translator *t, const struct placing *p, struct slice tail, struct error *error);

#endif
