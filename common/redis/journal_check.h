/* A check that a journal continues the one applied so far. The id of a master survives REPLICAOF … NO ONE, although its
 * LSNs then belong to another history. So the LSN and a checksum of the last applied command are kept, and a partial
 * sync requests the journal from that entry on and compares it:
 *
 *   applied           … | 41 SET a | 42 INCR b | 43 PING |     next wanted: 44, check: {42, sum of INCR b}
 *   DFLY FLOW … 42               → | 42 INCR b | 43 PING | 44 …     the same: on from 44
 *                                  | 42 DEL c  | …                  another history: a full sync
 *
 * Only commands count: all PINGs are equal. */
#ifndef DF2REDIS_COMMON_REDIS_JOURNAL_CHECK_H
#define DF2REDIS_COMMON_REDIS_JOURNAL_CHECK_H

#include "common/base/mem.h"

/* The last command applied; lsn 0: none is known. */
struct journal_check {
    uint64_t lsn, sum;
};

enum { JOURNAL_CHECK_TEXT_BYTES = 40 };

/* CRC-64 over database and arguments; without the transaction's number, which differs in the journal of a replica. */
uint64_t journal_checksum(uint32_t db, const struct slice *argv, size_t argc);

/* The same in two steps: only the last entry before a mark needs its sum, so the CRC of a short entry is deferred to
 * journal_sum_end(). */
struct journal_sum {
    uint64_t crc; /* of what stood before bytes */
    size_t len;
    uint8_t bytes[512];
};
void journal_sum_begin(struct journal_sum *s, uint32_t db, const struct slice *argv, size_t argc);
uint64_t journal_sum_end(const struct journal_sum *s);

/* "<lsn>:<sum, 16 hex digits>"; "0:…" when none is known. */
void journal_check_write(const struct journal_check *c, char out[JOURNAL_CHECK_TEXT_BYTES]);
bool journal_check_read(struct slice text, struct journal_check *out);

/* Where a FLOW's journal goes on. */
struct resume_point {
    uint64_t lsn; /* the next one wanted; 0: not known */
    struct journal_check check;
    bool unchecked; /* from a mark of an earlier release, which has no check */
};

#endif
