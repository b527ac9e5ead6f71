/* What a target can do, asked once at connect.
 *
 * This folder is what a Redis is; it holds no connection. Its files call each other once only:
 *
 *   capabilities.c       topology.c            seeds.c             marks.c
 *   what a target        a cluster's slots     addresses where     the position that a target keeps
 *   can do               and nodes             a target answers       ↓
 *                                                                  journal_check.c
 *                                                                  the check sum in a position */
#ifndef DF2REDIS_COMMON_REDIS_CAPABILITIES_H
#define DF2REDIS_COMMON_REDIS_CAPABILITIES_H

#include <hiredis/hiredis.h>

#include "common/base/error.h"
#include "common/base/mem.h"

enum server_kind { SERVER_REDIS, SERVER_VALKEY, SERVER_OTHER }; /* OTHER: cannot be a target */

struct capabilities {
    enum server_kind kind;
    uint32_t version;       /* 70015 = 7.0.15. A Valkey's own version */
    char version_text[48];  /* "7.0.15"; SERVER_OTHER: with its name, "Dragonfly v1.40.1" */
    char run_id[41];        /* of this start of the server; empty when it does not tell */
    char replid[41];        /* of its history: another one after a failover … */
    char replid_before[41]; /* … and that of the master it was a replica of; empty: it never was */
    uint64_t up_s;          /* since its start; 0: unknown */
    bool promoted;          /* it was a replica before: acknowledged writes may be missing */
    bool cluster;
    uint32_t masters;     /* merged into this; 0: one server's own */
    bool replica;         /* role is not master: read-only */
    char master_text[80]; /* a replica's master: host:port */
    uint32_t databases;   /* from CONFIG GET; 16 otherwise. The link verifies each by SELECT */
    bool databases_told;
    uint64_t max_bulk_bytes; /* proto-max-bulk-len; 512 MiB otherwise */
    uint64_t query_bytes;    /* client-query-buffer-limit, asked by the link alone; 1 GiB otherwise */
    bool limits_told;        /* both */
    bool evicts_any;         /* when its maxmemory is reached; asked by the link alone */
    uint64_t keys;           /* in all databases, at the time of asking */
    /* Layouts RESTORE takes (worker/rdb/value.h); the stream type is the newest it takes: 15, 19, 21. */
    bool restore_listpacks;    /* 16, 17, 18: Redis ≥ 7.0 */
    bool restore_set_listpack; /* 20: Redis ≥ 7.2 */
    uint8_t stream_type;
    /* Commands. */
    bool hash_field_ttl;                     /* HPEXPIREAT: Redis ≥ 7.4, Valkey ≥ 9 */
    bool xgroup_entriesread, xsetid_entries; /* ≥ 7.0 */
    bool xadd_minid;                         /* ≥ 6.2 */
    bool copy, getdel;                       /* ≥ 6.2 */
    bool zrangestore;                        /* ≥ 6.2 */
    bool json, bloom, cuckoo, cms, topk, search, throttle;
    bool redis_json;        /* json is that of RedisJSON, by the name of the module: another one does with the
                               same command something else here and there */
    bool json_merge;        /* JSON.MERGE */
    bool search_again;      /* FT._CREATEIFNX and its like */
    bool scripts;           /* EVAL is allowed */
    int64_t clock_ahead_ms; /* the server's clock, of ours; by the link */
    bool import_mode; /* Valkey's, and it took CLIENT IMPORT-SOURCE of this connection: nothing expires; by
                         the link */
    bool wait;        /* WAIT is; asked of a cluster's nodes alone, by the link */
};

/* The probe: send command i (0 … CAPABILITIES_COMMANDS-1) for each i, then give the replies in order. Errors
 * in replies of commands that an ACL may forbid are taken as "default"; one that says "later" (LOADING) is
 * ERROR_RETRY. Reply 0 clears *c. */
enum { CAPABILITIES_COMMANDS = 9, CAPABILITIES_MAX_ARGS = 20 };
size_t capabilities_command(int i, struct slice *argv, size_t max_args); /* returns argc */
bool capabilities_reply(struct capabilities *c, int i, const redisReply *reply, struct error *error);
/* From the reply to CONFIG GET client-query-buffer-limit. */
void capabilities_query_limit(struct capabilities *c, const redisReply *reply);
/* The value of `name` in INFO's text; empty when it is not there. */
struct slice info_field(struct slice info, const char *name);
/* From the text of INFO replication: whether the server is a replica; and whether it has been one since its replication
 * id was `replid`: it has, or had for a while, the data of another server. The id alone changes with the first replica
 * of a master, too; and one that was promoted with `replid` as the id before took nothing over from its master. */
bool info_is_replica(struct slice info);
bool info_was_replica(struct slice info, const char *replid);
/* Keys in all databases, from the text of INFO keyspace. */
uint64_t info_keys(struct slice info);
/* A number for the process of the target, never 0. A cluster: 1, as its nodes are replaced one after the other. */
uint64_t capabilities_contact(const struct capabilities *c);
/* Whether the server has been a replica, as above, since its replication id was `replid`; empty: unknown. */
bool capabilities_was_replica(const struct capabilities *c, const char *replid);
/* Of several masters of a cluster: what all of them can do; their keys are added. */
void capabilities_merge(struct capabilities *into, const struct capabilities *other);
/* After the last reply: whether this target can be written to. ERROR_FATAL with what to do. A node of a cluster may be
 * a replica: the caller finds the masters by CLUSTER SLOTS. */
bool capabilities_check(const struct capabilities *c, struct error *error);
/* The largest argument, the largest command and the largest MULTI that the server accepts, less room for the part of
 * the next command that it has read already. Above them it closes the connection. SIZE_MAX: no limit. */
static inline size_t capabilities_command_bytes(const struct capabilities *c)
{
    return c->query_bytes ? (size_t)(c->query_bytes - c->query_bytes / 4) : SIZE_MAX;
}
static inline size_t capabilities_multi_bytes(const struct capabilities *c)
{
    return c->query_bytes ? (size_t)(c->query_bytes - c->query_bytes / 8) : SIZE_MAX;
}
static inline size_t capabilities_argument_bytes(const struct capabilities *c)
{
    size_t most = capabilities_command_bytes(c);
    return c->max_bulk_bytes && c->max_bulk_bytes < most ? (size_t)c->max_bulk_bytes : most;
}
/* True: the server has no database of that number. */
static inline bool capabilities_lack_database(const struct capabilities *c, uint32_t db)
{
    return c->databases && db >= c->databases;
}
/* Whether the target has this command (module commands by their family). */
bool capabilities_knows(const struct capabilities *c, struct slice command);

#endif
