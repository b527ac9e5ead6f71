/* Keys whose time was put off, in full, until they are told the right one: a list in the file of the deadlines.
 *
 * In memory it is known of each key in the list which of its records is the last: 48 to 96 bytes a key, about as much
 * as the list itself has. */
#ifndef DF2REDIS_WORKER_KEYS_PUT_OFF_H
#define DF2REDIS_WORKER_KEYS_PUT_OFF_H

#include "worker/keys/times.h"

struct put_off_list {
    uint8_t *bytes;
    uint64_t size;
    _Atomic uint64_t *begin, *end; /* in it */
    struct times latest;           /* of each key in the list, its last record */
};

/* A key, or a field of it, whose time was put off from source_ms to target_ms. False: the list is full. */
struct put_off {
    uint32_t db;
    int64_t source_ms, target_ms;
    struct slice key, field; /* field: data NULL when there is none */
    bool last;               /* out: of this key */
};
enum { PUT_OFF_SAME_MS = 25 };

/* What a predecessor left in it. */
void put_off_open(struct put_off_list *l);
bool put_off_add(struct put_off_list *l, const struct put_off *p);
/* It was told a time as it is since, or none. */
void put_off_forget(struct put_off_list *l, uint64_t hash);
/* The one at *position, 0 to begin with, which is moved behind it. Left out is one that the target could not tell from
 * the last of its key, and one of a key that is not put off any more. False at the end. */
bool put_off_next(const struct put_off_list *l, uint64_t *position, struct put_off *p);
/* Forgets those before `position`. */
void put_off_put_right(struct put_off_list *l, uint64_t position);

#endif
