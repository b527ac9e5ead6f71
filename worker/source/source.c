/* The FLOW's socket, read into the spool independently of the target. */
#include "worker/source/source.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/size_text.h"

enum {
    READS_PER_TURN = 4,
    SAY_FULL_EVERY_MS = 10000,
    FULL_SYNC_PAUSE_MS = 5000, /* pause of a full sync until its session ends: well below the source's 30 s */
};

void source_update_lag(struct source *s)
{
    struct cursor_marks *m = s->flow->cursor.marks;
    uint64_t received = spool_received(s->spool), applied = cursor_done_offset(m);
    cursor_set(&m->received_offset, received);
    cursor_set(&m->spool_overflow_bytes, spool_overflow_bytes(s->spool));
    cursor_set(&m->spool_bytes, received > applied ? received - applied : 0);
    uint64_t since_ms = lag_oldest_ms(&s->lag, applied, received);
    cursor_set(&m->waiting_since_ms, since_ms);
    *s->lag_ms = since_ms ? clock_monotonic_ms() - since_ms : 0;
}

void source_waits_from(struct source *s, uint64_t offset)
{
    lag_received(&s->lag, offset, clock_monotonic_ms());
    source_update_lag(s);
}

static void note_received(struct source *s, size_t got)
{
    if (s->target_waits) {
        s->target_waits = false;
        s->on.begun(s->on.arg);
    }
    uint64_t now = clock_monotonic_ms();
    lag_received(&s->lag, spool_received(s->spool) - got, now);
    cursor_set(&s->flow->cursor.marks->last_received_ms, now);
    source_update_lag(s);
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

static void warn_nearly_full(struct source *s)
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

/* Called while reading is paused. A session that follows the journal ends, before clients of the source are throttled:
 * a partial sync can resume it. A full sync waits for the target, as for any replica, and ends only if the target
 * accepts nothing for FULL_SYNC_PAUSE_MS. */
static void end_session_when_full(struct source *s)
{
    bool paused_long = clock_monotonic_ms() - s->paused_ms >= FULL_SYNC_PAUSE_MS;
    if (!s->paused || s->flow->settings.on_spool_full != ON_SPOOL_FULL_END_SESSION ||
        (!s->flow->stable_reported && !paused_long))
        return;
    struct message m = {.type = MESSAGE_SPOOL_FULL, .fd = -1};
    snprintf(m.spool_full.text, sizeof m.spool_full.text, "%s", s->full_text);
    flow_tell(s->flow, &m);
    s->paused = false;
    source_close(s);
}

/* Rate limit: a full disk gets a little space and is full again, many times a second. */
static bool may_log_full(struct source *s)
{
    uint64_t now = clock_monotonic_ms();
    if (s->said_full_ms && now - s->said_full_ms < SAY_FULL_EVERY_MS)
        return false;
    s->said_full_ms = now;
    return true;
}

static void pause_reading(struct source *s, const char *why)
{
    bool waits = s->flow->settings.on_spool_full == ON_SPOOL_FULL_BLOCK || !s->flow->stable_reported;
    if (!s->paused && waits && may_log_full(s))
        log_error("the spool is full (%s): the source has to wait until the target takes more", why);
    snprintf(s->full_text, sizeof s->full_text, "%s", why);
    s->paused = true;
    s->paused_ms = clock_monotonic_ms();
    event_del(s->event);
    end_session_when_full(s);
}

static void on_source_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct source *s = arg;
    struct error error = {0};
    for (int i = 0; i < READS_PER_TURN; i++) {
        size_t got = 0;
        switch (s->tls ? source_tls_read(s, &got, &error) : spool_read_fd(s->spool, fd, &got, &error)) {
        case SPOOL_READ_SOME:
            note_received(s, got);
            if (s->read_bytes) /* tests: decode after each read */
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
    warn_nearly_full(s);
    s->on.received(s->on.arg);
}

static void read_test_hook(struct source *s)
{
    const char *text = getenv("DF2REDIS_TEST_READ_BYTES");
    if (text && slice_to_u64(slice_str(text), &s->read_bytes) && s->read_bytes)
        spool_set_read(s->spool, s->read_bytes);
}

/* full: another FLOW may be answered PARTIAL, and the handshake repeated, so the target is not connected, and keeps its
 * marks, until the first byte after SYNC. */
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
    s->event = event_new(s->flow->base, s->fd, EV_READ | EV_PERSIST, on_source_readable, s);
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
