/* Streams in RDB: nodes (listpacks of entries) and a tail of metadata.
 *
 * type 15 (Redis 5): length, last id, groups; 19 (7.0) adds first id, max deleted id, entries added and each
 * group's entries read; 21 (7.2) adds each consumer's active time. Source: Redis rdb.c, t_stream.c. */
#ifndef DF2REDIS_WORKER_RDB_STREAM_H
#define DF2REDIS_WORKER_RDB_STREAM_H

#include "worker/rdb/value.h"

struct stream_id {
    uint64_t ms, seq;
};

/* Rewrites a whole stream value of type 21 (or 19) for an older target: 21 → 19, 21 → 15, 19 → 15.
 * Appends the new value to *out. */
bool stream_convert(struct slice value, uint8_t from_type, uint8_t to_type, struct buf *out,
                    struct error *error);

/* An entry of a node; deleted ones are skipped. fields: name, value, name, value …; they point into the listpack or
 * scratch, and are valid until the next call. */
struct stream_entry {
    struct stream_id id;
    const struct slice *fields;
    size_t field_count; /* names and values together, so an even number */
};
struct stream_node_reader; /* owned, reusable */
struct stream_node_reader *stream_node_reader_new(void);
void stream_node_reader_free(struct stream_node_reader *r);
bool stream_node_begin(struct stream_node_reader *r, struct slice master_id, struct slice listpack,
                       struct error *error);
/* 1: *out is set; 0: end; -1: invalid. */
int stream_node_next(struct stream_node_reader *r, struct stream_entry *out, struct error *error);

/* The tail, passed to callbacks in the order of the bytes. Any callback may be NULL. */
struct stream_tail {
    uint64_t length;
    struct stream_id last_id, first_id, max_deleted_id;
    uint64_t entries_added;
};
struct stream_tail_visitor {
    void *arg;
    void (*head)(void *arg, const struct stream_tail *tail);
    void (*group)(void *arg, struct slice name, struct stream_id last_id, uint64_t entries_read);
    void (*consumer)(void *arg, struct slice group, struct slice name, int64_t seen_ms, int64_t active_ms);
    /* One pending entry with its owner. */
    void (*pending)(void *arg, struct slice group, struct slice consumer, struct stream_id id,
                    int64_t delivered_ms, uint64_t delivery_count);
};
bool stream_tail_visit(struct slice tail, uint8_t type, const struct stream_tail_visitor *visitor,
                       struct error *error);

#endif
