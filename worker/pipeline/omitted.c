/* Keys whose deletion may be missing from the journal become suspects, up to a limit. */
#include "worker/pipeline/omitted.h"

#include "common/ipc/divergence.h"
#include "common/redis/releases.h"
#include "worker/keys/suspects.h"
#include "worker/translate/commands.h"
#include "worker/pipeline/pipeline.h"

enum { KEYS_MAX = SUSPECTS_MAX / 2 /* the other half is for keys that a command failed on */ };

static bool is_journaled_always(struct slice name)
{
    return slice_is(name, "MSET") || slice_is(name, "MSETNX") || slice_is(name, "SETNX") ||
           slice_is(name, "GETSET");
}

/* Once per session: keys over the limit are not counted. */
static void report_too_many(struct pipeline *p, const char *command)
{
    if (p->omitted_told)
        return;
    p->omitted_told = true;
    log_warning(
        "keys written with MSET, SETNX or GETSET during the full sync exceed the %d that a FLOW can compare, "
        "and "
        "this source does not journal every deletion during a full sync: the target may have keys that the "
        "source has deleted; once the run is in step compare all keys: df2redis verify --repair",
        KEYS_MAX);
    flow_report(p->flow, &(struct report){.reason = SUSPECT_OMITTED, .command = command});
}

void omitted_entry(struct pipeline *p, const struct entry *e)
{
    uint32_t db;
    if (e->kind != ENTRY_COMMAND || !e->in_snapshot || !e->argc ||
        !release_omits(p->translator.source_release) || !is_journaled_always(e->argv[0]) ||
        !flow_heals(p->flow) || !settings_db_target(&p->flow->settings, e->db, &db))
        return;
    const struct command *c = command_find(e->argv[0]);
    bool pairs = slice_is(e->argv[0], "MSET") || slice_is(e->argv[0], "MSETNX");
    for (size_t i = 1; i < e->argc; i += pairs ? 2 : e->argc) {
        if (suspects_has(p->flow->suspects, db, e->argv[i]) || suspects_count(p->flow->suspects) < KEYS_MAX)
            flow_suspect(p->flow, db, e->argv[i], SUSPECT_OMITTED, c->name);
        else
            report_too_many(p, c->name);
    }
}
