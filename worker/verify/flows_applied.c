/* How far the other FLOWs are: their cursors lie in the same directory. */
#include <stdlib.h>

#include "worker/verify/inventory.h"
#include "worker/worker.h"

struct flow_cursors {
    struct cursor *list; /* marks NULL: not open yet */
};

static const struct cursor_marks *marks_of(struct worker *w, uint32_t flow)
{
    if (flow == w->flow->number)
        return w->flow->cursor.marks;
    if (!w->others) {
        w->others = x_calloc(1, sizeof *w->others);
        w->others->list = x_calloc(w->flow->count, sizeof *w->others->list);
    }
    struct cursor *c = &w->others->list[flow];
    struct error error;
    return c->marks || cursor_open_readonly(c, w->flow->directory, flow, &error) ? c->marks : NULL;
}

bool flows_applied(struct worker *w, const uint64_t *lsns, size_t count)
{
    if (count != w->flow->count)
        return false;
    for (uint32_t i = 0; i < w->flow->count; i++) {
        const struct cursor_marks *m = marks_of(w, i);
        if (!m || cursor_get(&m->session) != w->flow->session || cursor_get(&m->applied_lsn) < lsns[i])
            return false;
    }
    return true;
}

void flows_applied_free(struct worker *w)
{
    for (uint32_t i = 0; w->others && i < w->flow->count; i++)
        if (w->others->list[i].marks)
            cursor_close(&w->others->list[i]);
    if (w->others)
        free(w->others->list);
    free(w->others);
    w->others = NULL;
}
