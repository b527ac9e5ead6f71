/* Which rights the target's user needs, and how to find out without writing anything.
 *
 * Redis looks at rights when a command is queued behind MULTI, in every version, and DISCARD forgets it:
 * nothing is carried out. (ACL DRYRUN came with 7.0, and is itself a right that few users have.) What would
 * do harm is given an argument that it would refuse, besides. Pure: target_rights.c asks. */
#ifndef DF2REDIS_SUPERVISOR_RULES_RIGHTS_H
#define DF2REDIS_SUPERVISOR_RULES_RIGHTS_H

#include <hiredis/hiredis.h>

#include "common/base/mem.h"
#include "supervisor/rules/findings.h"

enum { RIGHTS_MAX = 128, RIGHTS_MAX_ARGS = 8 };

struct rights {
    bool probed;              /* else nothing is known of the rest */
    bool missing[RIGHTS_MAX]; /* of the rows */
    bool mark_key_refused, mark_key_taken;
    bool absent[RIGHTS_MAX]; /* renamed, disabled: the target has no such command */
};

/* Rows to be queued, in order; 0 … rights_rows() - 1. mark_key: as the run names it on this node. Returns
 * argc. */
size_t rights_rows(void);
size_t rights_row(size_t i, const char *mark_key, struct slice *argv);
void rights_answer(struct rights *r, size_t i, const redisReply *reply);

struct rights_context {
    const char *target; /* its name, for the text */
    const char *run;
    bool marks;     /* the run keeps marks */
    bool flush_due; /* the target holds keys, and --flush-target is given */
    bool include;   /* only some keys are copied */
    bool databases; /* the target has more than one */
    bool cluster;
};
void rights_judge(const struct rights *r, const struct rights_context *context, struct findings *out);

#endif
