/* Messages to the supervisor. */
#include "worker/flow/flow.h"

#include <poll.h>
#include <stdio.h>
#include <sysexits.h>

#include "common/log/log.h"

/* False: there is no room, and nothing was sent. */
static bool send_message(struct flow *f, const struct message *m)
{
    struct error error;
    enum message_status status = f->supervisor < 0 ? MESSAGE_OK : message_send(f->supervisor, m, &error);
    if (status == MESSAGE_AGAIN)
        return false;
    if (status == MESSAGE_OK)
        return true;
    /* A worker without a supervisor ends. */
    if (status != MESSAGE_CLOSED)
        log_error("sending %s to the supervisor: %s", message_name(m->type), error.text);
    f->exit_code = EX_SOFTWARE;
    event_base_loopbreak(f->base);
    return true;
}

/* Blocks: the supervisor never blocks for long. */
static void send_and_wait(struct flow *f, const struct message *m)
{
    while (!send_message(f, m)) {
        struct pollfd room = {f->supervisor, POLLOUT, 0};
        poll(&room, 1, 1000);
    }
}

static const struct message logged = {.type = MESSAGE_LOGGED, .fd = -1};

/* In order: what was reported before is known to the supervisor when it reads the message. */
void flow_tell(struct flow *f, const struct message *m)
{
    if (f->untold)
        send_and_wait(f, &logged);
    f->untold = false;
    send_and_wait(f, m);
}

bool flow_tell_at_once(struct flow *f, const struct message *m)
{
    return !f->untold && send_message(f, m);
}

void flow_tell_logged(struct flow *f)
{
    if (f->untold)
        f->untold = !send_message(f, &logged);
}

void flow_tell_simple(struct flow *f, enum message_type type)
{
    struct message m = {.type = type, .fd = -1};
    flow_tell(f, &m);
}

void flow_fail(struct flow *f, const struct error *error)
{
    if (f->failed)
        return;
    f->failed = true;
    struct message m = {.type = MESSAGE_FAILED, .fd = -1};
    m.failed.class = (uint32_t)error->class;
    m.failed.exit_code = (uint32_t)error->exit_code;
    m.failed.offset = f->decoder ? decoder_offset(f->decoder) : 0;
    snprintf(m.failed.text, sizeof m.failed.text, "%s", error->text);
    if (f->cursor.marks) {
        cursor_add(&f->cursor.marks->errors, 1);
        if (error->class == ERROR_FATAL)
            cursor_set(&f->cursor.marks->phase, CURSOR_FAILED);
    }
    flow_tell(f, &m);
    f->exit_code = error->class == ERROR_FATAL ? error->exit_code : EX_TEMPFAIL;
    event_base_loopbreak(f->base);
}

void flow_wake(struct flow *f)
{
    event_active(f->wake, EV_TIMEOUT, 1);
}

bool flow_at_rest(const struct flow *f)
{
    return f->ready && !f->failed && !f->drained && !f->source_ended && f->hold == HOLD_NONE;
}
