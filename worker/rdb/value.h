/* RDB values: their length, and their elements.
 *
 * Used by the decoder (snapshot), by the translator for values that RESTORE cannot take unchanged, and for RESTORE
 * commands in the journal. */
#ifndef DF2REDIS_WORKER_RDB_VALUE_H
#define DF2REDIS_WORKER_RDB_VALUE_H

#include "common/base/error.h"
#include "worker/rdb/entry.h"

/* RDB type bytes, as Redis and Dragonfly number them (rdb.h, rdb_extensions.h). */
enum rdb_type {
    RDB_STRING = 0,
    RDB_LIST = 1,
    RDB_SET = 2,
    RDB_ZSET = 3,
    RDB_HASH = 4,
    RDB_ZSET_2 = 5,
    RDB_MODULE = 6,
    RDB_MODULE_2 = 7,
    RDB_HASH_ZIPMAP = 9,
    RDB_LIST_ZIPLIST = 10,
    RDB_SET_INTSET = 11,
    RDB_ZSET_ZIPLIST = 12,
    RDB_HASH_ZIPLIST = 13,
    RDB_LIST_QUICKLIST = 14,
    RDB_STREAM_LISTPACKS = 15,
    RDB_HASH_LISTPACK = 16,
    RDB_ZSET_LISTPACK = 17,
    RDB_LIST_QUICKLIST_2 = 18,
    RDB_STREAM_LISTPACKS_2 = 19,
    RDB_SET_LISTPACK = 20,
    RDB_STREAM_LISTPACKS_3 = 21,
    RDB_JSON = 30,
    RDB_HASH_WITH_EXPIRY = 31,
    RDB_SET_WITH_EXPIRY = 32,
    RDB_SBF = 33,
    RDB_SBF2 = 34,
    RDB_CMS = 35,
    RDB_TOPK = 36,
    RDB_CUCKOO = 37,
};

enum value_status { VALUE_OK, VALUE_MORE, VALUE_BROKEN };

const char *rdb_type_name(uint8_t type); /* "hash", "stream", "bloom filter" … for log lines */
bool rdb_type_is_stream(uint8_t type);   /* in one of its three layouts */
bool rdb_type_known(uint8_t type);
/* Redis has the same layout under this type number (PROTOCOL: R). */
bool rdb_type_shared(uint8_t type);
/* Redis has no such value, and no conversion exists: counted as a divergence. */
bool rdb_type_unsupported(uint8_t type);

/* Skips one value without decoding it, as far as there are bytes; called again with a longer input from the same byte
 * it continues. Zero-initialise. */
struct value_skip {
    uint8_t stage;
    uint8_t begun;
    uint64_t remaining[4]; /* counters of the nested lists being walked */
    size_t position;       /* skipped bytes of the value; after VALUE_OK its length */
    size_t wanted;         /* after VALUE_MORE: bytes of the value needed to continue */
};
enum value_status value_skip(struct value_skip *s, uint8_t type, struct slice input, struct error *error);

/* Reads a value element by element. The state between two groups is plain data, which may be copied and saved.
 * Zero-initialise. */
struct value_reader {
    uint8_t stage;
    uint64_t total;     /* announced number; set by the first call */
    uint64_t remaining; /* remaining elements or nodes */
    uint64_t extra;     /* position in a packed encoding with more than one group; 0: not begun */
};

/* Buffers for decoded elements: compressed strings, integers, listpack items. Owned by the caller, reused for each group.
 */
struct value_scratch {
    struct buf bytes;
    struct element *elements;
    size_t capacity;
};
void value_scratch_free(struct value_scratch *s);

/* Reads the next group (at most max_elements, about max_bytes of input) from `input`, which begins at the reader's
 * position. *consumed: number of bytes read. VALUE_OK with *count 0 and value_reader_done(): end. VALUE_MORE: no
 * complete element, *wanted bytes are needed (the count of the value may be consumed already). A packed encoding is
 * consumed with its last item. The elements point into input or scratch. */
enum value_status value_reader_next(struct value_reader *r, uint8_t type, struct slice input,
                                    size_t max_elements, size_t max_bytes, struct value_scratch *scratch,
                                    enum element_class *class, size_t *count, size_t *consumed,
                                    size_t *wanted, struct error *error);
bool value_reader_done(const struct value_reader *r);

/* Reads one RDB string (plain, integer or LZF), decoded: *out points into input or scratch. *consumed: its bytes.
 * VALUE_MORE: *wanted bytes are needed. Refuses plain lengths above max_bytes. May reallocate scratch. */
enum value_status rdb_string_read(struct slice input, uint64_t max_bytes, struct buf *scratch,
                                  struct slice *out, size_t *consumed, size_t *wanted, struct error *error);
/* Packed unsigned / RDB length; VALUE_BROKEN for the special string encodings (0b11…). */
enum value_status rdb_length_read(struct slice input, uint64_t *out, size_t *consumed, struct error *error);
/* Writes a packed unsigned (RDB length) of v; 1, 2, 5 or 9 bytes. */
void rdb_length_write(struct buf *out, uint64_t v);

#endif
