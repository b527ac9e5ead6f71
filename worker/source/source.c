/* The FLOW's socket: read into the spool as soon as there is something, whatever the target does. */
#include "worker/source/source.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/size_text.h"

enum {
    READS_PER_TURN = 4,
    SAY_FULL_EVERY_MS = 10000,
    FULL_SYNC_PAUSE_MS = 5000, /* of a full sync that waits for room: well below the source's 30 s */
};

void source_note_waiting(struct source *s)
{
    struct cursor_marks *m = s->flow->cursor.marks;
    uint64_t received = spool_received(s->spool), applied = cursor_get(&m->applied_offset);
    cursor_set(&m->received_offset, received);
    cursor_set(&m->spool_overflow_bytes, spool_overflow_bytes(s->spool));
    cursor_set(&m->spool_bytes, received > applied ? received - applied : 0);
    uint64_t since_ms = waiting_since(&s->waiting, applied, received);
    cursor_set(&m->waiting_since_ms, since_ms);
    *s->lag_ms = since_ms ? clock_monotonic_ms() - since_ms : 0;
}

void source_waits_from(struct source *s, uint64_t offset)
{
    waiting_received(&s->waiting, offset, clock_monotonic_ms());
    source_note_waiting(s);
}

static void note_received(struct source *s, size_t got)
{
    if (s->target_waits) {
        s->target_waits = false;
        s->on.begun(s->on.arg);
    }
    uint64_t now = clock_monotonic_ms();
    waiting_received(&s->waiting, spool_received(s->spool) - got, now);
    cursor_set(&s->flow->cursor.marks->last_received_ms, now);
    source_note_waiting(s);
}

static void source_close(struct source *s)
{
    if (s->event)
        event_free(s->event);
    s->event = NULL;
    if (s->tls)
        source_tls_close(s);
    else if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
    s->flow->source_ended = true;
    if (s->target_waits) {
        struct error error;
        error_set(&error, ERROR_RETRY, "the source closed FLOW %u before its snapshot began",
                  s->flow->number);
        flow_fail(s->flow, &error);
    }
}

static void warn_fullness(struct source *s)
{
    uint64_t used = spool_overflow_bytes(s->spool), limit = s->flow->settings.spool_limit_bytes,
             now = clock_monotonic_ms();
    if (limit && used > limit / 5 * 4 && now - s->warned_ms > 10000) {
        s->warned_ms = now;
        log_error("the spool holds %s of at most %s: the target is too slow; at the limit %s; raise "
                  "--spool-limit or speed up the target",
                  size_text(used), size_text(limit),
                  s->flow->settings.on_spool_full == ON_SPOOL_FULL_BLOCK
                      ? "the source would have to wait"
                      : "the session with the source ends (--on-spool-full)");
    }
}

/* Nothing more is read. The journal can be asked for again later, so its session is ended before the source's
 * clients have to wait; a full sync is paced by the target, as by any replica, as long as that takes
 * anything. */
static void end_session_when_full(struct source *s)
{
    bool paused_long = clock_monotonic_ms() - s->paused_ms >= FULL_SYNC_PAUSE_MS;
    if (!s->paused || s->flow->settings.on_spool_full != ON_SPOOL_FULL_END_SESSION ||
        (!s->flow->said_stable && !paused_long))
        return;
    struct message m = {.type = MESSAGE_SPOOL_FULL, .fd = -1};
    snprintf(m.spool_full.text, sizeof m.spool_full.text, "%s", s->full_text);
    flow_tell(s->flow, &m);
    s->paused = false;
    source_close(s);
}

/* A disk that is full gives way a little and is full again, many times a second. */
static bool may_say_full(struct source *s)
{
    uint64_t now = clock_monotonic_ms();
    if (s->said_full_ms && now - s->said_full_ms < SAY_FULL_EVERY_MS)
        return false;
    s->said_full_ms = now;
    return true;
}

static void pause_reading(struct source *s, const char *why)
{
    bool waits = s->flow->settings.on_spool_full == ON_SPOOL_FULL_BLOCK || !s->flow->said_stable;
    if (!s->paused && waits && may_say_full(s))
        log_error("the spool is full (%s): the source has to wait until the target takes more", why);
    snprintf(s->full_text, sizeof s->full_text, "%s", why);
    s->paused = true;
    s->paused_ms = clock_monotonic_ms();
    event_del(s->event);
    end_session_when_full(s);
}

static void on_source(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct source *s = arg;
    struct error error = {0};
    for (int i = 0; i < READS_PER_TURN; i++) {
        size_t got = 0;
        switch (s->tls ? source_tls_read(s, &got, &error) : spool_read_fd(s->spool, fd, &got, &error)) {
        case SPOOL_READ_SOME:
            note_received(s, got);
            if (s->read_bytes) /* decoded before more comes */
                s->on.received(s->on.arg);
            continue;
        case SPOOL_READ_AGAIN:
            break;
        case SPOOL_READ_EOF:
            source_close(s);
            break;
        case SPOOL_READ_LIMIT:
            pause_reading(s, error.class ? error.text : "--spool-limit is reached");
            break;
        case SPOOL_READ_ERROR:
            if (error.class == ERROR_RETRY) {
                log_warning("%s", error.text);
                source_close(s);
            } else {
                flow_fail(s->flow, &error);
                return;
            }
            break;
        }
        break;
    }
    warn_fullness(s);
    s->on.received(s->on.arg);
}

static void read_test_hook(struct source *s)
{
    const char *text = getenv("DF2REDIS_TEST_READ_BYTES");
    if (text && slice_to_u64(slice_str(text), &s->read_bytes) && s->read_bytes)
        spool_set_read(s->spool, s->read_bytes);
}

/* Others may be answered otherwise, and the FLOWs asked again: the target keeps its marks until SYNC was sent. */
static void on_tls_opened(struct source *s, bool full)
{
    source_start(s);
    s->target_waits = full;
    if (!full)
        s->on.begun(s->on.arg);
}

void source_start(struct source *s)
{
    read_test_hook(s);
    if (s->flow->settings.source.tls && !s->tls && !s->resumed) {
        source_tls_open(s, on_tls_opened);
        return;
    }
    s->opened = true;
    if (s->fd < 0) {
        s->flow->source_ended = true;
        return;
    }
    s->event = event_new(s->flow->base, s->fd, EV_READ | EV_PERSIST, on_source, s);
    event_add(s->event, NULL);
}

void source_watch_full(struct source *s)
{
    end_session_when_full(s);
}

void source_resume(struct source *s)
{
    if (!s->paused || !s->event)
        return;
    s->paused = false;
    event_add(s->event, NULL);
}

void source_free(struct source *s)
{
    if (s->event)
        event_free(s->event);
    if (s->tls)
        source_tls_close(s);
    client_free(s->tls_client);
    buf_free(&s->tls_asked);
}
