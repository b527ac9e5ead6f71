/* A cursor stays open: a later session reuses its file in place. */
#include "worker/verify/flows_applied.h"

#include <stdlib.h>

#include "common/ipc/cursor.h"

struct flow_cursors {
    char *directory;
    uint32_t count;
    struct cursor *list; /* opened when first asked for */
};

/* NULL: no such cursor, or of another session. */
static const struct cursor_marks *session_marks(struct flow_cursors *c, uint32_t number, uint64_t session)
{
    struct cursor *cursor = &c->list[number];
    struct error error;
    if (!cursor->marks && !cursor_open_readonly(cursor, c->directory, number, &error))
        return NULL;
    return cursor_get(&cursor->marks->session) == session ? cursor->marks : NULL;
}

bool flows_applied(struct flow_cursors *c, uint64_t session, uint64_t contact, const uint64_t *lsns,
                   size_t count)
{
    if (count != c->count)
        return false;
    for (uint32_t i = 0; i < c->count; i++) {
        const struct cursor_marks *m = session_marks(c, i, session);
        /* One that is not connected to this process of the target may still apply again what it has lost. */
        if (!m || cursor_get(&m->in_contact) != contact || cursor_get(&m->applied_lsn) < lsns[i])
            return false;
    }
    return true;
}

bool flows_stable(struct flow_cursors *c, uint64_t session)
{
    for (uint32_t i = 0; i < c->count; i++) {
        const struct cursor_marks *m = session_marks(c, i, session);
        if (!m || cursor_get(&m->phase) != CURSOR_STABLE)
            return false;
    }
    return c->count > 0;
}

struct flow_cursors *flow_cursors_new(const char *directory, uint32_t count)
{
    struct flow_cursors *c = x_calloc(1, sizeof *c);
    c->directory = x_strdup(directory);
    c->count = count;
    c->list = x_calloc(count ? count : 1, sizeof *c->list);
    return c;
}

void flow_cursors_free(struct flow_cursors *c)
{
    if (!c)
        return;
    for (uint32_t i = 0; i < c->count; i++)
        if (c->list[i].marks)
            cursor_close(&c->list[i]);
    free(c->list);
    free(c->directory);
    free(c);
}
