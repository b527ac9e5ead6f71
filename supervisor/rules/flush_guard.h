/* The one place that permits a FLUSHALL of the target. It decides right before the flush would be sent, by the facts of
 * that moment.
 *
 * The run deletes only keys that the operator has given up by an option. A restart of a connection, a process, a pod or
 * the source never empties a complete copy, nor does --flush-target alone. df2redis-design(7) has the table. Pure. */
#ifndef DF2REDIS_SUPERVISOR_RULES_FLUSH_GUARD_H
#define DF2REDIS_SUPERVISOR_RULES_FLUSH_GUARD_H

#include "common/settings/settings.h"

/* The origin of the target's keys. */
enum flush_holds {
    FLUSH_HOLDS_OTHERS, /* unknown, not known to be this run's */
    FLUSH_HOLDS_STRAY,  /* a complete copy by a run of this name with another state directory */
    FLUSH_HOLDS_DONE, /* a complete copy by this run, which it cannot resume: migrated, other options, no marks */
    FLUSH_HOLDS_PARTIAL, /* this run's, from an incomplete full sync */
    FLUSH_HOLDS_COPY,    /* this run's, complete */
    FLUSH_HOLDS_ENDED,   /* the same, and the run was ended in order: clients may use the target since */
};

/* The source, compared with the origin of the target's keys. */
enum flush_source {
    FLUSH_SOURCE_SAME,         /* the same master id, and its role has not changed since */
    FLUSH_SOURCE_SAME_PROCESS, /* the same master id: it was a replica meanwhile, or does not tell */
    FLUSH_SOURCE_RESTARTED,    /* another master id at the same address */
    FLUSH_SOURCE_OTHER,        /* another master id, and another address */
};

struct flush_facts {
    uint64_t keys; /* on all masters, without the run's mark */
    enum flush_holds holds;
    bool owned; /* the target was empty, or flushed, when the run began */
    bool
        kept; /* the copy was written over since, as --on-full-resync keep or prune said: it has keys that the source lacks */
    enum flush_source source;
    bool source_keys_known;
    uint64_t source_keys; /* in the databases that are copied */
    bool flush_target;    /* the options */
    bool conflict;
    enum on_full_resync resync;
    bool resync_given;
};

enum flush_verdict {
    FLUSH_NOT_NEEDED, /* the target is empty */
    FLUSH_NOW,
    FLUSH_WRITE_OVER, /* nothing is deleted; later with prune, one by one, what the source lacks */
    FLUSH_STOP,       /* this and all below: the run ends and leaves the target as it is */
    FLUSH_STOP_OTHERS = FLUSH_STOP,
    FLUSH_STOP_STRAY,
    FLUSH_STOP_DONE,
    FLUSH_STOP_OTHER_SOURCE,
    FLUSH_STOP_ASKED, /* --on-full-resync stop */
    FLUSH_STOP_SOURCE_LOST_KEYS,
    FLUSH_STOP_ENDED,
};

enum flush_verdict flush_guard(const struct flush_facts *facts);
/* Fills *error, ERROR_FATAL, with the cause and the operator's choices. source: the session's address, one of the
 * several that may be given; reason: the cause of the full sync. */
void flush_guard_explain(enum flush_verdict verdict, const struct flush_facts *facts,
                         const struct settings *settings, const char *source, const char *source_before,
                         const char *reason, struct error *error);

#endif
