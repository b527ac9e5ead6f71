/* STATE/NAME: the directory of one run. It holds the lock, the control socket, the record for resuming (run.json), the
 * log of divergences, and the workers' spools and cursors. */
#ifndef DF2REDIS_SUPERVISOR_STATE_STATE_DIR_H
#define DF2REDIS_SUPERVISOR_STATE_STATE_DIR_H

#include "common/base/error.h"
#include "common/redis/journal_check.h"
#include "common/settings/settings.h"

struct state_dir {
    char *path; /* STATE/NAME */
    int lock_fd;
};

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
    bool kept;         /* written over since (--on-full-resync keep): it has keys that the source lacks */
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

/* Makes missing directories and takes the lock, which the kernel releases with the process. */
bool state_dir_open(struct state_dir *dir, const struct settings *settings, struct error *error);
void state_dir_close(struct state_dir *dir);
/* Returns whether state_dir_open() would succeed, and changes nothing. */
bool state_dir_examine(const struct settings *settings, struct error *error);
/* Returns the pid of the active run of this name; 0: none. */
long state_dir_active_pid(const struct settings *settings);
/* Takes the lock on STATE/NAME/file, which the kernel releases with the process or by close(). False: another process
 * has it (EX_TEMPFAIL), or the file cannot be opened. */
bool state_dir_lock(const struct settings *settings, const char *file, int *fd, struct error *error);
/* STATE/NAME/file in new memory. */
char *state_dir_file(const struct settings *settings, const char *file);

/* Writes atomically: readers see the old record or the new one. */
bool state_dir_save_run(const struct state_dir *dir, const struct run_record *record, struct error *error);
/* False: no readable record. */
bool state_dir_load_run(const struct state_dir *dir, struct run_record *out);
void state_dir_forget_run(const struct state_dir *dir);
/* The number of evicted keys that the record goes with. */
void state_dir_forget_evictions(const struct state_dir *dir);

#endif
