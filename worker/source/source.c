/* The FLOW's socket: read into the spool as soon as there is something, whatever the target does. */
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/size_text.h"
#include "worker/worker.h"

enum {
    READS_PER_TURN = 4,
    SAY_FULL_EVERY_MS = 10000,
    FULL_SYNC_PAUSE_MS = 5000, /* of a full sync that waits for room: well below the source's 30 s */
};

void source_note_waiting(struct worker *w)
{
    struct cursor_marks *m = w->flow->cursor.marks;
    uint64_t received = spool_received(w->spool), applied = cursor_get(&m->applied_offset);
    cursor_set(&m->received_offset, received);
    cursor_set(&m->spool_overflow_bytes, spool_overflow_bytes(w->spool));
    cursor_set(&m->spool_bytes, received > applied ? received - applied : 0);
    uint64_t since_ms = waiting_since(&w->waiting, applied, received);
    cursor_set(&m->waiting_since_ms, since_ms);
    w->translator.lag_ms = since_ms ? clock_monotonic_ms() - since_ms : 0;
}

static void note_received(struct worker *w, size_t got)
{
    if (w->target_waits) {
        w->target_waits = false;
        worker_open_target(w);
    }
    uint64_t now = clock_monotonic_ms();
    waiting_received(&w->waiting, spool_received(w->spool) - got, now);
    cursor_set(&w->flow->cursor.marks->last_received_ms, now);
    source_note_waiting(w);
}

static void source_close(struct worker *w)
{
    if (w->source_event)
        event_free(w->source_event);
    w->source_event = NULL;
    if (w->tls)
        source_tls_close(w);
    else if (w->source >= 0)
        close(w->source);
    w->source = -1;
    w->flow->source_ended = true;
    if (w->target_waits) {
        struct error error;
        error_set(&error, ERROR_RETRY, "the source closed FLOW %u before its snapshot began",
                  w->flow->number);
        flow_fail(w->flow, &error);
    }
}

static void warn_fullness(struct worker *w)
{
    static uint64_t last_ms;
    uint64_t used = spool_overflow_bytes(w->spool), limit = w->flow->settings.spool_limit_bytes,
             now = clock_monotonic_ms();
    if (limit && used > limit / 5 * 4 && now - last_ms > 10000) {
        last_ms = now;
        log_error("the spool holds %s of at most %s: the target is too slow; at the limit %s; raise "
                  "--spool-limit or speed up the target",
                  size_text(used), size_text(limit),
                  w->flow->settings.on_spool_full == ON_SPOOL_FULL_BLOCK
                      ? "the source would have to wait"
                      : "the session with the source ends (--on-spool-full)");
    }
}

/* Nothing more is read. The journal can be asked for again later, so its session is ended before the source's
 * clients have to wait; a full sync is paced by the target, as by any replica, as long as that takes
 * anything. */
static void end_session_when_full(struct worker *w)
{
    bool paused_long = clock_monotonic_ms() - w->source_paused_ms >= FULL_SYNC_PAUSE_MS;
    if (!w->source_paused || w->flow->settings.on_spool_full != ON_SPOOL_FULL_END_SESSION ||
        (!w->flow->said_stable && !paused_long))
        return;
    struct message m = {.type = MESSAGE_SPOOL_FULL, .fd = -1};
    snprintf(m.spool_full.text, sizeof m.spool_full.text, "%s", w->full_text);
    flow_tell(w->flow, &m);
    w->source_paused = false;
    source_close(w);
}

/* A disk that is full gives way a little and is full again, many times a second. */
static bool may_say_full(void)
{
    static uint64_t last_ms;
    uint64_t now = clock_monotonic_ms();
    if (last_ms && now - last_ms < SAY_FULL_EVERY_MS)
        return false;
    last_ms = now;
    return true;
}

static void pause_reading(struct worker *w, const char *why)
{
    bool waits = w->flow->settings.on_spool_full == ON_SPOOL_FULL_BLOCK || !w->flow->said_stable;
    if (!w->source_paused && waits && may_say_full())
        log_error("the spool is full (%s): the source has to wait until the target takes more", why);
    snprintf(w->full_text, sizeof w->full_text, "%s", why);
    w->source_paused = true;
    w->source_paused_ms = clock_monotonic_ms();
    event_del(w->source_event);
    end_session_when_full(w);
}

static void on_source(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct worker *w = arg;
    struct error error = {0};
    for (int i = 0; i < READS_PER_TURN; i++) {
        size_t got = 0;
        switch (w->tls ? source_tls_read(w, &got, &error) : spool_read_fd(w->spool, fd, &got, &error)) {
        case SPOOL_READ_SOME:
            note_received(w, got);
            if (w->read_bytes) /* decoded before more comes */
                pump(w);
            continue;
        case SPOOL_READ_AGAIN:
            break;
        case SPOOL_READ_EOF:
            source_close(w);
            break;
        case SPOOL_READ_LIMIT:
            pause_reading(w, error.class ? error.text : "--spool-limit is reached");
            break;
        case SPOOL_READ_ERROR:
            if (error.class == ERROR_RETRY) {
                log_warning("%s", error.text);
                source_close(w);
            } else {
                flow_fail(w->flow, &error);
                return;
            }
            break;
        }
        break;
    }
    warn_fullness(w);
    pump(w);
}

static void read_test_hook(struct worker *w)
{
    const char *text = getenv("DF2REDIS_TEST_READ_BYTES");
    if (text && slice_to_u64(slice_str(text), &w->read_bytes) && w->read_bytes)
        spool_set_read(w->spool, w->read_bytes);
}

void source_start(struct worker *w)
{
    read_test_hook(w);
    if (w->flow->settings.source.tls && !w->tls && !w->successor) {
        source_tls_open(w);
        return;
    }
    w->source_opened = true;
    if (w->source < 0) {
        w->flow->source_ended = true;
        return;
    }
    w->source_event = event_new(w->flow->base, w->source, EV_READ | EV_PERSIST, on_source, w);
    event_add(w->source_event, NULL);
}

void source_watch_full(struct worker *w)
{
    end_session_when_full(w);
}

void source_resume(struct worker *w)
{
    if (!w->source_paused || !w->source_event)
        return;
    w->source_paused = false;
    event_add(w->source_event, NULL);
}
