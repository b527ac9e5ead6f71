/* Which keys they may be of, and what is said where there are too many. */
#include "worker/pipeline/omitted.h"

#include "common/ipc/divergence.h"
#include "common/redis/releases.h"
#include "worker/keys/suspects.h"
#include "worker/translate/commands.h"
#include "worker/pipeline/pipeline.h"

enum { KEYS_MAX = SUSPECTS_MAX / 2 /* the rest is for what is known to have gone wrong */ };

static bool is_journaled_all_the_same(struct slice name)
{
    return slice_is(name, "MSET") || slice_is(name, "MSETNX") || slice_is(name, "SETNX") ||
           slice_is(name, "GETSET");
}

/* Once for each session: nothing of what is beyond the bound is remembered. */
static void tell_beyond(struct pipeline *p, const char *command)
{
    if (p->omitted_told)
        return;
    p->omitted_told = true;
    log_warning(
        "more keys than can be compared (%d of a FLOW) were written with MSET, SETNX or GETSET during the "
        "full "
        "sync, and this source does not journal every deletion meanwhile: some that it deleted may still be "
        "here; start it with --journal_omit_redundant_writes=false and copy anew: df2redis stop, df2redis "
        "clean, then start with --flush-target",
        KEYS_MAX);
    flow_tell_divergence(p->flow, SUSPECT_OMITTED, command, slice_of("", 0));
}

void omitted_entry(struct pipeline *p, const struct entry *e)
{
    uint32_t db;
    if (e->kind != ENTRY_COMMAND || !e->in_snapshot || !e->argc ||
        !release_omits(p->translator.source_release) || !is_journaled_all_the_same(e->argv[0]) ||
        !flow_heals(p->flow) || !settings_db_target(&p->flow->settings, e->db, &db))
        return;
    const struct command *c = command_find(e->argv[0]);
    bool pairs = slice_is(e->argv[0], "MSET") || slice_is(e->argv[0], "MSETNX");
    for (size_t i = 1; i < e->argc; i += pairs ? 2 : e->argc) {
        if (suspects_has(p->flow->suspects, db, e->argv[i]) || suspects_count(p->flow->suspects) < KEYS_MAX)
            flow_suspect(p->flow, db, e->argv[i], SUSPECT_OMITTED, c->name);
        else
            tell_beyond(p, c->name);
    }
}
