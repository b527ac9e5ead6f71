/* The record of a run, from which a later run resumes: STATE/NAME/run.json. */
#ifndef DF2REDIS_SUPERVISOR_STATE_RUN_RECORD_H
#define DF2REDIS_SUPERVISOR_STATE_RUN_RECORD_H

#include "common/redis/journal_check.h"
#include "supervisor/state/state_dir.h"

enum run_copy {
    RUN_COPY_PARTIAL,  /* a full sync is under way */
    RUN_COPY_COMPLETE, /* every FLOW was in stable sync once */
    RUN_COPY_DEGRADED, /* a FLOW was given up since */
    RUN_COPY_ENDED,    /* complete, and the run was ended in order */
    RUN_COPY_MIGRATED, /* the same by migrate, which leaves no marks */
};

/* The record of a run, from which a later run resumes. */
struct run_record {
    uint64_t session;
    uint32_t flow_count;
    char master_id[41], sync_id[32], lineage[41];
    enum run_copy copy;
    bool target_owned; /* empty or flushed when the run began */
    bool kept; /* written over since (--on-full-resync keep, prune): it has keys that the source lacks … */
    bool prunes;             /* … which the comparison that is due removes */
    char last_master_id[41]; /* the master whose journal this one's journal continues; or "" */
    int64_t role_changes;    /* of the source (source.h), when the copy or its journal began; -1: unknown */
    struct resume_point *begins; /* per FLOW: where a session without a snapshot began; lsn 0: with one */
    uint64_t *asked_lsns;        /* per FLOW: the LSN from which its journal was requested */
    bool in_blobs;               /* the journal came in JOURNAL_BLOBs, after SYNC */
    char (*tokens)[41];          /* per FLOW: the EOF token, for decoding its snapshot again */
    bool unmarked;               /* --marks off: no mark tells of the copy */
    char target_run_id[41];      /* the target's process at that time; "": unknown */
    char *scope;                 /* the filter of keys and the map of databases */
    char *comparing;             /* why all keys are to be compared; "": they are not */
    uint64_t repaired_session;   /* in which such a comparison repaired keys; 0: none */
    bool counts_omits;           /* what the journal left out during the full sync is not known yet … */
    bool omits_told;             /* … of the counter's value then */
    uint64_t omits;
    char omits_master_id[41];
    char *source; /* the source's URI without user and password; "": written by an older version */
};

void run_record_free(struct run_record *record);

/* Writes atomically: readers see the old record or the new one. */
bool run_record_save(const struct state_dir *dir, const struct run_record *record, struct error *error);
/* False: no readable record. */
bool run_record_load(const struct state_dir *dir, struct run_record *out);

#endif
