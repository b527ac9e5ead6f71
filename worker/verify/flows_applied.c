/* The cursors of the other FLOWs, opened when first read. */
#include "worker/verify/flows_applied.h"

#include <stdlib.h>

struct flow_cursors {
    const struct flow *flow;
    struct cursor *list; /* marks NULL: not open yet */
};

static const struct cursor_marks *flow_cursor_marks(struct flow_cursors *others, uint32_t number)
{
    const struct flow *f = others->flow;
    if (number == f->number)
        return f->cursor.marks;
    struct cursor *c = &others->list[number];
    struct error error;
    return c->marks || cursor_open_readonly(c, f->directory, number, &error) ? c->marks : NULL;
}

bool flows_applied(struct flow_cursors *c, const uint64_t *lsns, size_t count)
{
    if (count != c->flow->count)
        return false;
    for (uint32_t i = 0; i < c->flow->count; i++) {
        const struct cursor_marks *m = flow_cursor_marks(c, i);
        if (!m || cursor_get(&m->session) != c->flow->session || cursor_get(&m->applied_lsn) < lsns[i])
            return false;
    }
    return true;
}

struct flow_cursors *flow_cursors_new(const struct flow *f)
{
    struct flow_cursors *c = x_calloc(1, sizeof *c);
    c->flow = f;
    c->list = x_calloc(f->count, sizeof *c->list);
    return c;
}

void flow_cursors_free(struct flow_cursors *c)
{
    if (!c)
        return;
    for (uint32_t i = 0; i < c->flow->count; i++)
        if (c->list[i].marks)
            cursor_close(&c->list[i]);
    free(c->list);
    free(c);
}
