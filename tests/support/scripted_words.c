/* Small sessions, and single commands. */
#include "tests/support/scripted_words.h"

static struct scripted_flow finish(struct stream_writer *w)
{
    writer_fullsync_end(w);
    writer_stable(w, 1);
    return writer_finish(w);
}

struct scripted_session scripted_session_small(size_t flow_count,
                                               void (*in_snapshot)(struct stream_writer *w))
{
    struct scripted_session session = scripted_session_new(flow_count);
    for (size_t i = 0; i < flow_count; i++) {
        struct stream_writer w = {0};
        writer_begin(&w, 0, session.flows[i].token);
        if (in_snapshot && i == 0)
            in_snapshot(&w);
        session.flows[i] = finish(&w);
    }
    return session;
}

struct scripted_session scripted_session_with(const char *key, const char *value)
{
    struct scripted_session session = scripted_session_new(1);
    struct stream_writer w = {0};
    writer_begin(&w, 0, session.flows[0].token);
    writer_string(&w, slice_str(key), slice_str(value));
    session.flows[0] = finish(&w);
    return session;
}

void scripted_write(struct scripted *m, size_t flow, uint32_t db, uint64_t txid, const char *words)
{
    struct buf bytes = {0};
    write_journal(&bytes, db, txid, words);
    scripted_append(m, flow, buf_slice(&bytes));
    buf_free(&bytes);
}
