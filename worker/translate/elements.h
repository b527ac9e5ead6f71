/* Collections written with native commands: where RESTORE cannot be used because the value is too
 * large, comes in pieces, or has a layout that the target does not know. */
#ifndef DF2REDIS_WORKER_TRANSLATE_ELEMENTS_H
#define DF2REDIS_WORKER_TRANSLATE_ELEMENTS_H

#include "worker/translate/translator.h"

struct placing {
    struct slice key;       /* the key as the source has it: for reports */
    struct slice write_key; /* where elements are written: the key itself, or one beside it */
    uint8_t type;           /* RDB type, for the layout of a stream's tail */
    int64_t expire_ms;
};

/* Elements of one class, in commands of at most a few hundred each. */
bool elements_write(struct translator *t, const struct placing *p, enum element_class class,
                    const struct element *elements, size_t count, struct error *error);
/* What a stream's tail says: ids, groups, consumers, pending entries. */
enum { STREAM_PENDING_ARGS = 12 }; /* of the XCLAIM that makes a pending entry */
bool stream_tail_write(struct translator *t, const struct placing *p, struct slice tail, struct error *error);

#endif
