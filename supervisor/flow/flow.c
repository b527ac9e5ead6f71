/* Life of a FLOW's socket, worker and cursor. What it means for the run is decided in worker_messages.c. */
#include "supervisor/flow/flow.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/log/log.h"
#include "supervisor/run/run.h"

void flow_init(struct flow *f, struct run *run, uint32_t number)
{
    *f = (struct flow){.run = run, .number = number, .socket = -1};
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

static void put_masters(const struct topology *t, char *out, size_t out_bytes)
{
    size_t len = 0;
    for (size_t i = 0; i < t->count; i++) {
        if (!t->nodes[i].slots)
            continue; /* it may have left the cluster and not know */
        int n = snprintf(out + len, out_bytes - len, "%s%s:%u", len ? " " : "", t->nodes[i].host,
                         (unsigned)t->nodes[i].port);
        if (n < 0 || (size_t)n >= out_bytes - len) {
            out[len] = '\0';
            return;
        }
        len += (size_t)n;
    }
}

static bool send_start(struct flow *f, enum start_mode mode)
{
    struct run *run = f->run;
    struct message m = {.type = MESSAGE_START, .fd = f->socket};
    m.start.flow = f->number;
    m.start.flow_count = run->flow_count;
    m.start.mode = mode;
    m.start.session = f->session;
    if (!f->full) {
        m.start.first_lsn = f->begin.lsn;
        m.start.asked_lsn = f->asked_lsn;
        m.start.check = f->begin.check;
        m.start.in_blobs = f->begin.lsn && run->session.sync_after_partial;
    }
    snprintf(m.start.last_master_id, sizeof m.start.last_master_id, "%s", run->last_master_id);
    m.start.received_base = f->received_base_bytes;
    memcpy(m.start.told, f->told, sizeof m.start.told);
    m.start.source_release = run->greeting.release;
    snprintf(m.start.token, sizeof m.start.token, "%s", f->token);
    snprintf(m.start.master_id, sizeof m.start.master_id, "%s", run->greeting.master_id);
    snprintf(m.start.sync_id, sizeof m.start.sync_id, "%s", run->greeting.sync_id);
    put_masters(&run->target_nodes, m.start.masters, sizeof m.start.masters);
    if (f->begin.lsn && mode == START_PARTIAL)
        run_put_question(run, f, &m.start.asked);
    struct settings settings = *run->settings; /* with the address at hand */
    if (run->source_uri.host)
        settings.source = run->source_uri;
    settings_encode(&settings, &m.start.settings);
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
    f->worker.on_message = run_on_message;
    f->worker.on_log = run_on_worker_log;
    f->worker.arg = f;
    if (!worker_process_start(&f->worker, f->run->base, f->run->worker_path, f->number, error))
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
        f->cursor_open = cursor_open_readonly(&f->cursor, f->run->dir.path, f->number, NULL);
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

uint64_t flow_expected_keys(const struct flow *f)
{
    return f->run->flow_count ? source_keys(f->run->source) / f->run->flow_count : 0;
}

uint64_t flow_applied_lsn(struct flow *f)
{
    const struct cursor_marks *marks = flow_marks(f);
    uint64_t lsn = marks ? cursor_get(&marks->applied_lsn) : 0;
    /* A PARTIAL session in which nothing has come yet. */
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
    ack_init(&f->ack, f->run->base, f->socket);
    f->closed = event_new(f->run->base, f->socket, EV_CLOSED, on_closed, f);
    if (f->closed)
        event_add(f->closed, NULL);
}

void flow_drain_socket(struct flow *f, event_callback_fn on_readable)
{
    if (f->socket < 0 || f->drainer)
        return;
    f->drainer = event_new(f->run->base, f->socket, EV_READ | EV_PERSIST, on_readable, f);
    if (f->drainer)
        event_add(f->drainer, NULL);
}
