/* What a server holds, key by key, in one form for Redis, Valkey, Dragonfly and recorded states, and how two
 * such states differ.
 *
 * A value is its type, its expiry and a sequence of items. An item has parts (each 4 bytes of length, then
 * bytes): a list's element; a set's member; a hash's field and value; a sorted set's member and score; for a
 * stream its entries, last id, groups, pending entries. Items of sets, hashes and sorted sets are sorted. */
#ifndef DF2REDIS_TESTS_STATE_H
#define DF2REDIS_TESTS_STATE_H

#include <hiredis/hiredis.h>

#include "common/base/mem.h"

struct state_item {
    size_t at, len;    /* in state_value.bytes */
    int64_t expire_ms; /* of a hash field; 0: none or not known */
};

struct state_value {
    char type[24];     /* as TYPE says; "none": there is no such key */
    int64_t expire_ms; /* Unix time; 0: none */
    bool partial;      /* the key's value cannot be read there (module types without their module) */
    struct state_item *items;
    size_t count, capacity;
    struct buf bytes;
};

void state_value_clear(struct state_value *v);
void state_value_free(struct state_value *v);
void state_item_add(struct state_value *v, size_t parts, const struct slice *part);
void state_item_score(struct state_value *v, struct slice member, double score);
/* The value of a string. A HyperLogLog becomes its 16384 registers: how they are stored is the server's
 * affair. */
void state_item_string(struct state_value *v, struct slice bytes);
/* Sorts; drop_twins: the same item twice in a row is one (cursor scans repeat). */
void state_value_sort(struct state_value *v, bool drop_twins);
/* "" when equal, else what differs, in one line. Lives until the next call. */
const char *state_value_difference(const struct state_value *expected, const struct state_value *actual,
                                   int64_t ttl_tolerance_ms, int64_t field_ttl_tolerance_ms);
/* Two sorted sets with the same members, whose scores differ in the last digits at most. */
bool state_value_same_but_rounding(const struct state_value *expected, const struct state_value *actual);

enum state_kind { STATE_REDIS, STATE_VALKEY, STATE_DRAGONFLY };

struct topology;
struct state_server {
    redisContext *c;      /* a cluster: of the node that was opened */
    redisContext **nodes; /* a cluster: to each master, in the order of its topology; NULL otherwise */
    struct topology *topology;
    enum state_kind kind;
    unsigned version; /* 70015 = 7.0.15 */
    bool expiretime, json, field_ttls;
    uint32_t db;
};

/* password may be NULL. Ends the test program when there is no connection. A node of a cluster stands for
 * the whole of it, as its slots are served at this moment; it has database 0 alone, the others are empty. */
void state_open(struct state_server *s, uint16_t port, const char *password);
void state_close(struct state_server *s);
void state_select(struct state_server *s, uint32_t db);

struct state_read_options {
    bool stream_details;   /* entries added, consumers without pending entries */
    bool no_entries_added; /* set by the comparison: one of the servers does not keep them */
    bool field_ttls;
};
/* Reads so many keys of the selected database into values (cleared first). */
void state_read(struct state_server *s, const struct state_read_options *options, const struct slice *keys,
                size_t count, struct state_value *values);
/* Every key of the selected database; names are appended to *bytes, one state_item each to *names. */
size_t state_scan(struct state_server *s, struct buf *bytes, struct state_item **names);

/* A recorded state. */
struct state_record {
    uint32_t db;
    struct slice key;
    struct state_value value;
};
struct state_file {
    struct state_record *records;
    size_t count;
    struct buf keys; /* what key points into */
};
void state_file_load(struct state_file *f, const char *path);
void state_file_free(struct state_file *f);

/* A key that is known to differ, and why. It has to differ: an exception that does not occur is an error,
 * unless another one of its group (≠ 0) does. With `only_rounding` it may differ, but in the last digits of
 * scores alone. */
struct state_exception {
    uint32_t db;
    struct slice key; /* owned by whoever made it */
    unsigned group;
    bool only_rounding;
    const char *why;
    bool occurred;
};

struct state_rules {
    /* Is this key expected at all, and in which database? NULL: all, in the same. */
    bool (*wanted)(void *arg, uint32_t db, struct slice key, uint32_t *to_db);
    void *wanted_arg;
    int64_t ttl_tolerance_ms, field_ttl_tolerance_ms;
    struct state_read_options read;
    struct state_exception *exceptions;
    size_t exception_count;
    uint32_t databases; /* to look through; 0: 16 */
};

struct state_report {
    uint64_t keys;       /* compared */
    uint64_t different;  /* not explained by any rule */
    uint64_t excepted;   /* by an exception */
    uint64_t unportable; /* module types that the target has no place for */
    uint64_t expired;    /* meanwhile */
    struct buf text;     /* the first differences, a line each, NUL-terminated */
};

/* True when nothing differs but what the rules allow, and every exception occurred. */
bool state_compare_servers(struct state_server *expected, struct state_server *actual,
                           struct state_rules *rules, struct state_report *report);
bool state_compare_file(const char *path, struct state_server *actual, struct state_rules *rules,
                        struct state_report *report);
void state_report_free(struct state_report *report);

#endif
