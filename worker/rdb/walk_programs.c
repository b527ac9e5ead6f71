/* The layout of each value in the stream, as programs for value_walk.c. Sources: Redis rdb.c, Dragonfly rdb_save.cc and
 * rdb_load.cc.
 *
 *   list, set       n, n × string
 *   hash            n, n × (field, value)               31: and an expiry, as string
 *   zset / zset2    n, n × (member, text or 8-byte double)  32 (set with expiry): and an expiry, as string
 *   quicklist       n, n × string (ziplist)             quicklist2: n × (container, string)
 *   one string      string, intset, zipmap, ziplists, listpacks, JSON
 *   stream          n, n × (master id, listpack), tail
 *   stream tail     length, last ms, last seq, [first ms, seq, max deleted ms, seq, entries added,]
 *                   groups, each: name, last ms, seq, [entries read,]
 *                                 pending, each: 16-byte id, 8-byte time, deliveries;
 *                                 consumers, each: name, 8-byte seen, [8-byte active,] n, n × 16-byte id
 *   bloom           options, 2 doubles, previous size, size, capacity, n, n × (hashes, string)
 *   bloom 2         …, n × (hashes, total, pieces: length, bytes)
 *   count-min       width, depth, total, width × depth × 8 bytes
 *   top-k           options, k, width, depth, double, n, n × (item, count), string
 *   cuckoo          slots, iterations, expansion, buckets, items, deletes, n, n × (total, pieces)
 *   module          id, opcodes with their values until 0
 */
#include "worker/rdb/value_walk.h"

/* One step per line: op, argument, level, target. */

const struct walk_step walk_one_string[] = {{WALK_STRING, 0, 0, 0}, {WALK_END, 0, 0, 0}};

#define COUNTED_STRINGS(times, and_bytes)                                                                    \
    {                                                                                                        \
        {WALK_COUNT, times, 0, 2}, {WALK_STRINGS, and_bytes, 0, 0},                                          \
        {                                                                                                    \
            WALK_END, 0, 0, 0                                                                                \
        }                                                                                                    \
    }
static const struct walk_step strings_once[] = COUNTED_STRINGS(1, 0);
static const struct walk_step strings_twice[] = COUNTED_STRINGS(2, 0);
static const struct walk_step strings_thrice[] = COUNTED_STRINGS(3, 0);
static const struct walk_step zset2[] = COUNTED_STRINGS(1, 8);

static const struct walk_step zset[] = {
    {WALK_COUNT, 1, 0, 4},       /* members */
    {WALK_STRING, 0, 0, 0},      /* member */
    {WALK_TEXT_DOUBLE, 0, 0, 0}, /* score */
    {WALK_NEXT, 0, 0, -2},       /**/
    {WALK_END, 0, 0, 0},
};

static const struct walk_step quicklist2[] = {
    {WALK_COUNT, 1, 0, 4},  /* nodes */
    {WALK_LENGTH, 0, 0, 0}, /* container */
    {WALK_STRING, 0, 0, 0}, /* item or listpack */
    {WALK_NEXT, 0, 0, -2},  /**/
    {WALK_END, 0, 0, 0},
};

/* The parts that all stream layouts have; newer ones have additions between them. */
enum { STREAM_TAIL_AT = 2 };
#define STREAM_NODES                                                                                         \
    {WALK_COUNT, 2, 0, 2},                                                                                   \
    {                                                                                                        \
        WALK_STRINGS, 0, 0, 0                                                                                \
    }
#define STREAM_LENGTH_LAST_ID                                                                                \
    {WALK_LENGTH, 0, 0, 0}, {WALK_LENGTH, 0, 0, 0},                                                          \
    {                                                                                                        \
        WALK_LENGTH, 0, 0, 0                                                                                 \
    }
#define STREAM_FIRST_DELETED_ADDED                                                                           \
    {WALK_LENGTH, 0, 0, 0}, {WALK_LENGTH, 0, 0, 0}, {WALK_LENGTH, 0, 0, 0}, {WALK_LENGTH, 0, 0, 0},          \
    {                                                                                                        \
        WALK_LENGTH, 0, 0, 0                                                                                 \
    }
#define GROUP_NAME_ID                                                                                        \
    {WALK_STRING, 0, 0, 0}, {WALK_LENGTH, 0, 0, 0},                                                          \
    {                                                                                                        \
        WALK_LENGTH, 0, 0, 0                                                                                 \
    }
/* Pending: id and time, deliveries. Consumers: name, time(s), ids. Nine steps. */
#define GROUP_PENDING_CONSUMERS(time_bytes)                                                                  \
    {WALK_COUNT, 1, 1, 4}, {WALK_BYTES, 16 + 8, 0, 0}, {WALK_LENGTH, 0, 0, 0}, {WALK_NEXT, 0, 1, -2},        \
        {WALK_COUNT, 1, 1, 5}, {WALK_STRING, 0, 0, 0}, {WALK_BYTES, time_bytes, 0, 0},                       \
        {WALK_AREAS, 16, 0, 0},                                                                              \
    {                                                                                                        \
        WALK_NEXT, 0, 1, -3                                                                                  \
    }

static const struct walk_step stream_5[] = {
    STREAM_NODES,  STREAM_LENGTH_LAST_ID,      {WALK_COUNT, 1, 0, 14}, /* groups */
    GROUP_NAME_ID, GROUP_PENDING_CONSUMERS(8), {WALK_NEXT, 0, 0, -12}, {WALK_END, 0, 0, 0},
};

#define STREAM_SINCE_7(time_bytes)                                                                           \
    STREAM_NODES, STREAM_LENGTH_LAST_ID, STREAM_FIRST_DELETED_ADDED, {WALK_COUNT, 1, 0, 15}, GROUP_NAME_ID,  \
        {WALK_LENGTH, 0, 0, 0}, /* entries read */                                                           \
        GROUP_PENDING_CONSUMERS(time_bytes), {WALK_NEXT, 0, 0, -13},                                         \
    {                                                                                                        \
        WALK_END, 0, 0, 0                                                                                    \
    }
static const struct walk_step stream_7[] = {STREAM_SINCE_7(8)};
static const struct walk_step stream_72[] = {STREAM_SINCE_7(16)};

#define BLOOM_HEAD                                                                                           \
    {WALK_LENGTH, 0, 0, 0}, {WALK_BYTES, 16, 0, 0}, {WALK_LENGTH, 0, 0, 0}, {WALK_LENGTH, 0, 0, 0},          \
    {                                                                                                        \
        WALK_LENGTH, 0, 0, 0                                                                                 \
    }
static const struct walk_step bloom[] = {
    BLOOM_HEAD,
    {WALK_COUNT, 1, 0, 4},  /* filters */
    {WALK_LENGTH, 0, 0, 0}, /* hash functions */
    {WALK_STRING, 0, 0, 0}, /* bits */
    {WALK_NEXT, 0, 0, -2},
    {WALK_END, 0, 0, 0},
};

static const struct walk_step bloom2[] = {
    BLOOM_HEAD,
    {WALK_COUNT, 1, 0, 5},  /* filters */
    {WALK_LENGTH, 0, 0, 0}, /* hash functions */
    {WALK_COUNT, 1, 1, 2},  /* bytes, and them */
    {WALK_PIECES, 0, 1, 0},
    {WALK_NEXT, 0, 0, -3},
    {WALK_END, 0, 0, 0},
};

static const struct walk_step count_min[] = {
    {WALK_COUNT, 1, 0, 1}, /* width */
    {WALK_COUNT, 1, 1, 1}, /* depth */
    {WALK_LENGTH, 0, 0, 0}, {WALK_PRODUCT, 8, 0, 0}, {WALK_END, 0, 0, 0},
};

static const struct walk_step top_k[] = {
    {WALK_LENGTH, 0, 0, 0},                         /* options */
    {WALK_LENGTH, 0, 0, 0},                         /* k */
    {WALK_LENGTH, 0, 0, 0},                         /* width */
    {WALK_LENGTH, 0, 0, 0},                         /* depth */
    {WALK_BYTES, 8, 0, 0},                          /* decay */
    {WALK_COUNT, 1, 0, 4},                          /* items */
    {WALK_STRING, 0, 0, 0},                         /* item */
    {WALK_LENGTH, 0, 0, 0},                         /* count */
    {WALK_NEXT, 0, 0, -2},  {WALK_STRING, 0, 0, 0}, /* counters */
    {WALK_END, 0, 0, 0},
};

static const struct walk_step cuckoo[] = {
    {WALK_LENGTH, 0, 0, 0}, /* slots per bucket */
    {WALK_LENGTH, 0, 0, 0}, /* iterations */
    {WALK_LENGTH, 0, 0, 0}, /* expansion */
    {WALK_LENGTH, 0, 0, 0}, /* buckets */
    {WALK_LENGTH, 0, 0, 0}, /* items */
    {WALK_LENGTH, 0, 0, 0}, /* deletes */
    {WALK_COUNT, 1, 0, 4},  /* filters */
    {WALK_COUNT, 1, 1, 2},  /* bytes, and them */
    {WALK_PIECES, 0, 1, 0}, {WALK_NEXT, 0, 0, -2}, {WALK_END, 0, 0, 0},
};

/* After WALK_MODULE, two steps for each of its opcodes from 1 on: signed, unsigned, float, double, string. */
#define MODULE_VALUES                                                                                        \
    {WALK_MODULE, 5, 0, 11}, {WALK_LENGTH, 0, 0, 0}, {WALK_GOTO, 0, 0, -2}, {WALK_LENGTH, 0, 0, 0},          \
        {WALK_GOTO, 0, 0, -4}, {WALK_BYTES, 4, 0, 0}, {WALK_GOTO, 0, 0, -6}, {WALK_BYTES, 8, 0, 0},          \
        {WALK_GOTO, 0, 0, -8}, {WALK_STRING, 0, 0, 0}, {WALK_GOTO, 0, 0, -10},                               \
    {                                                                                                        \
        WALK_END, 0, 0, 0                                                                                    \
    }
static const struct walk_step module_2[] = {{WALK_LENGTH, 0, 0, 0} /* id */, MODULE_VALUES};

const struct walk_step walk_module_aux[] = {
    {WALK_LENGTH, 0, 0, 0}, /* id */
    {WALK_LENGTH, 0, 0, 0}, /* opcode of the next: unsigned */
    {WALK_LENGTH, 0, 0, 0}, /* when */
    MODULE_VALUES,
};

const struct walk_step walk_vector_index[] = {
    {WALK_STRING, 0, 0, 0}, /* index and field */
    {WALK_LENGTH, 0, 0, 0}, /* entry point */
    {WALK_COUNT, 1, 0, 6},  /* nodes */
    {WALK_BYTES, 12, 0, 0}, /* internal and global id */
    {WALK_LEVELS, 0, 1, 0}, {WALK_LINKS, 0, 0, 0}, {WALK_NEXT, 0, 1, -1},
    {WALK_NEXT, 0, 0, -4},  {WALK_END, 0, 0, 0},
};

const struct walk_step walk_doc_index[] = {
    {WALK_LENGTH, 0, 0, 0}, /* shard */
    {WALK_STRING, 0, 0, 0}, /* index */
    {WALK_COUNT, 1, 0, 4},  /* documents */
    {WALK_STRING, 0, 0, 0}, /* key */
    {WALK_LENGTH, 0, 0, 0}, /* id */
    {WALK_NEXT, 0, 0, -2},  {WALK_END, 0, 0, 0},
};

static const struct walk_step *const by_type[] = {
    [RDB_STRING] = walk_one_string,
    [RDB_LIST] = strings_once,
    [RDB_SET] = strings_once,
    [RDB_ZSET] = zset,
    [RDB_HASH] = strings_twice,
    [RDB_ZSET_2] = zset2,
    [RDB_MODULE_2] = module_2,
    [RDB_HASH_ZIPMAP] = walk_one_string,
    [RDB_LIST_ZIPLIST] = walk_one_string,
    [RDB_SET_INTSET] = walk_one_string,
    [RDB_ZSET_ZIPLIST] = walk_one_string,
    [RDB_HASH_ZIPLIST] = walk_one_string,
    [RDB_LIST_QUICKLIST] = strings_once,
    [RDB_STREAM_LISTPACKS] = stream_5,
    [RDB_HASH_LISTPACK] = walk_one_string,
    [RDB_ZSET_LISTPACK] = walk_one_string,
    [RDB_LIST_QUICKLIST_2] = quicklist2,
    [RDB_STREAM_LISTPACKS_2] = stream_7,
    [RDB_SET_LISTPACK] = walk_one_string,
    [RDB_STREAM_LISTPACKS_3] = stream_72,
    [RDB_JSON] = walk_one_string,
    [RDB_HASH_WITH_EXPIRY] = strings_thrice,
    [RDB_SET_WITH_EXPIRY] = strings_twice,
    [RDB_SBF] = bloom,
    [RDB_SBF2] = bloom2,
    [RDB_CMS] = count_min,
    [RDB_TOPK] = top_k,
    [RDB_CUCKOO] = cuckoo,
};

const struct walk_step *walk_of_type(uint8_t type)
{
    return type < sizeof by_type / sizeof *by_type ? by_type[type] : NULL;
}

const struct walk_step *walk_of_stream_tail(uint8_t type)
{
    return walk_of_type(type) + STREAM_TAIL_AT;
}
