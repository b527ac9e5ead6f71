/* Journal entries, after EOF in a FLOW and in JOURNAL_BLOBs.
 *
 *   6 packed db                                        SELECT: for the entries that follow
 *   13                                                 PING
 *   15 packed lsn                                      LSN of the last entry before it
 *   10 packed txid, packed 1, packed argc, packed sum  COMMAND; 9 in old masters: something expired
 *      argc × (packed len, bytes)                      sum: of all len
 *
 * Source: Dragonfly journal/serializer.cc. */
#ifndef DF2REDIS_WORKER_DECODE_JOURNAL_H
#define DF2REDIS_WORKER_DECODE_JOURNAL_H

#include "worker/rdb/value.h"

enum { JOURNAL_SELECT = 6, JOURNAL_EXPIRED = 9, JOURNAL_COMMAND = 10, JOURNAL_PING = 13, JOURNAL_LSN = 15 };

struct journal_item {
    uint8_t opcode; /* EXPIRED is returned as COMMAND */
    uint64_t value; /* SELECT: db; LSN: lsn; COMMAND: txid */
    const struct slice *argv;
    size_t argc;
};

/* Reusable memory for argv. Zero-initialise. */
struct journal_args {
    struct slice *argv;
    size_t capacity;
};
void journal_args_free(struct journal_args *a);

/* Reads the item at the beginning of input; its arguments point into input. VALUE_MORE: *wanted bytes are needed. */
enum value_status journal_read(struct journal_args *a, struct slice input, struct journal_item *out,
                               size_t *consumed, size_t *wanted, struct error *error);

#endif
