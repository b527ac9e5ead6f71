/* The rights that the target's user needs, and how to probe them without a write.
 *
 * Redis checks rights when a command is queued behind MULTI, in every version, and DISCARD drops the queue: nothing is
 * executed. (ACL DRYRUN came with 7.0, and is itself a right that few users have.) Harmful commands have in addition an
 * argument that the command would refuse. Pure: supervisor/target/target_probe.c sends the rows. */
#ifndef DF2REDIS_SUPERVISOR_RULES_RIGHTS_H
#define DF2REDIS_SUPERVISOR_RULES_RIGHTS_H

#include <hiredis/hiredis.h>

#include "common/settings/settings.h"
#include "supervisor/rules/findings.h"

enum { RIGHTS_MAX = 192, RIGHTS_MAX_ARGS = 8, RIGHTS_KEYS = 16 };

/* Keys that may be copied: one for each --include. */
struct rights_key {
    const char *pattern; /* of the settings */
    char name[128];      /* matches it */
    bool refused, taken;
};

struct rights {
    bool probed;              /* false: the rest is unknown */
    bool missing[RIGHTS_MAX]; /* per row */
    bool mark_key_refused, mark_key_taken;
    bool absent[RIGHTS_MAX]; /* renamed, disabled: the target has no such command */
    struct rights_key keys[RIGHTS_KEYS];
    size_t key_count;
};

/* Chooses the keys: before all below. */
void rights_keys(struct rights *r, const struct settings *settings);
/* The rows 0 … rights_rows() - 1 are queued in order. mark_key: the run's mark on this node. Returns argc. */
size_t rights_rows(const struct rights *r);
size_t rights_row(const struct rights *r, size_t i, const char *mark_key, struct slice *argv);
void rights_answer(struct rights *r, size_t i, const redisReply *reply);

struct rights_context {
    const char *target; /* its name, for the text */
    const char *run;
    bool marks;     /* the run keeps marks */
    bool flush_due; /* the target holds keys, and --flush-target is given */
    bool include;   /* only some keys are copied */
    bool databases; /* the target has more than one */
    bool cluster;
    bool valkey;
};
void rights_judge(const struct rights *r, const struct rights_context *context, struct findings *out);

/* The rights that are enough for everything, as ACL SETUSER has them: on any target; besides, where Redis 8 has its search
 * module, whose FT.DROPINDEX it calls dangerous; besides, in a cluster. */
#define RIGHTS_ENOUGH                                                                                        \
    "+@all -@admin -@dangerous +info +config|get +client|setname +client|list +client|kill +restore "        \
    "+flushall +flushdb +sort"
#define RIGHTS_ENOUGH_WITH_SEARCH "+ft._dropindexifx"
#define RIGHTS_ENOUGH_IN_CLUSTER "+cluster|slots +cluster|nodes +cluster|getkeysinslot +migrate"

/* Writes the name of row i as ACL SETUSER has it. Returns true for rights that df2redis(1) lists: all but those of
 * the commands that are copied. */
bool rights_named(size_t i, char *out, size_t out_bytes);

#endif
