/* Facts about the source beyond its greeting, asked in each session before anything depends on them. A fact that
 * the user may not ask for stays unknown. */
#ifndef DF2REDIS_SUPERVISOR_SOURCE_SOURCE_FACTS_H
#define DF2REDIS_SUPERVISOR_SOURCE_SOURCE_FACTS_H

#include "common/net/client.h"
#include "supervisor/rules/findings.h"

enum source_cluster {
    SOURCE_CLUSTER_NONE,   /* or emulated: one node with all slots */
    SOURCE_CLUSTER_REAL,   /* --cluster_mode=yes: it owns a part of the keys, and slots migrate */
    SOURCE_CLUSTER_UNTOLD, /* its user may not ask, or the commands are renamed or restricted */
};

struct source_facts {
    bool info;            /* INFO was answered */
    bool loading;         /* it does not know all of its keys yet */
    uint64_t used_memory; /* bytes; 0: unknown */
    uint32_t databases;   /* --dbnum; 0: unknown */
    bool omits_told;      /* by a release that has it */
    uint64_t omits;       /* total_journal_omits: entries that its journal left out, since its start */
    enum source_cluster cluster;
    bool dfly_refused;      /* DFLY is; set by source.c, the last of the questions */
    char not_compared[240]; /* rights that are missing for comparing keys with the target's, as ACL SETUSER
                              wants them */
    size_t compare_told;
    /* While the questions are in flight. */
    uint32_t timeout_ms;
    bool cluster_enabled;
    void (*done)(void *arg);
    void *arg;
};

/* Appends the rights of a user of the source that are enough, as ACL SETUSER has them: "+ping +replconf …". */
void source_rights(struct buf *out);
/* Returns true, and the number, if the text of INFO STATS has total_journal_omits. */
bool source_omits(struct slice info, uint64_t *omits);
/* Calls done once all questions are answered, unless the client fails before. *out must live as long as the
 * client. */
void source_facts_ask(struct client *c, uint32_t timeout_ms, struct source_facts *out,
                      void (*done)(void *arg), void *arg);

struct source_judged {
    const char *source, *target; /* names, for the text */
    const struct settings *settings;
    uint32_t release;          /* 14001: 1.40.1; 0: unknown */
    const uint32_t *databases; /* those with keys */
    size_t database_count;
    bool goes_on; /* the run resumes a complete copy: missing keys are reported one by one */
    bool target_cluster;
    uint32_t target_databases;
    uint64_t memory_limit;               /* of the target; 0: none */
    uint64_t memory_system, memory_used; /* of its machine and of itself; 0: unknown */
    const char *memory_policy;           /* "": unknown, and so is the limit */
    bool target_unknown;                 /* it was not reached */
    bool even_if_refused; /* also what concerns the run only once it is not refused for something else */
};
void source_facts_judge(const struct source_facts *facts, const struct source_judged *with,
                        struct findings *out);

#endif
