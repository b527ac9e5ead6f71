/* What a verification has found so far: told by the worker that verifies to the command, and kept in the run's
 * directory. Only verify_report.c encodes and decodes it. */
#ifndef DF2REDIS_COMMON_IPC_VERIFY_REPORT_H
#define DF2REDIS_COMMON_IPC_VERIFY_REPORT_H

#include "common/base/mem.h"

enum verify_phase {
    VERIFY_CONNECTING,
    VERIFY_TARGET_KEYS, /* names of the target: does the source have them? */
    VERIFY_LARGE_KEYS,  /* names of large values of the source */
    VERIFY_SOURCE_KEYS, /* names of the source: are the values equal? */
    VERIFY_DOUBTFUL_KEYS,
    VERIFY_ENDED,
    VERIFY_PHASES,
};
const char *verify_phase_name(enum verify_phase phase);

/* How the target's key differs from the source's. */
enum verify_kind {
    VERIFY_VALUE,
    VERIFY_ELEMENT,
    VERIFY_ORDER,         /* of a list */
    VERIFY_ENTRY,         /* of a stream, or its ids */
    VERIFY_GROUP,         /* of a stream, or a consumer of it */
    VERIFY_PENDING_ENTRY, /* of a group */
    VERIFY_TYPE,
    VERIFY_TTL,
    VERIFY_FIELD_TTL,
    VERIFY_MISSING,
    VERIFY_EXTRA,
    VERIFY_KINDS,
};
const char *verify_kind_name(enum verify_kind kind);

enum { VERIFY_TYPES = 9, VERIFY_ROWS_MAX = 512 };
/* type: enum digest_kind. */
const char *verify_type_name(uint32_t type);

/* Keys of one type in one database of the target. */
struct verify_row {
    uint32_t db, type;
    uint64_t keys, different, healed, undecided, incomparable;
};

struct verify_report {
    uint64_t phase; /* enum verify_phase */
    uint64_t exact; /* 1: beside a run */
    uint64_t repair, sample_ppm;
    uint64_t begun_unix_ms, spent_ms;
    uint64_t to_scan, scanned; /* names of both sides; the first is what the servers said at the beginning */
    uint64_t doubtful;         /* keys that the first pass could not decide */
    uint64_t pending;          /* of these, still to be compared */
    uint64_t kinds[VERIFY_KINDS];
    uint64_t exit_code; /* of VERIFY_ENDED */
    char trouble[200];  /* why nothing is compared at the moment; "" */
    size_t row_count;
    struct verify_row rows[VERIFY_ROWS_MAX];
};

/* The row of a type and database. Beyond VERIFY_ROWS_MAX of them, the last one. */
struct verify_row *verify_row(struct verify_report *r, uint32_t db, uint32_t type);
/* The sum of all rows. */
struct verify_row verify_total(const struct verify_report *r);
void verify_report_encode(const struct verify_report *r, struct buf *out);
/* False: invalid bytes. */
bool verify_report_decode(struct verify_report *r, struct slice bytes);

#endif
