/* Life of a FLOW's socket, worker and cursor. supervisor/run decides what follows from it. */
#include "supervisor/flow/flow.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/log/log.h"
#include "supervisor/rules/in_step.h"

void flow_init(struct flow *f, struct run *run, const struct flow_context *context, uint32_t number)
{
    *f = (struct flow){.run = run, .context = context, .number = number, .socket = -1};
    worker_process_init(&f->worker);
    ack_init(&f->ack, NULL, -1);
}

void flow_close_source(struct flow *f)
{
    flow_open_free(f->open);
    f->open = NULL;
    if (f->drainer)
        event_free(f->drainer);
    f->drainer = NULL;
    if (f->closed)
        event_free(f->closed);
    f->closed = NULL;
    ack_free(&f->ack);
    if (f->socket >= 0)
        close(f->socket);
    f->socket = -1;
}

void flow_free(struct flow *f)
{
    flow_close_source(f);
    worker_process_forget(&f->worker);
    if (f->cursor_open)
        cursor_close(&f->cursor);
    f->cursor_open = false;
}

static bool send_start(struct flow *f, enum start_mode mode)
{
    struct message m = {.type = MESSAGE_START, .fd = f->socket};
    f->context->describe_start(f, mode, &m);
    bool ok = worker_process_send(&f->worker, &m);
    message_free(&m);
    return ok;
}

bool flow_start_worker(struct flow *f, enum start_mode mode, struct error *error)
{
    f->hello = f->drained = f->enter_sent = false;
    f->restart_due_ms = f->kill_due_ms = 0;
    f->started_ms = clock_monotonic_ms();
    f->oom_at_start = oom_count_now();
    f->failure[0] = '\0';
    f->failure_class = ERROR_NONE;
    f->failure_exit_code = 0;
    f->worker.on_message = f->context->on_message;
    f->worker.on_log = f->context->on_log;
    f->worker.arg = f;
    if (!worker_process_start(&f->worker, f->context->base, f->context->worker_path, f->number, error))
        return false;
    log_debug("FLOW %u: worker %ld started (mode %d)", f->number, (long)f->worker.pid, (int)mode);
    if (!send_start(f, mode))
        worker_process_kill(&f->worker);
    return true;
}

bool flow_worker_alive(const struct flow *f)
{
    return f->worker.pid > 0;
}

const struct cursor_marks *flow_marks(struct flow *f)
{
    if (!f->cursor_open && f->hello)
        f->cursor_open = cursor_open_readonly(&f->cursor, f->context->directory, f->number, NULL);
    if (!f->cursor_open || cursor_get(&f->cursor.marks->session) != f->session)
        return NULL;
    return f->cursor.marks;
}

bool flow_worker_stands_still(struct flow *f, uint64_t now_ms)
{
    const struct cursor_marks *marks = flow_marks(f);
    uint64_t alive_ms = marks ? cursor_get(&marks->alive_ms) : 0;
    return flow_worker_alive(f) && alive_ms && now_ms > alive_ms + IN_STEP_ALIVE_MS;
}

uint64_t flow_applied_lsn(struct flow *f)
{
    const struct cursor_marks *marks = flow_marks(f);
    uint64_t lsn = marks ? cursor_get(&marks->applied_lsn) : 0;
    /* A PARTIAL session before its first entry. */
    return lsn || f->full ? lsn : f->begin.lsn;
}

struct resume_point flow_resume_point(struct flow *f)
{
    const struct cursor_marks *marks = flow_marks(f);
    struct resume_point at = {.lsn = marks ? cursor_get(&marks->applied_lsn) : 0};
    if (!at.lsn)
        return f->full ? at : f->begin;
    at.check = (struct journal_check){cursor_get(&marks->check_lsn), cursor_get(&marks->check_sum)};
    return at;
}

bool flow_link_closed(const struct flow *f)
{
    struct pollfd p = {.fd = f->socket, .events = POLLRDHUP};
    return f->socket < 0 || (poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR)));
}

void flow_take_socket(struct flow *f, const struct flow_opened *opened, event_callback_fn on_closed)
{
    f->socket = opened->fd;
    f->received_base_bytes = opened->received_bytes;
    f->full = opened->answer.full;
    f->answered = true;
    memcpy(f->token, opened->answer.token, sizeof f->token);
    ack_init(&f->ack, f->context->base, f->socket);
    f->closed = event_new(f->context->base, f->socket, EV_CLOSED, on_closed, f);
    if (f->closed)
        event_add(f->closed, NULL);
}

void flow_drain_socket(struct flow *f, event_callback_fn on_readable)
{
    if (f->socket < 0 || f->drainer)
        return;
    f->drainer = event_new(f->context->base, f->socket, EV_READ | EV_PERSIST, on_readable, f);
    if (f->drainer)
        event_add(f->drainer, NULL);
}
