/* What is, or may be, different on the target: reports to the supervisor, and suspects for a comparison. */
#include "worker/pipeline/report.h"

#include <stdio.h>

#include "common/base/printable.h"
#include "common/ipc/divergence.h"
#include "worker/keys/suspects.h"
#include "worker/translate/commands.h"

/* Appends the database to the key, for a divergence about a database that the target lacks. */
static void add_database(const struct pipeline *p, const char *reason, char *key, size_t bytes)
{
    size_t len = strlen(key);
    if (strcmp(reason, DIVERGENCE_DATABASE) == 0 || strcmp(reason, DIVERGENCE_DATABASE_MISSING) == 0)
        snprintf(key + len, bytes - len, " in database %u", (unsigned)p->translator.lacking_db);
}

bool report_divergence(struct pipeline *p, enum report_stream stream, uint64_t seq, const char *reason,
                       const char *command, struct slice key, uint64_t count, const char *text)
{
    struct message m = {.type = MESSAGE_DIVERGENCE, .fd = -1};
    /* The answers of different nodes of a cluster are not in the order of entries. */
    bool in_order = stream == REPORT_TRANSLATED || !router_is_cluster(p->router);
    if (!reports_next(&p->reports, stream, seq) && in_order)
        return false;
    snprintf(m.divergence.reason, sizeof m.divergence.reason, "%s", reason);
    snprintf(m.divergence.command, sizeof m.divergence.command, "%s", command);
    snprintf(m.divergence.key, sizeof m.divergence.key, "%s", log_key(key));
    add_database(p, reason, m.divergence.key, sizeof m.divergence.key);
    snprintf(m.divergence.text, sizeof m.divergence.text, "%s", text ? text : "");
    printable(m.divergence.text, sizeof m.divergence.text);
    m.divergence.count = count;
    m.divergence.stream = stream;
    m.divergence.position = p->reports.told[stream];
    cursor_add(&p->flow->cursor.marks->divergences, count);
    flow_tell(p->flow, &m);
    p->flow->reports_unread = true;
    return true;
}

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
    report_divergence(p, REPORT_TRANSLATED, p->flow->decoder ? decoder_seq(p->flow->decoder) : 0, reason,
                      command, key, count, NULL);
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
