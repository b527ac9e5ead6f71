/* Figures of a process from /proc. */
#ifndef DF2REDIS_SUPERVISOR_OBSERVE_PROC_STAT_H
#define DF2REDIS_SUPERVISOR_OBSERVE_PROC_STAT_H

#include <stdbool.h>

struct process_figures {
    double cpu_seconds, resident_bytes, virtual_bytes, start_unix_seconds;
    double open_files; /* of this process only, else 0 */
};

bool process_figures_of(long pid, struct process_figures *out);

#endif
