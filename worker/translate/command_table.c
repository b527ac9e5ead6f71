/* The rows of Redis's own commands. The contents of Dragonfly's journal are known from v1.40.1 (recordings) and its
 * sources (src/server: CO::JOURNALED, RecordJournal); rows for commands that it rewrites before journaling are for
 * other versions.
 *
 * Which commands are idempotent. After a failure the commands after the newest mark run again. A mark is at the end of
 * every batch with a ONCE command, so those commands are always a sequence of idempotent ones, I = c1 … cn, of which
 * the target has the effect of a prefix c1 … ck. Then c1 … cn run, and the rest of the stream after them. The result is
 * right if every idempotent command (a) reads no key except the one it writes, and (b) sets parts of that key (the
 * value, a field, a member's score, a byte, a bit, the time to live, an entry's id) to values of its arguments, or only
 * lets them grow (HyperLogLog registers, last ids, a string's length), or (c) replaces or deletes the key, and none
 * removes a part: HDEL, SREM, ZREM … delete the key when it becomes empty, and its time to live with it; if PEXPIREAT
 * h, HDEL h last-field, HSET h f v run twice, the second PEXPIREAT would stay. So those are ONCE, although each alone
 * could be repeated. A repeated command may meet a key that has another type already (SADD k, DEL k, HSET k run again):
 * WRONGTYPE is then no difference, since the DEL that changed the type runs again, too. For the same reason a repeated
 * XADD is refused by its id. Such errors are not counted during repetition. If uncertain a command is ONCE. */
#include "worker/translate/rewrite.h"

#define KEY .first_key = 1, .last_key = 1, .key_step = 1
#define KEY_2 .first_key = 2, .last_key = 2, .key_step = 1
#define TWO_KEYS .first_key = 1, .last_key = 2, .key_step = 1
#define KEYS .first_key = 1, .last_key = -1, .key_step = 1
#define STORE_KEYS KEYS, .filter = FILTER_STORE
#define STORE_COUNTED KEY, .key_count = 2, .filter = FILTER_STORE
#define CUT(before, together) .head = before, .repeat = together
#define EFFECTIVE .effective = true
#define SINCE_6_2 .needs = "Redis 6.2", .able = rewrite_target_6_2
#define ONCE COMMAND_ONCE
#define IDEMPOTENT COMMAND_IDEMPOTENT

const struct command command_table[] = {
    {"DEL", IDEMPOTENT, -2, .heading = "Keys", CUT(1, 1), KEYS, .filter = FILTER_REWRITE,
     .rewrite = rewrite_delete, .note = "expired keys are journaled as DEL"},
    {"UNLINK", IDEMPOTENT, -2, CUT(1, 1), KEYS, .filter = FILTER_REWRITE, .rewrite = rewrite_delete,
     .note = "journaled as DEL"},
    {"DELEX", ONCE, -2, KEY, .rewrite = rewrite_delex,
     .note = "without condition DEL; IFEQ, IFNE: script; IFDEQ, IFDNE need Redis 8.4"},
    {"EXPIRE", IDEMPOTENT, -3, KEY, .rewrite = rewrite_expire, .note = "PEXPIREAT, as in the journal"},
    {"EXPIREAT", IDEMPOTENT, -3, KEY, .rewrite = rewrite_expire, .note = "PEXPIREAT, as in the journal"},
    {"PEXPIRE", IDEMPOTENT, -3, KEY, .rewrite = rewrite_expire, .note = "PEXPIREAT, as in the journal"},
    {"PEXPIREAT", IDEMPOTENT, -3, KEY, .rewrite = rewrite_expire,
     .note = "once with NX, XX, GT, LT; a past deadline is extended until the source's DEL arrives"},
    {"PERSIST", IDEMPOTENT, 2, KEY, EFFECTIVE},
    {"RENAME", ONCE, 3, TWO_KEYS, .filter = FILTER_REWRITE, .rewrite = rewrite_rename,
     .note = "inside one shard; otherwise journaled as RESTORE and DEL"},
    {"RENAMENX", ONCE, 3, TWO_KEYS, EFFECTIVE, .filter = FILTER_REWRITE, .rewrite = rewrite_rename,
     .note = "journaled only if it renamed"},
    {"COPY", ONCE, -3, TWO_KEYS, .filter = FILTER_REWRITE, .needs = "Redis 6.2", .rewrite = rewrite_copy,
     .note = "journaled as RESTORE"},
    {"MOVE", ONCE, 3, KEY, .filter = FILTER_REWRITE, .rewrite = rewrite_move,
     .note = "the database is mapped; into an unwanted one: DEL, reported; out of an unwanted one: reported"},
    {"RESTORE", IDEMPOTENT, -4, KEY, .rewrite = rewrite_restore,
     .note = "the payload is treated as a snapshot value: RESTORE, converted, or reported by type"},
    {"SORT", ONCE, -2, KEY, .filter = FILTER_REWRITE, .rewrite = rewrite_sort,
     .note = "only with STORE; across shards the journal lacks the destination: reported"},
    {"STICK", COMMAND_DROP, -2, KEYS, .note = "eviction of a single key cannot be forbidden in Redis"},
    {"SHRINK", COMMAND_DROP, 2, KEY, .note = "memory layout only"},
    {"RM", COMMAND_UNSUPPORTED, -2, .rewrite = rewrite_lost, .note = "journaled as DEL; raw: reported"},
    {"FLUSHALL", COMMAND_GLOBAL, -1, .note = "run once, when all FLOWs have reached it"},
    {"FLUSHDB", COMMAND_GLOBAL, -1, .note = "run once, when all FLOWs have reached it"},
    {"SCRIPT", COMMAND_DROP, -2, .rewrite = rewrite_script, .note = "LOAD is passed on"},
    {"PING", COMMAND_DROP, -1, .note = "stands for a JSON.MSET that wrote nothing"},
    {"DFLYCLUSTER", COMMAND_UNSUPPORTED, -1, .note = "slots flushed in a Dragonfly cluster"},
    {"SET", IDEMPOTENT, -3, .heading = "Strings", KEY, .rewrite = rewrite_set,
     .note =
         "STICK and memcache flags are left out; relative times become PXAT; the source has decided NX, XX"},
    {"SETEX", IDEMPOTENT, 4, KEY, .rewrite = rewrite_setex, .note = "SET PXAT, as in the journal"},
    {"PSETEX", IDEMPOTENT, 4, KEY, .rewrite = rewrite_setex, .note = "SET PXAT, as in the journal"},
    {"SETNX", IDEMPOTENT, 3, KEY, .rewrite = rewrite_set_plain, .note = "SET: journaled only if it wrote"},
    {"GETSET", IDEMPOTENT, 3, KEY, .rewrite = rewrite_set_plain, .note = "SET"},
    {"GETDEL", IDEMPOTENT, 2, KEY, .rewrite = rewrite_one_delete, .note = "DEL"},
    {"GETEX", IDEMPOTENT, -2, KEY, .rewrite = rewrite_getex,
     .note = "PEXPIREAT or PERSIST, as in the journal"},
    {"GAT", COMMAND_UNSUPPORTED, -2, KEYS, .rewrite = rewrite_lost,
     .note = "journaled as PEXPIREAT or DEL; raw it lacks the time: reported"},
    {"MSET", IDEMPOTENT, -3, CUT(1, 2), .first_key = 1, .last_key = -2, .key_step = 2,
     .filter = FILTER_REWRITE, .rewrite = rewrite_mset,
     .note = "in parts, one per shard; MSETNX is journaled as MSET, too"},
    {"MSETNX", ONCE, -3, .first_key = 1, .last_key = -2, .key_step = 2, .rewrite = rewrite_msetnx,
     .note = "journaled as MSET"},
    {"APPEND", ONCE, 3, KEY,
     .note = "memcache's append to a missing key is journaled although it did nothing: not "
             "recognizable"},
    {"PREPEND", ONCE, 3, KEY, .needs = "scripts", .rewrite = rewrite_prepend, .note = "script"},
    {"SETRANGE", IDEMPOTENT, 4, KEY},
    {"INCR", ONCE, 2, KEY, .note = "memcache's incr by n is journaled as INCR: n is lost, not recognizable"},
    {"INCRBY", ONCE, 3, KEY},
    {"DECR", ONCE, 2, KEY, .note = "memcache's decr by n is journaled as DECR: n is lost, not recognizable"},
    {"DECRBY", ONCE, 3, KEY},
    {"INCRBYFLOAT", ONCE, 3, KEY, .needs = "scripts", .rewrite = rewrite_incrbyfloat,
     .note = "script: doubles in their shortest form, as Dragonfly prints them"},
    {"CL.THROTTLE", ONCE, -5, KEY, .needs = "redis-cell", .able = rewrite_target_throttle},
    {"SETBIT", IDEMPOTENT, 4, .heading = "Bits, HyperLogLog", KEY},
    {"BITFIELD", ONCE, -2, KEY, .rewrite = rewrite_bitfield,
     .note =
         "idempotent with SET alone, dropped with GET alone; an unsigned field that OVERFLOW SAT keeps from "
         "falling below zero: script"},
    {"BITOP", ONCE, -4, .first_key = 2, .last_key = -1, .key_step = 1, .filter = FILTER_STORE,
     .note = "journaled as SET of the result, or DEL; the journal does not show that the "
             "destination keeps its TTL"},
    {"PFADD", IDEMPOTENT, -2, CUT(2, 1), KEY,
     .note = "same count; the encoding inside the string may differ (sparse, dense)"},
    {"PFMERGE", ONCE, -2, STORE_KEYS, .note = "journaled as SET of the result"},
    {"LPUSH", ONCE, -3, .heading = "Lists", CUT(2, 1), KEY},
    {"RPUSH", ONCE, -3, CUT(2, 1), KEY},
    {"LPUSHX", ONCE, -3, CUT(2, 1), KEY},
    {"RPUSHX", ONCE, -3, CUT(2, 1), KEY},
    {"LPOP", ONCE, -2, KEY, EFFECTIVE, .rewrite = rewrite_pop,
     .note = "LMPOP COUNT n is journaled as one LPOP: the key is compared with the source"},
    {"RPOP", ONCE, -2, KEY, EFFECTIVE, .rewrite = rewrite_pop, .note = "as LPOP"},
    {"LINSERT", ONCE, 5, KEY, EFFECTIVE},
    {"LSET", ONCE, 4, KEY},
    {"LREM", ONCE, 4, KEY},
    {"LTRIM", ONCE, 4, KEY},
    {"LMOVE", ONCE, 5, TWO_KEYS, .filter = FILTER_REWRITE, .rewrite = rewrite_list_move,
     .note = "journaled as LPOP, RPOP and LPUSH, RPUSH; unchanged by v1.30"},
    {"RPOPLPUSH", ONCE, 3, TWO_KEYS, .filter = FILTER_REWRITE, .rewrite = rewrite_list_move,
     .note = "as LMOVE"},
    {"BLMOVE", ONCE, 6, TWO_KEYS, .filter = FILTER_REWRITE, .rewrite = rewrite_list_move,
     .note = "as LMOVE; never blocks"},
    {"BRPOPLPUSH", ONCE, 4, TWO_KEYS, .filter = FILTER_REWRITE, .rewrite = rewrite_list_move,
     .note = "as LMOVE; never blocks"},
    {"BLPOP", ONCE, -3, .first_key = 1, .last_key = -2, .key_step = 1, .rewrite = rewrite_blocking_pop,
     .note = "journaled as LPOP; never blocks"},
    {"BRPOP", ONCE, -3, .first_key = 1, .last_key = -2, .key_step = 1, .rewrite = rewrite_blocking_pop,
     .note = "journaled as RPOP; never blocks"},
    {"LMPOP", ONCE, -4, .key_count = 1, .rewrite = rewrite_multi_pop,
     .note = "journaled as LPOP or RPOP; raw, with keys in several slots of a cluster: reported"},
    {"BLMPOP", ONCE, -5, .key_count = 2, .rewrite = rewrite_multi_pop,
     .note = "journaled as LPOP or RPOP; never blocks"},
    {"SADD", IDEMPOTENT, -3, .heading = "Sets", CUT(2, 1), KEY,
     .note = "S*STORE are journaled as DEL and SADD"},
    {"SREM", ONCE, -3, CUT(2, 1), KEY, .note = "SPOP is journaled as SREM or DEL"},
    {"SADDEX", IDEMPOTENT, -4, KEY, .rewrite = rewrite_saddex,
     .note = "SADD; the TTL of members is lost: reported"},
    {"SPOP", COMMAND_UNSUPPORTED, -2, KEY, .rewrite = rewrite_lost,
     .note = "journaled as SREM or DEL; raw it is random: reported"},
    {"SMOVE", ONCE, 4, TWO_KEYS, .filter = FILTER_REWRITE, .rewrite = rewrite_smove,
     .note = "journaled as SREM and SADD"},
    {"SDIFFSTORE", ONCE, -3, STORE_KEYS, .note = "journaled as DEL and SADD"},
    {"SINTERSTORE", ONCE, -3, STORE_KEYS, .note = "journaled as DEL and SADD"},
    {"SUNIONSTORE", ONCE, -3, STORE_KEYS, .note = "journaled as DEL and SADD"},
    {"ZADD", IDEMPOTENT, -4, .heading = "Sorted sets, places", CUT(2, 2), KEY, .rewrite = rewrite_zadd,
     .note = "once with NX, XX, GT, LT, INCR; GT, LT: script, since Dragonfly up to v1.40.1 ignores them in "
             "large sets. Z*STORE are journaled as DEL and ZADD, scores cut to 6 digits"},
    {"ZINCRBY", ONCE, 4, KEY},
    {"ZREM", ONCE, -3, CUT(2, 1), KEY},
    {"ZREMRANGEBYRANK", ONCE, 4, KEY},
    {"ZREMRANGEBYSCORE", ONCE, 4, KEY},
    {"ZREMRANGEBYLEX", ONCE, 4, KEY},
    {"ZPOPMIN", ONCE, -2, KEY,
     .note = "also journaled if the key has another type: the target refuses it, too"},
    {"ZPOPMAX", ONCE, -2, KEY, .note = "as ZPOPMIN"},
    {"BZPOPMIN", ONCE, -3, .first_key = 1, .last_key = -2, .key_step = 1, .rewrite = rewrite_blocking_pop,
     .note = "journaled as ZPOPMIN; never blocks"},
    {"BZPOPMAX", ONCE, -3, .first_key = 1, .last_key = -2, .key_step = 1, .rewrite = rewrite_blocking_pop,
     .note = "journaled as ZPOPMAX; never blocks"},
    {"ZMPOP", ONCE, -4, .key_count = 1, .rewrite = rewrite_multi_pop,
     .note = "journaled as ZPOPMIN or ZPOPMAX"},
    {"BZMPOP", ONCE, -5, .key_count = 2, .rewrite = rewrite_multi_pop,
     .note = "journaled as ZPOPMIN or ZPOPMAX; never blocks"},
    {"ZRANGESTORE", ONCE, -5, TWO_KEYS, .filter = FILTER_STORE, SINCE_6_2,
     .note = "journaled as DEL and ZADD"},
    {"ZUNIONSTORE", ONCE, -4, STORE_COUNTED, .note = "journaled as DEL and ZADD"},
    {"ZINTERSTORE", ONCE, -4, STORE_COUNTED, .note = "journaled as DEL and ZADD"},
    {"ZDIFFSTORE", ONCE, -4, STORE_COUNTED, SINCE_6_2, .note = "journaled as DEL and ZADD"},
    {"GEOADD", IDEMPOTENT, -5, CUT(2, 3), KEY, .rewrite = rewrite_zadd, .note = "once with NX, XX"},
    {"GEORADIUS", ONCE, -6, KEY, .filter = FILTER_REWRITE, .rewrite = rewrite_georadius,
     .note = "only with STORE, STOREDIST; across shards the journal lacks them: reported"},
    {"GEORADIUSBYMEMBER", ONCE, -5, KEY, .filter = FILTER_REWRITE, .rewrite = rewrite_georadius,
     .note = "as GEORADIUS"},
    {"HSET", IDEMPOTENT, -4, .heading = "Hashes", CUT(2, 2), KEY},
    {"HMSET", IDEMPOTENT, -4, CUT(2, 2), KEY},
    {"HSETNX", ONCE, 4, KEY, .note = "also journaled if it wrote nothing"},
    {"HDEL", ONCE, -3, CUT(2, 1), KEY},
    {"HINCRBY", ONCE, 4, KEY},
    {"HINCRBYFLOAT", ONCE, 4, KEY, .needs = "scripts", .rewrite = rewrite_hincrbyfloat,
     .note = "script, as INCRBYFLOAT"},
    {"HSETEX", IDEMPOTENT, -5, KEY, .needs = "Redis 7.4", .rewrite = rewrite_hsetex,
     .note = "HSET and HPEXPIREAT; script (once) with NX, FNX, FXX, KEEPTTL; older targets: HSET, the TTL "
             "is reported"},
    {"FIELDEXPIRE", IDEMPOTENT, -4, KEY, .needs = "Redis 7.4", .rewrite = rewrite_fieldexpire,
     .note = "HPEXPIREAT; of a set's members: refused by the target, reported"},
    {"HEXPIRE", IDEMPOTENT, -6, KEY, .needs = "Redis 7.4", .rewrite = rewrite_hexpire, .note = "HPEXPIREAT"},
    {"HGETEX", IDEMPOTENT, -5, KEY, .needs = "Redis 7.4", .rewrite = rewrite_hgetex,
     .note = "HPEXPIREAT or HPERSIST"},
    {"XADD", IDEMPOTENT, -5, .heading = "Streams", KEY, .rewrite = rewrite_xadd,
     .note = "the id is filled in; trims as MINID (Redis 6.2; older: not trimmed, reported)"},
    {"XDEL", IDEMPOTENT, -3, CUT(2, 1), KEY},
    {"XTRIM", ONCE, -4, KEY, .rewrite = rewrite_xtrim,
     .note = "MINID needs Redis 6.2; older: not trimmed, reported"},
    {"XSETID", ONCE, -3, KEY, .rewrite = rewrite_xsetid,
     .note = "ENTRIESADDED, MAXDELETEDID need Redis 7.0; older: left out"},
    {"XACK", IDEMPOTENT, -4, CUT(3, 1), KEY, .rewrite = rewrite_xack,
     .note = "v1.36 and older do not journal XREADGROUP: where nothing is acknowledged, the key is compared "
             "with the source"},
    {"XCLAIM", ONCE, -6, KEY, .rewrite = rewrite_xclaim,
     .note = "idle times count from the entry's arrival; script with a minimum idle time, and before "
             "Redis 7.0. "
             "XREADGROUP is journaled as XCLAIM and XGROUP SETID, not by v1.36 and older: where nothing is "
             "claimed, the key is compared with the source"},
    {"XAUTOCLAIM", ONCE, -6, KEY, SINCE_6_2, .rewrite = rewrite_xclaim, .note = "as XCLAIM"},
    {"XGROUP", ONCE, -3, KEY_2, .rewrite = rewrite_xgroup,
     .note = "ENTRIESREAD needs Redis 7.0, CREATECONSUMER 6.2; older: left out"},
    {"XREADGROUP", COMMAND_UNSUPPORTED, -2, .rewrite = rewrite_lost,
     .note = "journaled as XCLAIM, XGROUP; raw: reported"},
    {.name = NULL},
};
