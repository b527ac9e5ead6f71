/* Divergences: what the target lacks or has otherwise. They are counted by reason, with some examples by name; all are
 * in STATE/NAME/divergences.log (common/ipc/divergence_log.h). Those that workers report have an identity and count
 * once each, however often they are reported; beyond ID_SET_LIMIT perhaps more than once. */
#ifndef DF2REDIS_SUPERVISOR_STATE_DIVERGENCES_H
#define DF2REDIS_SUPERVISOR_STATE_DIVERGENCES_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/ipc/divergence_log.h"
#include "supervisor/state/id_set.h"

enum {
    DIVERGENCE_EXAMPLES = 100, /* kept per reason */
    DIVERGENCE_REASONS = 64,   /* distinct ones; further ones count as "other" */
};

/* The supervisor's own reasons; the workers' are in common/ipc/divergence.h. */
#define DIVERGENCE_EVICTED "evicted_by_target"             /* keys evicted to stay below its maxmemory */
#define DIVERGENCE_RESYNC_KEPT "full_resync_without_flush" /* deletions in between are unknown */
#define DIVERGENCE_FLOW_FAILED "flow_failed" /* a FLOW was given up: its keys no longer change */

struct divergence_example {
    uint32_t flow;
    uint64_t count;
    char *command, *key;
};

struct divergence {
    char reason[48];
    uint64_t count;
    struct divergence_example *examples;
    size_t example_count;
};

struct divergences {
    struct divergence *list;
    size_t reason_count;
    uint64_t total;
    struct id_set counted; /* what workers reported */
    struct divergence_log log;
    char *log_path;
    uint64_t read_bytes; /* of the log; what is before it is counted */
};

/* log_path NULL: no log. */
bool divergences_init(struct divergences *d, const char *log_path, struct error *error);
/* A new copy begins: the divergences of the copy before no longer count, here and in the log. */
void divergences_begin(struct divergences *d);
/* Counts the log's lines since the last divergences_begin, for a run that resumes a killed one. */
void divergences_recall(struct divergences *d);
/* Counts what workers have appended to the log since it was read last. */
void divergences_read_on(struct divergences *d);
void divergences_free(struct divergences *d);
/* One that the supervisor has noticed itself: appended to the log; times adds up. */
void divergences_add(struct divergences *d, uint32_t flow, const char *reason, const char *command,
                     const char *key, uint64_t times);
/* One that a worker has reported. line: as in the log, where the worker has appended it; line->count does not matter.
 * text: the target's answer; NULL or "": none. */
void divergences_count(struct divergences *d, const struct divergence_line *line, const char *text);
/* Logs that a difference was healed. No count changes. */
void divergences_note_healed(struct divergences *d, uint32_t flow, const char *reason, const char *command,
                             const char *key);

#endif
