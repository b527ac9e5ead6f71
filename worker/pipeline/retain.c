/* Restart records and bytes that are kept in case the target loses what it acknowledged after its last mark. */
#include "common/base/clock.h"
#include "common/log/invariant.h"
#include "worker/pipeline/commit.h"

enum { KEEP_EVERY_BYTES = 1 << 20, KEEP_EVERY_MS = 1000, MARK_EVERY_MAX_BYTES = 16 << 20 };

void retain_keep(struct commit *c, const struct checkpoint *at)
{
    expiry_marked(c->expiry, at->seq);
    uint64_t now = clock_monotonic_ms(), newest = history_newest_offset(c->history);
    uint64_t spacing = c->flow->settings.ring_bytes / 16, most = c->flow->settings.ring_bytes / 4;
    if (spacing > KEEP_EVERY_BYTES)
        spacing = KEEP_EVERY_BYTES;
    if (most > MARK_EVERY_MAX_BYTES)
        most = MARK_EVERY_MAX_BYTES;
    /* After a failure marks are frequent at first, so that repeated failures still make progress. */
    c->mark_every_bytes = c->mark_every_bytes ? c->mark_every_bytes * 4 : c->flow->settings.batch_bytes;
    if (c->mark_every_bytes > most || !c->had_trouble)
        c->mark_every_bytes = most;
    /* With a full ring the retained bytes are what blocks the source. */
    bool tight = spool_overflow_bytes(c->spool) > 0 || c->source->paused;
    if (at->offset <= newest ||
        (!tight && at->offset < newest + spacing && now - c->kept_at_ms < KEEP_EVERY_MS))
        return;
    history_add(c->history, at->seq, at->offset, spool_oldest(c->spool), buf_slice(&at->record));
    c->kept_at_ms = now;
}

void retain_release(struct commit *c)
{
    uint64_t applied = cursor_get(&c->flow->cursor.marks->applied_offset);
    if (!router_is_null(c->router) && c->flow->settings.marks) {
        uint64_t kept = history_newest_offset(c->history);
        if (kept < applied)
            applied = kept;
    }
    INVARIANT(3.1, applied <= c->acknowledged_offset);
    spool_release(c->spool, applied);
}
