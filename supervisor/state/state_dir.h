/* STATE/NAME: the directory of one run. It holds the lock, the control socket, the record for resuming (run.json), the
 * log of divergences, and the workers' spools and cursors. */
#ifndef DF2REDIS_SUPERVISOR_STATE_STATE_DIR_H
#define DF2REDIS_SUPERVISOR_STATE_STATE_DIR_H

#include "common/base/error.h"
#include "common/settings/settings.h"

struct state_dir {
    char *path; /* STATE/NAME */
    int lock_fd;
};

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

void state_dir_forget_run(const struct state_dir *dir);
/* The number of evicted keys that the record goes with. */
void state_dir_forget_evictions(const struct state_dir *dir);

#endif
