/* One FLOW in the supervisor: the socket it keeps, the worker that reads it, the worker's cursor and its deaths.
 *
 * The folder, an arrow from caller to callee; supervisor/run calls it, and is called through struct flow_context:
 *
 *   flow.c ──→ worker_process.c   fork, exec, messages and log lines of one worker
 *      └─────→ oom.c              processes killed by the kernel for want of memory
 *   poison.c                      keeps the bytes on which a worker died repeatedly */
#ifndef DF2REDIS_SUPERVISOR_FLOW_FLOW_H
#define DF2REDIS_SUPERVISOR_FLOW_FLOW_H

#include "common/base/backoff.h"
#include "common/ipc/cursor.h"
#include "common/ipc/message.h"
#include "common/settings/settings.h"
#include "supervisor/flow/oom.h"
#include "supervisor/flow/worker_process.h"
#include "supervisor/source/ack.h"
#include "supervisor/source/flow_open.h"

struct run;
struct flow;

/* Shared by the FLOWs of a run, with the calls upward. Filled in by supervisor/run. */
struct flow_context {
    struct event_base *base;
    const char *worker_path;
    const char *directory; /* STATE/NAME, which holds the cursors */
    /* Fills in the message START but for the socket. */
    void (*describe_start)(const struct flow *f, enum start_mode mode, struct message *m);
    void (*on_message)(struct worker_process *w, struct message *m, void *flow);
    void (*on_log)(struct slice lines, void *flow);
};

struct flow {
    struct run *run; /* for the callbacks; flow.c does not look into it */
    const struct flow_context *context;
    uint32_t number;

    /* The source's side. */
    struct flow_open *open; /* its handshake */
    bool answered, full;
    char token[41];
    int socket; /* kept while workers come and go; -1: not open, or TLS (then the worker has it) */
    uint64_t received_base_bytes;
    struct resume_point begin; /* PARTIAL: where the journal resumes; lsn 0: a full sync */
    uint64_t asked_lsn;        /* the LSN asked for: that entry is compared with begin.check */
    struct ack ack;
    struct event *closed;  /* the source has closed the socket; it may still hold unread bytes */
    struct event *drainer; /* reads and discards after the FLOW has failed */

    /* The worker. */
    struct worker_process worker;
    bool hello, stable, enter_sent;
    bool inherited; /* spool and cursor are an earlier run's */
    bool drained;   /* DRAINED was received, or the worker ended after the source with everything applied */
    bool failed;    /* given up */
    struct cursor cursor;
    bool cursor_open;
    uint64_t session;

    /* Its deaths. */
    uint32_t restarts, deaths_here, short_lives; /* in a row */
    struct oom_count oom_at_start;
    uint64_t death_seq, started_ms, restart_due_ms; /* 0: none due */
    struct backoff backoff;
    char failure[480]; /* text of the last FAILED */
    enum error_class failure_class;
    int failure_exit_code;
    uint64_t kill_due_ms;

    /* Progress, compared by timers.c. */
    uint64_t last_progress, progress_ms, warned_ms;
    uint64_t rate_offset, rate_ms, rate_bytes; /* bytes applied per second */
};

/* The context outlives the FLOW. */
void flow_init(struct flow *f, struct run *run, const struct flow_context *context, uint32_t number);
/* Frees everything; the worker process must have ended before. */
void flow_free(struct flow *f);
/* Closes the socket, the handshake and the ACKs. */
void flow_close_source(struct flow *f);

/* Starts a worker: in the mode of the session's start, or START_RESUME. Returns false and sets *error on failure. */
bool flow_start_worker(struct flow *f, enum start_mode mode, struct error *error);
bool flow_worker_alive(const struct flow *f);
/* Returns true if the worker's sign of life in the cursor is old: the worker is stopped, or hangs. */
bool flow_worker_stands_still(struct flow *f, uint64_t now_ms);
/* Returns the cursor's fields of this session; NULL while there are none. */
const struct cursor_marks *flow_marks(struct flow *f);
/* Returns the LSN after the last entry that the target acknowledged; 0 before the journal. */
uint64_t flow_applied_lsn(struct flow *f);
/* The same, with the checksum that the next session compares. */
struct resume_point flow_resume_point(struct flow *f);
/* Returns true if the connection is closed or lost; it may still hold unread bytes. */
bool flow_link_closed(const struct flow *f);
/* Takes over the socket after the handshake. on_closed is called once. */
void flow_take_socket(struct flow *f, const struct flow_opened *opened, event_callback_fn on_closed);
void flow_drain_socket(struct flow *f, event_callback_fn on_readable);

#endif
