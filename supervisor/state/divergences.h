/* Divergences: what the target lacks or has otherwise. They are counted by reason, with some examples by name; every
 * report is appended to STATE/NAME/divergences.log. */
#ifndef DF2REDIS_SUPERVISOR_STATE_DIVERGENCES_H
#define DF2REDIS_SUPERVISOR_STATE_DIVERGENCES_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/base/error.h"
#include "common/ipc/message.h"

enum {
    DIVERGENCE_EXAMPLES = 100, /* kept per reason */
    DIVERGENCE_REASONS = 64,   /* distinct ones; further ones count as "other" */
};

/* The supervisor's own reasons; the workers' are in common/ipc/divergence.h. */
#define DIVERGENCE_EVICTED "evicted_by_target"             /* keys evicted to stay below its maxmemory */
#define DIVERGENCE_RESYNC_KEPT "full_resync_without_flush" /* deletions in between are unknown */
#define DIVERGENCE_FLOW_FAILED "flow_failed" /* a FLOW was given up: its keys no longer change */

/* The origin of a report. position.seq 0: the supervisor. */
struct divergence_source {
    uint32_t flow;
    uint64_t session;
    enum report_stream stream;
    struct report_position position;
    const char *text; /* the target's answer; NULL or "": none */
};

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
    uint64_t log_bytes, log_limit_bytes;
    FILE *log;
};

/* log_path NULL: no log. */
bool divergences_init(struct divergences *d, const char *log_path, struct error *error);
/* A new copy begins: the divergences of the copy before no longer count, here and in the log. */
void divergences_begin(struct divergences *d);
/* Counts the log's lines since the last divergences_begin, for a run that resumes a killed one. told: for each FLOW of
 * this session the positions of the last reports in the log; workers repeat the later ones. */
void divergences_recall(struct divergences *d, const char *log_path, uint64_t session,
                        struct report_position (*told)[REPORT_STREAMS], uint32_t flow_count);
void divergences_free(struct divergences *d);
void divergences_add(struct divergences *d, const struct divergence_source *source, const char *reason,
                     const char *command, const char *key, uint64_t count);
/* Logs that a difference was healed. No count changes. */
void divergences_note_healed(struct divergences *d, uint32_t flow, const char *reason, const char *command,
                             const char *key);

#endif
