/* A program under test, or one that a test needs: started, watched, ended. */
#ifndef DF2REDIS_TESTS_PROCESS_H
#define DF2REDIS_TESTS_PROCESS_H

#include <sys/types.h>

#include "common/base/mem.h"

struct process {
    pid_t pid;         /* 0: not started, or reaped */
    char *output_path; /* stdout and stderr together; owned */
    int status;        /* exit code, or 128 + signal; -1 while it runs */
};

/* argv ends with NULL; argv[0] is looked for in PATH. It dies with the test (its own children are in its
 * process group and are killed by process_stop). False when it could not be started. */
bool process_start(struct process *p, const char *output_path, const char *const argv[]);
bool process_running(struct process *p);
void process_signal(struct process *p, int signal);
/* Waits for its end; the exit code, 128 + signal, or -1 when it still runs after the deadline. */
int process_wait(struct process *p, uint32_t deadline_ms);
/* SIGKILL to it and its group, reaps it, frees. May be called at any time, more than once. */
void process_stop(struct process *p);
/* What it has written so far, NUL-terminated; the caller frees it. */
char *process_output(const struct process *p);
bool process_said(const struct process *p, const char *text);
/* As in /proc/PID/stat: 'R', 'S', 'T', 'Z' …; 0: there is none. */
char process_state(pid_t pid);
/* Runs to its end; the status as above. *output (may be NULL): what it wrote; the caller frees it. */
int process_run(const char *const argv[], uint32_t deadline_ms, char **output);

#endif
