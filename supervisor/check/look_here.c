/* The machine that the run would be started on. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "common/base/landlock.h"
#include "supervisor/check/ask.h"
#include "supervisor/flow/worker_process.h"
#include "supervisor/state/state_dir.h"

enum { TMPFS = 0x01021994 }; /* linux/magic.h */

/* Writes the longest part of the path that exists. */
static void existing_part(const char *path, char *out, size_t out_bytes)
{
    struct stat st;
    snprintf(out, out_bytes, "%s", path);
    while (stat(out, &st) != 0) {
        char *slash = strrchr(out, '/');
        if (!slash || slash == out) {
            snprintf(out, out_bytes, "/");
            return;
        }
        *slash = '\0';
    }
}

void look_here(const struct settings *settings, struct here_facts *out)
{
    struct statfs fs;
    struct rlimit files;
    char *dir = state_dir_file(settings, NULL);
    *out = (struct here_facts){.landlock = landlock_version()};
    if (getrlimit(RLIMIT_NOFILE, &files) == 0)
        out->files = files.rlim_cur;
    free(worker_process_find(&out->worker));
    state_dir_examine(settings, &out->state);
    existing_part(dir, out->dir, sizeof out->dir);
    out->room_known = statfs(out->dir, &fs) == 0;
    if (out->room_known) {
        out->free_bytes = (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize;
        out->in_memory = (unsigned long)fs.f_type == TMPFS;
    }
    out->looked = true;
    free(dir);
}
