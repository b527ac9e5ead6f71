/* Messages to the supervisor. */
#include "worker/flow/flow.h"

#include <poll.h>
#include <stdio.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sysexits.h>

#include "common/log/log.h"

void flow_tell(struct flow *f, const struct message *m)
{
    struct error error;
    if (f->supervisor < 0)
        return;
    enum message_status status;
    /* Blocks: the supervisor never blocks for long. */
    while ((status = message_send(f->supervisor, m, &error)) == MESSAGE_AGAIN) {
        struct pollfd room = {f->supervisor, POLLOUT, 0};
        poll(&room, 1, 1000);
    }
    if (status == MESSAGE_OK)
        return;
    /* A worker without a supervisor ends. */
    if (status != MESSAGE_CLOSED)
        log_error("sending %s to the supervisor: %s", message_name(m->type), error.text);
    f->exit_code = EX_SOFTWARE;
    event_base_loopbreak(f->base);
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

void flow_wait_until_told(struct flow *f)
{
    int unread = 1;
    while (f->reports_unread && ioctl(f->supervisor, SIOCOUTQ, &unread) == 0 && unread > 0) {
        struct pollfd gone = {f->supervisor, 0, 0};
        if (poll(&gone, 1, 1) > 0)
            return;
    }
    f->reports_unread = false;
}

void flow_tell_divergence(struct flow *f, const char *reason, const char *command, struct slice key)
{
    struct message m = {.type = MESSAGE_DIVERGENCE, .fd = -1};
    snprintf(m.divergence.reason, sizeof m.divergence.reason, "%s", reason);
    snprintf(m.divergence.command, sizeof m.divergence.command, "%s", command);
    snprintf(m.divergence.key, sizeof m.divergence.key, "%s", log_key(key));
    m.divergence.count = 1;
    cursor_add(&f->cursor.marks->divergences, 1);
    flow_tell(f, &m);
    f->reports_unread = true;
}

void flow_wake(struct flow *f)
{
    event_active(f->wake, EV_TIMEOUT, 1);
}

bool flow_at_rest(const struct flow *f)
{
    return f->ready && !f->failed && !f->drained && !f->source_ended && f->hold == HOLD_NONE;
}
