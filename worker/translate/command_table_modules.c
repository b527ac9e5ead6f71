/* The rows of commands that only modules of Redis have. For the classes see command_table.c. */
#include "worker/translate/rewrite.h"

#define KEY .first_key = 1, .last_key = 1, .key_step = 1
#define ONCE COMMAND_ONCE
#define IDEMPOTENT COMMAND_IDEMPOTENT
#define JSON_MODULE .needs = "RedisJSON", .able = able_json
#define BLOOM .needs = "RedisBloom", .able = able_bloom
#define CUCKOO .needs = "RedisBloom", .able = able_cuckoo
#define CMS .needs = "RedisBloom", .able = able_cms
#define TOPK .needs = "RedisBloom", .able = able_topk
#define SEARCH .needs = "RediSearch", .able = able_search, .rewrite = rewrite_search

static bool able_json(const struct capabilities *target)
{
    return target->json;
}

static bool able_bloom(const struct capabilities *target)
{
    return target->bloom;
}

static bool able_cuckoo(const struct capabilities *target)
{
    return target->cuckoo;
}

static bool able_cms(const struct capabilities *target)
{
    return target->cms;
}

static bool able_topk(const struct capabilities *target)
{
    return target->topk;
}

static bool able_search(const struct capabilities *target)
{
    return target->search;
}

const struct command command_table_modules[] = {
    {"JSON.SET", IDEMPOTENT, -4, .heading = "JSON", KEY, .needs = "RedisJSON", .rewrite = rewrite_json_set,
     .note = "once with NX, XX or a path inside the document; script, since it may replace a string and "
             "removes the TTL"},
    {"JSON.MSET", IDEMPOTENT, -4, .head = 1, .repeat = 3, .first_key = 1, .last_key = -3, .key_step = 3,
     .filter = FILTER_REWRITE, .needs = "RedisJSON", .rewrite = rewrite_json_mset,
     .note = "JSON.SET for each key"},
    {"JSON.DEL", IDEMPOTENT, -2, KEY, JSON_MODULE, .rewrite = rewrite_json_del,
     .note = "whole documents: DEL; once with a path"},
    {"JSON.FORGET", IDEMPOTENT, -2, KEY, JSON_MODULE, .rewrite = rewrite_json_del, .note = "as JSON.DEL"},
    {"JSON.MERGE", ONCE, 4, KEY, JSON_MODULE, .rewrite = rewrite_json_inside,
     .note = "with a module that lacks it, as Valkey's: the key is compared"},
    {"JSON.TOGGLE", ONCE, 3, KEY, JSON_MODULE},
    {"JSON.NUMINCRBY", ONCE, 4, KEY, JSON_MODULE, .rewrite = rewrite_json_inside},
    {"JSON.NUMMULTBY", ONCE, 4, KEY, JSON_MODULE, .rewrite = rewrite_json_inside},
    {"JSON.STRAPPEND", ONCE, -3, KEY, JSON_MODULE, .rewrite = rewrite_json_inside},
    {"JSON.CLEAR", ONCE, -2, KEY, JSON_MODULE, .rewrite = rewrite_json_inside},
    {"JSON.ARRPOP", ONCE, -2, KEY, JSON_MODULE},
    {"JSON.ARRTRIM", ONCE, 5, KEY, JSON_MODULE, .rewrite = rewrite_json_inside},
    {"JSON.ARRINSERT", ONCE, -5, KEY, JSON_MODULE, .rewrite = rewrite_json_inside},
    {"JSON.ARRAPPEND", ONCE, -4, KEY, JSON_MODULE, .rewrite = rewrite_json_inside},
    {"BF.RESERVE", ONCE, -4, .heading = "Bloom filters", KEY, BLOOM},
    {"BF.ADD", IDEMPOTENT, 3, KEY, BLOOM,
     .note = "filters of the snapshot cannot be carried over: they are reported, and later additions create "
             "no new filter"},
    {"BF.MADD", IDEMPOTENT, -3, .head = 2, .repeat = 1, KEY, BLOOM, .note = "as BF.ADD"},
    {"BF.LOADCHUNK", COMMAND_UNSUPPORTED, 4, KEY, .note = "Dragonfly's own layout: reported"},
    {"CF.RESERVE", ONCE, -3, .heading = "Cuckoo filters", KEY, CUCKOO},
    {"CF.ADD", ONCE, 3, KEY, CUCKOO},
    {"CF.ADDNX", ONCE, 3, KEY, CUCKOO},
    {"CF.INSERT", ONCE, -4, KEY, CUCKOO},
    {"CF.INSERTNX", ONCE, -4, KEY, CUCKOO},
    {"CF.DEL", ONCE, 3, KEY, CUCKOO},
    {"CF.COMPACT", ONCE, 2, KEY, CUCKOO},
    {"CF.LOADCHUNK", COMMAND_UNSUPPORTED, 4, KEY, .note = "Dragonfly's own layout: reported"},
    {"CMS.INITBYDIM", ONCE, 4, .heading = "Count-min sketches", KEY, CMS},
    {"CMS.INITBYPROB", ONCE, 4, KEY, CMS},
    {"CMS.INCRBY", ONCE, -4, KEY, CMS},
    {"CMS.MERGE", ONCE, -4, KEY, .key_count = 2, .filter = FILTER_STORE, CMS},
    {"TOPK.RESERVE", ONCE, -3, .heading = "Top-k", KEY, TOPK},
    {"TOPK.ADD", ONCE, -3, KEY, TOPK},
    {"TOPK.INCRBY", ONCE, -4, KEY, TOPK},
    {"FT.CREATE", IDEMPOTENT, -2, .heading = "Search indexes", SEARCH,
     .note = "FT._CREATEIFNX, since every FLOW carries it"},
    {"FT.ALTER", IDEMPOTENT, -3, SEARCH, .note = "FT._ALTERIFNX, since every FLOW carries it"},
    {"FT.DROPINDEX", ONCE, -2, SEARCH,
     .note = "FT._DROPINDEXIFX, since every FLOW carries it; with DD reported: each FLOW deletes its "
             "documents at "
             "another moment"},
    {"FT.SYNUPDATE", IDEMPOTENT, -4, SEARCH},
    {.name = NULL},
};
