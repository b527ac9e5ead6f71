/* What is, or may be, different on the target: reports, and suspects for a comparison. */
#include "worker/pipeline/report.h"

#include <stdio.h>

#include "common/ipc/divergence.h"
#include "worker/keys/suspects.h"
#include "worker/translate/commands.h"

/* Whether a comparison may heal the key: the source may have a value that the target lacks. Not if the target lacks the
 * module of the command. */
static bool is_healable(const char *reason, const char *command)
{
    return strcmp(reason, DIVERGENCE_LOST_BY_SOURCE) == 0 || strcmp(reason, DIVERGENCE_REFUSED) == 0 ||
           (strcmp(reason, DIVERGENCE_COMMAND) == 0 && !strchr(command, '.'));
}

void report_suspect(void *arg, uint32_t db, struct slice key, const char *reason, const char *command)
{
    struct pipeline *p = arg;
    flow_suspect(p->flow, db, key, reason, command);
}

void report_translated(void *arg, const char *reason, const char *command, struct slice key, uint64_t count)
{
    struct pipeline *p = arg;
    if (key.len && is_healable(reason, command) && flow_heals(p->flow)) {
        flow_suspect(p->flow, p->translator.db, key, reason, command);
        return;
    }
    const struct translator *t = &p->translator;
    uint32_t db = DIVERGENCE_NAMES_DATABASE(reason) ? t->lacking_db : t->db;
    flow_report(p->flow, &(struct report){reason, command, db, key, count, NULL});
}

/* The last applied command is also in the journal of the promoted master. A replica that is promoted while it executes
 * an entry counts one too few: of equal commands in a row, e.g. INCR, the compared one may be the next one, and one was
 * lost. So its keys become suspects. */
void report_compared(void *arg, uint32_t source_db, const struct slice *argv, size_t argc)
{
    struct pipeline *p = arg;
    struct slice keys[SUSPECT_ARGS];
    uint32_t db;
    if (!*p->flow->last_master_id || !flow_heals(p->flow) ||
        !settings_db_target(&p->flow->settings, source_db, &db))
        return;
    size_t n = command_written_keys(argv, argc, keys, SUSPECT_ARGS);
    char name[SUSPECT_WORD_BYTES];
    snprintf(name, sizeof name, "%.*s", (int)argv[0].len, (const char *)argv[0].data);
    for (size_t i = 0; i < n && i < SUSPECT_ARGS; i++)
        flow_suspect(p->flow, db, keys[i], SUSPECT_FAILED_OVER, name);
}
