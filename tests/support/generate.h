/* Streams as a v1.40.1 would send them, made up: for benchmarks, large values and fault tests. */
#ifndef DF2REDIS_TESTS_GENERATE_H
#define DF2REDIS_TESTS_GENERATE_H

#include "tests/support/scripted_dragonfly.h"
#include "tests/support/stream_writer.h"

/* Keys are string:N, hash:N, zset:N, list:N, set:N, N from 0; the journal sets journal:N. */
struct generate_options {
    uint32_t flows;
    uint64_t strings, string_bytes;
    uint64_t hashes,
        hash_fields; /* a listpack up to 64 fields, as Dragonfly keeps them; a plain hash above */
    uint64_t zsets, zset_members; /* … 64 members */
    uint64_t lists, list_items;
    uint64_t sets, set_members;
    uint64_t journal_sets, journal_value_bytes;
    uint64_t journal_keys; /* distinct ones, used again and again; 0: all different */
    uint64_t chunk_bytes;  /* larger collections go as TAGGED_CHUNKs of about this size; 0: whole */
    bool plain;            /* no LZ4 blobs */
    bool unpacked;         /* plain hashes (4) and sorted sets (5) for small ones, too */
    uint64_t seed;
};
void generate_options_init(struct generate_options *g);
bool generate_anything(const struct generate_options *g);
/* *plain_bytes (may be NULL): the snapshot's entries before compression. */
struct scripted_session generate_session(const struct generate_options *g, uint64_t *plain_bytes);

/* The same values for whoever sends them another way. Each call appends what key N's part i is. */
void generate_string(struct buf *out, const struct generate_options *g, uint64_t n);
void generate_field(struct buf *out, uint64_t n, uint64_t i);
void generate_value(struct buf *out, uint64_t n, uint64_t i);
void generate_member(struct buf *out, uint64_t n, uint64_t i);
double generate_score(uint64_t n, uint64_t i);
void generate_item(struct buf *out, uint64_t n, uint64_t i);
void generate_journal_value(struct buf *out, const struct generate_options *g, uint64_t n);

#endif
