/* Properties of RDB type bytes. */
#include "worker/rdb/value.h"

enum { KNOWN = 1, SHARED = 2, UNSUPPORTED = 4 };

static const struct {
    const char *name;
    uint8_t flags;
} types[] = {
    [RDB_STRING] = {"string", KNOWN | SHARED},
    [RDB_LIST] = {"list", KNOWN | SHARED},
    [RDB_SET] = {"set", KNOWN | SHARED},
    [RDB_ZSET] = {"sorted set", KNOWN | SHARED},
    [RDB_HASH] = {"hash", KNOWN | SHARED},
    [RDB_ZSET_2] = {"sorted set", KNOWN | SHARED},
    [RDB_MODULE] = {"module value (release candidate)", 0},
    [RDB_MODULE_2] = {"module value", KNOWN | UNSUPPORTED},
    [RDB_HASH_ZIPMAP] = {"hash", KNOWN | SHARED},
    [RDB_LIST_ZIPLIST] = {"list", KNOWN | SHARED},
    [RDB_SET_INTSET] = {"set", KNOWN | SHARED},
    [RDB_ZSET_ZIPLIST] = {"sorted set", KNOWN | SHARED},
    [RDB_HASH_ZIPLIST] = {"hash", KNOWN | SHARED},
    [RDB_LIST_QUICKLIST] = {"list", KNOWN | SHARED},
    [RDB_STREAM_LISTPACKS] = {"stream", KNOWN | SHARED},
    [RDB_HASH_LISTPACK] = {"hash", KNOWN | SHARED},
    [RDB_ZSET_LISTPACK] = {"sorted set", KNOWN | SHARED},
    [RDB_LIST_QUICKLIST_2] = {"list", KNOWN | SHARED},
    [RDB_STREAM_LISTPACKS_2] = {"stream", KNOWN | SHARED},
    [RDB_SET_LISTPACK] = {"set", KNOWN | SHARED},
    [RDB_STREAM_LISTPACKS_3] = {"stream", KNOWN | SHARED},
    [RDB_JSON] = {"JSON", KNOWN},
    [RDB_HASH_WITH_EXPIRY] = {"hash with field expiry", KNOWN},
    [RDB_SET_WITH_EXPIRY] = {"set with member expiry", KNOWN},
    [RDB_SBF] = {"bloom filter", KNOWN | UNSUPPORTED},
    [RDB_SBF2] = {"bloom filter", KNOWN | UNSUPPORTED},
    [RDB_CMS] = {"count-min sketch", KNOWN | UNSUPPORTED},
    [RDB_TOPK] = {"top-k", KNOWN | UNSUPPORTED},
    [RDB_CUCKOO] = {"cuckoo filter", KNOWN | UNSUPPORTED},
};

static uint8_t flags_of(uint8_t type)
{
    return type < sizeof types / sizeof *types ? types[type].flags : 0;
}

const char *rdb_type_name(uint8_t type)
{
    bool named = type < sizeof types / sizeof *types && types[type].name;
    return named ? types[type].name : "unknown type";
}

bool rdb_type_is_stream(uint8_t type)
{
    return type == RDB_STREAM_LISTPACKS || type == RDB_STREAM_LISTPACKS_2 || type == RDB_STREAM_LISTPACKS_3;
}

bool rdb_type_known(uint8_t type)
{
    return flags_of(type) & KNOWN;
}

bool rdb_type_shared(uint8_t type)
{
    return flags_of(type) & SHARED;
}

bool rdb_type_unsupported(uint8_t type)
{
    return flags_of(type) & UNSUPPORTED;
}
