/* Keys whose deletion may be missing from the journal, or whose value from the snapshot, become suspects, up to a
 * limit. */
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

static void suspect(struct pipeline *p, uint32_t db, struct slice key, const char *reason,
                    const char *command)
{
    if (suspects_has(p->flow->suspects, db, key) || suspects_count(p->flow->suspects) < KEYS_MAX)
        flow_suspect(p->flow, db, key, reason, command);
    else
        flow_compare_all(
            p->flow,
            "MSET, SETNX, GETSET or MOVE wrote more keys during the full sync than a FLOW compares "
            "one by one",
            &p->omitted_told);
}

/* The snapshot may have passed the one database before the key came there, and the other after it had left. */
static void suspect_moved(struct pipeline *p, const struct entry *e)
{
    uint64_t to;
    uint32_t db;
    if (e->argc == 3 && slice_to_u64(e->argv[2], &to) && to <= UINT32_MAX &&
        settings_db_target(&p->flow->settings, (uint32_t)to, &db))
        suspect(p, db, e->argv[1], SUSPECT_MOVED, "MOVE");
}

static void suspect_written(struct pipeline *p, const struct entry *e)
{
    uint32_t db;
    if (!settings_db_target(&p->flow->settings, e->db, &db))
        return;
    const struct command *c = command_find(e->argv[0]);
    bool pairs = slice_is(e->argv[0], "MSET") || slice_is(e->argv[0], "MSETNX");
    for (size_t i = 1; i < e->argc; i += pairs ? 2 : e->argc)
        suspect(p, db, e->argv[i], SUSPECT_OMITTED, c->name);
}

void omitted_entry(struct pipeline *p, const struct entry *e)
{
    if (e->kind != ENTRY_COMMAND || !e->in_snapshot || !e->argc || !flow_heals(p->flow))
        return;
    if (slice_is(e->argv[0], "MOVE"))
        suspect_moved(p, e);
    else if (release_omits(p->translator.source_release) && is_journaled_always(e->argv[0]))
        suspect_written(p, e);
}
