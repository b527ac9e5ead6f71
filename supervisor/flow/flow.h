/* One FLOW as the supervisor sees it: the socket it keeps, the worker that reads it, the cursor that tells
 * how far that is, and the worker's deaths. */
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

/* What the FLOWs of a run share, and the calls upward: supervisor/run fills it in. */
struct flow_context {
    struct event_base *base;
    const char *worker_path;
    const char *directory; /* STATE/NAME, which holds the cursors */
    /* Fills in what START says of the session; flow.c adds the socket. */
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
    struct resume_point begin; /* PARTIAL: what is wanted of the journal; lsn 0: a full sync */
    uint64_t asked_lsn;        /* and from where on it was asked for, to be compared with begin.check */
    struct ack ack;
    struct event *closed;  /* the source has closed it, whatever is still to be read */
    struct event *drainer; /* reads and forgets once the FLOW has failed */

    /* The worker. */
    struct worker_process worker;
    bool hello, stable, enter_sent;
    bool inherited; /* its spool and cursor are an earlier run's */
    bool drained;   /* said so, or ended after the source did with everything applied */
    bool failed;    /* given up */
    struct cursor cursor;
    bool cursor_open;
    uint64_t session;

    struct report_position told[REPORT_STREAMS]; /* its reports so far: a successor goes on behind them */

    /* Its deaths. */
    uint32_t restarts, deaths_here, short_lives; /* in a row */
    struct oom_count oom_at_start;
    uint64_t death_seq, started_ms, restart_due_ms; /* 0: none due */
    struct backoff backoff;
    char failure[480]; /* what it said last */
    enum error_class failure_class;
    int failure_exit_code;
    uint64_t kill_due_ms;

    /* Progress, as timers.c compares it. */
    uint64_t last_progress, progress_ms, warned_ms;
    uint64_t rate_offset, rate_ms, rate_bytes; /* bytes applied per second */
};

/* The context outlives the FLOW. */
void flow_init(struct flow *f, struct run *run, const struct flow_context *context, uint32_t number);
/* Everything but the worker process, which must be gone. */
void flow_free(struct flow *f);
/* Closes what leads to the source. */
void flow_close_source(struct flow *f);

/* Starts a worker. The mode is that of the session's start or START_RESUME. */
bool flow_start_worker(struct flow *f, enum start_mode mode, struct error *error);
bool flow_worker_alive(const struct flow *f);
/* Its worker has not said for some time that it moves: it is stopped, or hangs. */
bool flow_worker_stands_still(struct flow *f, uint64_t now_ms);
/* The marks of this session; NULL while there are none. */
const struct cursor_marks *flow_marks(struct flow *f);
/* The next LSN wanted after all that the target acknowledged; 0 before the journal. */
uint64_t flow_applied_lsn(struct flow *f);
/* The same, with what the next session compares. */
struct resume_point flow_resume_point(struct flow *f);
/* Has the source closed or lost this connection, whatever is still to be read from it? */
bool flow_link_closed(const struct flow *f);
/* From the handshake on. on_closed is called once. */
void flow_take_socket(struct flow *f, const struct flow_opened *opened, event_callback_fn on_closed);
void flow_drain_socket(struct flow *f, event_callback_fn on_readable);

#endif
