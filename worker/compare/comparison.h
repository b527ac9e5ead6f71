/* Compares keys of source and target exactly, while both are written:
 *
 *   target   WATCH k …              from here on any write to k aborts the EXEC
 *   target   DUMP k, PEXPIRETIME k  T
 *   source   DUMP k, PEXPIRETIME k  S, at some moment t
 *   source   DFLY REPLICAOFFSET     L, not less than any LSN at t
 *   wait     until the FLOWs have applied L
 *   target   MULTI … EXEC           succeeded: k was not written in between, and the target has all writes of
 *                                   the source up to t: T must equal S
 *                                   aborted: k was written meanwhile: compare again later
 *
 * Commands on the groups of a stream do not touch it for WATCH: if T is a stream, the commands are in a script in the
 * MULTI, which checks first that the stream still is T; if not, the outcome is as for an aborted EXEC.
 *
 * If T differs from S the same EXEC writes S, or deletes the key if the source lacks it. So a value that was written
 * meanwhile is never set back, no client is blocked, and nothing is written to the source. T and S are compared by
 * their digests.
 *
 * A command that changes nothing does not touch its key for WATCH: if the source deletes after t what the target lacks,
 * the EXEC succeeds, and brings it back. So the caller must compare a healed key again, and settles it only when it is
 * equal: where T equals S, a command changes both or neither. If T and S differ as before the rewriting, the target
 * cannot hold S exactly: the outcome is IMPOSSIBLE, not HEALED again and again.
 *
 * Has its own connections, kept until comparison_rest(). One batch at a time, of keys of one database; in a cluster of
 * one key, on the node that serves its slot, as the node of the target's URI may be gone. */
#ifndef DF2REDIS_WORKER_COMPARE_COMPARISON_H
#define DF2REDIS_WORKER_COMPARE_COMPARISON_H

#include <event2/event.h>

#include "common/redis/capabilities.h"
#include "common/settings/settings.h"
#include "worker/compare/digest.h"

enum { COMPARISON_KEYS = 32 }; /* maximum of a batch */

enum comparison_outcome {
    COMPARISON_AGAIN, /* undecided: the key was written meanwhile, or a connection broke */
    COMPARISON_EQUAL,
    COMPARISON_HEALED,     /* differed, and was rewritten: to be compared again, see above */
    COMPARISON_DIFFERENT,  /* differs, and was not rewritten (config.repair is false) */
    COMPARISON_IMPOSSIBLE, /* cannot be compared or written: see `reason` */
};

struct compared {
    uint32_t db;      /* the target's */
    struct slice key; /* borrowed until `done` */
    void *owner;
    enum comparison_outcome outcome;
    uint64_t bytes;        /* read of it from either side, about */
    int64_t expires_ms;    /* HEALED: when it expires on the target, Unix ms; 0: never, or deleted */
    bool alone;            /* AGAIN: another key may be the cause; try this key alone */
    enum verify_kind kind; /* DIFFERENT, HEALED: how the values differed */
    enum digest_kind type; /* of the source's value, or of the target's if the source has none */
    uint64_t difference;   /* hash of both values; in: where a rewriting was to remove it; out: HEALED */
    bool by_elements;      /* its payload was refused: write it element by element */
    char reason[48];       /* IMPOSSIBLE: a word of divergence.h; empty: reading is not permitted */
    char text[160];        /* … and details */
};

struct comparison_config {
    const struct settings *settings;
    const char *master_id; /* of the source: no other server is compared */
    const char *client_name;
    bool repair;
    bool entries_read; /* of a stream's groups are compared: informative only */
    void *arg;
    /* Whether the target has all entries of the shards before these LSNs. */
    bool (*applied)(void *arg, const uint64_t *lsns, size_t count);
    /* The run id of the process of the target of which `applied` tells, for this key: another one, e.g. a replica that
     * has taken its address over, may have less, and gets it again later. Empty, or NULL: not known. */
    const char *(*process)(void *arg, struct slice key);
    /* End of the batch. trouble: why all of it is AGAIN; NULL: none. */
    void (*done)(void *arg, struct compared *list, size_t count, const struct error *trouble);
};

struct comparison;

struct comparison *comparison_new(struct event_base *base, const struct comparison_config *config);
void comparison_free(struct comparison *x);
bool comparison_is_busy(const struct comparison *x);
/* Must not be busy. uri: the server of the target that has the keys. Copies the list, but not the keys. */
void comparison_begin(struct comparison *x, const struct compared *list, size_t count, const struct uri *uri,
                      const struct capabilities *target);
/* For the next batches: config.repair. */
void comparison_repair(struct comparison *x, bool repair);
/* Whether both times of expiry are equal within the tolerance for such a target; -1: none, -2: no key. */
bool comparison_same_expiry(const struct capabilities *target, int64_t target_ms, int64_t source_ms);
/* Call after entries were applied, and at each tick. */
void comparison_poll(struct comparison *x);
/* Aborts the current batch, whose keys are AGAIN, and closes the connections. */
void comparison_rest(struct comparison *x, const struct error *why);

#endif
