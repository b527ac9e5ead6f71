/* Keys with a postponed time, in full, until the time is corrected: a list in the file of the deadlines.
 *
 * The position of the last record of each key is in memory: 48 to 96 bytes per key, about as much as the list. */
#ifndef DF2REDIS_WORKER_KEYS_PUT_OFF_H
#define DF2REDIS_WORKER_KEYS_PUT_OFF_H

#include "worker/keys/times.h"

struct put_off_list {
    uint8_t *bytes;
    uint64_t size;
    _Atomic uint64_t *begin, *end; /* positions in it */
    struct times latest;           /* the last record of each key in the list */
};

/* A key, or a field of it, with a time postponed from source_ms to target_ms. put_off_add: false if the list is
 * full. */
struct put_off {
    uint32_t db;
    int64_t source_ms, target_ms;
    struct slice key, field; /* field.data NULL: the key itself */
    bool last;               /* out: the last record of the key */
    bool doubted; /* the time may have passed on the source when it was set, and have deleted the key there */
};
enum { PUT_OFF_SAME_MS = 25 };

/* Reads the records of a dead worker. */
void put_off_open(struct put_off_list *l);
bool put_off_add(struct put_off_list *l, const struct put_off *p);
/* A correct time, or none, was sent since: drops the key's records. */
void put_off_forget(struct put_off_list *l, uint64_t hash);
/* Whether the key's last record is doubted. */
bool put_off_doubted(const struct put_off_list *l, uint64_t hash);
/* The record at *position, which begins at 0 and is advanced. Skips records of forgotten keys, and records with the
 * same target time as the last one of their key. False at the end. */
bool put_off_next(const struct put_off_list *l, uint64_t *position, struct put_off *p);
/* Drops the records before `position`, which are corrected. */
void put_off_put_right(struct put_off_list *l, uint64_t position);

#endif
