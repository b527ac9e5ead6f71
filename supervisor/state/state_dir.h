/* STATE/NAME: the directory of one run. Holds the lock, the control socket, what resuming needs
 * (run.json), the divergences' log, and the workers' spools and cursors. */
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
};

/* What a later run needs to know of this one. */
struct run_record {
    uint64_t session;
    uint32_t flow_count;
    char master_id[41], sync_id[32], lineage[41];
    enum run_copy copy;
    bool target_owned;       /* empty or flushed when the run began */
    char last_master_id[41]; /* of the master whose journal goes on in this one's; or "" */
    int64_t role_changes;    /* of the source (source.h), when the copy or its journal began; -1: not told */
    struct resume_point *begins; /* per FLOW: where a session without a snapshot began; lsn 0: with one */
    uint64_t *asked_lsns;        /* per FLOW: and from where on its journal was asked for */
    bool in_blobs;               /* and that it came in JOURNAL_BLOBs, after SYNC */
    char (*tokens)[41];          /* per FLOW: the EOF token, should its snapshot be decoded again */
    char *scope;                 /* which keys are copied where to */
    char *source; /* where from: its URI, without user and password; "": an older version did not say */
};
void run_record_free(struct run_record *record);

/* Makes what is missing and takes the lock, which ends with the process. */
bool state_dir_open(struct state_dir *dir, const struct settings *settings, struct error *error);
void state_dir_close(struct state_dir *dir);
/* Pid of the run that holds the lock of this name; 0 when there is none. */
long state_dir_active_pid(const struct settings *settings);
/* STATE/NAME/file in new memory. */
char *state_dir_file(const struct settings *settings, const char *file);

/* Atomically: another run sees the old record or the new one. */
bool state_dir_save_run(const struct state_dir *dir, const struct run_record *record, struct error *error);
/* False when there is none that can be read. */
bool state_dir_load_run(const struct state_dir *dir, struct run_record *out);
void state_dir_forget_run(const struct state_dir *dir);

#endif
