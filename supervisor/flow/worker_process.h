/* One df2redis-worker process: its start, its messages over a socket pair, its log lines and its end.
 *
 * The worker has its end of the pair, which never blocks, as descriptor 3. It dies with the supervisor
 * (PR_SET_PDEATHSIG). It ignores the signals of a terminal and of a service manager: Ctrl-C and a stop reach it as a
 * message, and Ctrl-Z does not stop it, since the source's clients would wait for it. */
#ifndef DF2REDIS_SUPERVISOR_FLOW_WORKER_PROCESS_H
#define DF2REDIS_SUPERVISOR_FLOW_WORKER_PROCESS_H

#include <event2/event.h>
#include <sys/types.h>

#include "common/ipc/message.h"

enum { WORKER_CHANNEL_FD = 3, WORKER_EXEC_FAILED = 127 };

struct worker_process {
    pid_t pid;   /* 0: none */
    int channel; /* -1: closed */
    struct event *readable;
    int log_fd; /* its standard error; -1: none */
    struct event *log_readable;
    struct buf log_partial;
    /* Set by the owner. The message is freed after the call. */
    void (*on_message)(struct worker_process *w, struct message *m, void *arg);
    void (*on_log)(struct slice lines, void *arg);
    void *arg;
};

/* Returns the path of df2redis-worker: beside this program, in ../libexec/df2redis, or in PATH. NULL and *error: not
 * found. */
char *worker_process_find(struct error *error);

void worker_process_init(struct worker_process *w);
/* The worker's log lines pass through this process, which alone holds the log's file, terminal or syslog. Returns
 * false and sets *error on failure. */
bool worker_process_start(struct worker_process *w, struct event_base *base, const char *path, uint32_t flow,
                          struct error *error);
/* The same for a worker that follows no FLOW; role: of the process list. */
bool worker_process_start_as(struct worker_process *w, struct event_base *base, const char *path,
                             const char *role, struct error *error);
/* Returns false if the worker does not take the message: it hangs or has ended. */
bool worker_process_send(struct worker_process *w, const struct message *m);
bool worker_process_send_plain(struct worker_process *w, enum message_type type);
/* Reads all remaining messages and log lines of a worker that has ended. */
void worker_process_drain(struct worker_process *w);
void worker_process_kill(struct worker_process *w);
/* After waitpid: closes its descriptors. */
void worker_process_forget(struct worker_process *w);

#endif
