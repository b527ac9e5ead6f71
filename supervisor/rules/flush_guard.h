/* May the target be emptied now? The one place that says so: no FLUSHALL without its word, and it is asked at
 * the moment at which the flush would be sent, with what is there then.
 *
 * Nothing of the target is deleted that the operator did not give up by an option, and a complete copy is
 * never emptied because a connection, a process, a pod or the source was started anew. df2redis-design(7) has
 * the table. Pure. */
#ifndef DF2REDIS_SUPERVISOR_RULES_FLUSH_GUARD_H
#define DF2REDIS_SUPERVISOR_RULES_FLUSH_GUARD_H

#include "common/settings/settings.h"

/* What the target's keys are. */
enum flush_holds {
    FLUSH_HOLDS_OTHERS,  /* nothing tells that this run wrote them */
    FLUSH_HOLDS_STRAY,   /* a complete copy of a run of this name, whose state directory is not here */
    FLUSH_HOLDS_PARTIAL, /* this run's, of a full sync that was not completed */
    FLUSH_HOLDS_COPY,    /* this run's, complete */
    FLUSH_HOLDS_ENDED,   /* the same, and the run was ended in order: perhaps it is in use since */
};

/* The source, compared with the one that the target's keys came from. */
enum flush_source {
    FLUSH_SOURCE_SAME,
    FLUSH_SOURCE_RESTARTED, /* another master id at the same address */
    FLUSH_SOURCE_OTHER,     /* another master id, and another address */
};

struct flush_facts {
    uint64_t keys; /* on all masters, without the run's mark */
    enum flush_holds holds;
    bool owned; /* the target was empty, or flushed, when the run began */
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
    FLUSH_WRITE_OVER, /* nothing is deleted, nothing said */
    FLUSH_STOP,       /* this and all that follow: the run ends, the target is left as it is */
    FLUSH_STOP_OTHERS = FLUSH_STOP,
    FLUSH_STOP_STRAY,
    FLUSH_STOP_OTHER_SOURCE,
    FLUSH_STOP_ASKED, /* --on-full-resync stop */
    FLUSH_STOP_SOURCE_LOST_KEYS,
    FLUSH_STOP_ENDED,
};

enum flush_verdict flush_guard(const struct flush_facts *facts);
/* Why, and what there is to choose. source: the address of the session, of the several that may be given; reason: why a
 * full sync is needed. ERROR_FATAL. */
void flush_guard_explain(enum flush_verdict verdict, const struct flush_facts *facts,
                         const struct settings *settings, const char *source, const char *source_before,
                         const char *reason, struct error *error);

#endif
