/* A digest of a value, independent of its encoding: the payload of DUMP from Dragonfly, Redis or Valkey is decoded to a
 * few numbers, which are equal if the values are.
 *
 * The order of elements of sets, hashes and sorted sets does not count. A stream is its entries, its last id, its
 * groups with their last delivered ids, consumers and pending entries, without the times of deliveries. Times to live
 * of hash fields are kept separately, since they are compared with a tolerance. Pure functions; any input bytes are
 * safe.
 *
 *   digest_dump.c ── digest_json.c ── digest.c
 *   payloads         JSON             elements; comparison of digests */
#ifndef DF2REDIS_WORKER_COMPARE_DIGEST_H
#define DF2REDIS_WORKER_COMPARE_DIGEST_H

#include "common/base/error.h"
#include "common/base/mem.h"
#include "common/ipc/verify_report.h"
#include "worker/compare/digest_hash.h"
#include "worker/rdb/entry.h"

enum { DIGEST_TIMES_MAX = 1 << 20 }; /* 16 MiB */

enum digest_kind {
    DIGEST_NOTHING, /* no such key, or a collection without elements */
    DIGEST_STRING,
    DIGEST_LIST,
    DIGEST_SET,
    DIGEST_HASH,
    DIGEST_ZSET,
    DIGEST_STREAM,
    DIGEST_JSON,
    DIGEST_FOREIGN, /* a type that only its server can decode: modules, filters, unknown encodings */
};

struct digest_time {
    uint64_t field; /* hash of its name */
    int64_t expire_ms;
};

/* Sums over parts of a value, which tell how two values differ. */
enum digest_part {
    DIGEST_ENTRIES, /* of a list: its elements in any order; of a stream: its entries and ids */
    DIGEST_GROUPS,  /* of a stream: groups and consumers */
    DIGEST_PENDING, /* of a stream: pending entries */
    DIGEST_PARTS,
};

struct digest {
    enum digest_kind kind;
    uint8_t type; /* RDB type */
    uint64_t hash[2], count;
    uint64_t parts[DIGEST_PARTS];
    struct buf times;   /* of struct digest_time, by field */
    bool times_unknown; /* more than DIGEST_TIMES_MAX, or the server has no HPEXPIRETIME: not compared */
};

struct digest_options {
    bool stream_counters; /* both sides have entries added, the greatest deleted id, entries read: Redis ≥ 7.0
                           */
    bool entries_read;    /* of groups count, too: Dragonfly and Redis keep this number differently */
    int64_t now_ms;       /* fields that have expired by then are ignored; 0: none */
};

/* Reusable buffers. */
struct digest_scratch;
struct digest_scratch *digest_scratch_new(void);
void digest_scratch_free(struct digest_scratch *s);

/* digest_dump.c: a payload of DUMP, with its footer. False: invalid (ERROR_DIVERGENCE). */
bool digest_dump(struct digest *d, struct slice payload, const struct digest_options *options,
                 struct digest_scratch *scratch, struct error *error);
/* digest_json.c: the text of a JSON document; numbers by value, members in any order. */
bool digest_json(struct digest *d, struct slice text, struct error *error);
/* A value in pieces: the parts of a string, or the elements of a collection. These digests are comparable to each
 * other, not to those of payloads. */
struct digest_pieces {
    struct digest *d;
    struct hasher order; /* of strings and lists */
    int64_t now_ms;
};
void digest_pieces_begin(struct digest_pieces *p, struct digest *d, enum digest_kind kind, int64_t now_ms);
void digest_pieces_text(struct digest_pieces *p, struct slice text);
void digest_pieces_elements(struct digest_pieces *p, enum element_class class, const struct element *e,
                            size_t n);
void digest_pieces_end(struct digest_pieces *p);
void digest_sort_times(struct digest *d); /* by field, as digest_equal() requires */
void digest_free(struct digest *d);       /* leaves it zero */
/* False for DIGEST_FOREIGN, whose values cannot be compared. */
bool digest_equal(const struct digest *a, const struct digest *b, int64_t tolerance_ms);
/* How the target's value differs from the source's. VERIFY_TTL: the values are equal. */
enum verify_kind digest_difference(const struct digest *source, const struct digest *target,
                                   int64_t tolerance_ms);
enum digest_kind digest_kind_of(uint8_t rdb_type);

#endif
