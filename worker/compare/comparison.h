/* Source and target, key by key, exactly, while both are written to:
 *
 *   target   WATCH k …              from here on any write to k fails our EXEC
 *   target   DUMP k, PEXPIRETIME k  T
 *   source   DUMP k, PEXPIRETIME k  S, at some moment t
 *   source   DFLY REPLICAOFFSET     L, not less than any LSN at t
 *   wait     until the FLOWs have applied L
 *   target   MULTI … EXEC           succeeded: nothing has touched k in between, and everything of the source
 *                                   up to t is in it: T must be S
 *                                   aborted: it was written meanwhile: another time
 *
 * A stream's groups are written without a word to WATCH: where T is one, a script in the MULTI looks whether the
 * stream still is T, and has the commands; the outcome is as if it was aborted.
 *
 * Where T is not S, the same EXEC writes S, or deletes what the source does not have. So a value that was
 * written meanwhile is never set back, nobody is stopped, and nothing is written to the source. T and S are
 * compared by their digests.
 *
 * The connections are its own, kept until comparison_rest(). One batch at a time; keys of one database, and
 * in a cluster one key, which the node that serves it is asked about: that of the target's URI may be gone. */
#ifndef DF2REDIS_WORKER_COMPARE_COMPARISON_H
#define DF2REDIS_WORKER_COMPARE_COMPARISON_H

#include <event2/event.h>

#include "common/redis/capabilities.h"
#include "common/settings/settings.h"

enum { COMPARISON_KEYS = 32 }; /* of a batch */

enum comparison_outcome {
    COMPARISON_AGAIN, /* not decided: it was written meanwhile, or a connection broke */
    COMPARISON_EQUAL,
    COMPARISON_HEALED,     /* it was not equal, and is now */
    COMPARISON_DIFFERENT,  /* it is not equal, and stays so: only to compare was asked for */
    COMPARISON_IMPOSSIBLE, /* it cannot be compared, or not be written: `reason` */
};

struct compared {
    uint32_t db;      /* the target's */
    struct slice key; /* the caller's, until `done` */
    void *owner;
    enum comparison_outcome outcome;
    int64_t expires_ms; /* HEALED: when the target lets it expire now; 0: never, or it is gone */
    bool alone;         /* AGAIN: another key's trouble, perhaps; to be tried alone */
    bool by_elements;   /* its payload was refused: written element by element */
    char reason[48];    /* IMPOSSIBLE: a word of divergence.h; empty: the source does not let us read */
    char text[160];     /* … and what stands behind it */
};

struct comparison_config {
    const struct settings *settings;
    const char *master_id; /* of the source: another one is not asked */
    const char *client_name;
    bool repair;
    void *arg;
    /* Has the target all that the shards had before these LSNs? */
    bool (*applied)(void *arg, const uint64_t *lsns, size_t count);
    /* The batch has an end. trouble: NULL, or why all of it is AGAIN. */
    void (*done)(void *arg, struct compared *list, size_t count, const struct error *trouble);
};

struct comparison;

struct comparison *comparison_new(struct event_base *base, const struct comparison_config *config);
void comparison_free(struct comparison *x);
bool comparison_is_busy(const struct comparison *x);
/* Not while it is busy. uri: where the target's keys are. The list is copied, the keys are not. */
void comparison_begin(struct comparison *x, const struct compared *list, size_t count, const struct uri *uri,
                      const struct capabilities *target);
/* Something was applied, or a while has passed. */
void comparison_poll(struct comparison *x);
/* Gives up a batch, whose keys are AGAIN, and the connections. */
void comparison_rest(struct comparison *x, const struct error *why);

#endif
