/* What a value is, whatever it lies in: the DUMP of a Dragonfly and that of any Redis or Valkey, decoded and
 * made into a few numbers that are equal when the values are.
 *
 * Sets, hashes and sorted sets count without their order. A stream is its entries, its last id, its groups
 * with what they have delivered, their consumers and pending entries; not the times at which that happened.
 * Times to live of hash fields are kept beside the numbers, since they are compared with a tolerance. Pure
 * functions; the bytes may be anything.
 *
 *   digest_dump.c ── digest_json.c ── digest.c
 *   what DUMP gives  JSON             elements; two digests compared */
#ifndef DF2REDIS_WORKER_COMPARE_DIGEST_H
#define DF2REDIS_WORKER_COMPARE_DIGEST_H

#include "common/base/error.h"
#include "common/base/mem.h"
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
    DIGEST_FOREIGN, /* a type that nobody but its server can read: modules, filters, layouts of the future */
};

struct digest_time {
    uint64_t field; /* its hash */
    int64_t expire_ms;
};

struct digest {
    enum digest_kind kind;
    uint8_t type; /* RDB's */
    uint64_t hash[2], count;
    struct buf times;   /* of struct digest_time, by field */
    bool times_unknown; /* too many to remember, or the server does not tell: they are not compared */
};

struct digest_options {
    bool stream_counters; /* both sides have entries added, the greatest deleted id, entries read: Redis ≥ 7.0
                           */
    int64_t now_ms;       /* fields that have ended by then are not there; 0: all are */
};

/* Room that is used again. Zero-initialise. */
struct digest_scratch;
struct digest_scratch *digest_scratch_new(void);
void digest_scratch_free(struct digest_scratch *s);

/* digest_dump.c: a payload as DUMP gives it, with its footer. False: it is broken (ERROR_DIVERGENCE). */
bool digest_dump(struct digest *d, struct slice payload, const struct digest_options *options,
                 struct digest_scratch *scratch, struct error *error);
/* digest_json.c: the text of a JSON document; numbers count by their value, members without their order. */
bool digest_json(struct digest *d, struct slice text, struct error *error);
/* A value that comes in pieces: the texts of a string, or the elements of a collection. Such digests are equal
 * to one another, not to those of payloads. */
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
void digest_sort_times(struct digest *d); /* by field, as digest_equal() takes them */
void digest_free(struct digest *d);       /* nothing, afterwards */
/* false for what is foreign: nobody knows. */
bool digest_equal(const struct digest *a, const struct digest *b, int64_t tolerance_ms);

#endif
