/* One df2redis-worker process: started, talked to over its socketpair, noticed when it ends.
 *
 * The worker finds its end, which never blocks, as descriptor 3. It dies with the supervisor
 * (PR_SET_PDEATHSIG), and starts with the signals of a terminal and a service manager ignored: a Ctrl-C or a stop
 * reaches it as a message, and Ctrl-Z does not stop it, or the source's clients would wait for it. */
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
    int log_fd; /* what it says on standard error; -1: none */
    struct event *log_readable;
    struct buf log_partial;
    /* Owner's. The message is freed afterwards. */
    void (*on_message)(struct worker_process *w, struct message *m, void *arg);
    void (*on_log)(struct slice lines, void *arg);
    void *arg;
};

/* Where df2redis-worker is: beside this program, in ../libexec/df2redis, or in PATH. NULL and *error. */
char *worker_process_find(struct error *error);

void worker_process_init(struct worker_process *w);
/* Its log lines pass through this process, which alone has the log's file, terminal or syslog. */
bool worker_process_start(struct worker_process *w, struct event_base *base, const char *path, uint32_t flow,
                          struct error *error);
/* False when the worker cannot take it: it hangs or is gone. */
bool worker_process_send(struct worker_process *w, const struct message *m);
bool worker_process_send_plain(struct worker_process *w, enum message_type type);
/* Takes in what it has still said; for when it is known to have ended. */
void worker_process_drain(struct worker_process *w);
void worker_process_kill(struct worker_process *w);
/* After waitpid: closes what is left of it. */
void worker_process_forget(struct worker_process *w);

#endif
