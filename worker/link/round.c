/* Memory of rounds. They are filled and sent by commit.c and router.c. */
#include "worker/link/round.h"

#include <stdlib.h>

struct round *round_new(void)
{
    return x_calloc(1, sizeof(struct round));
}

void round_free(struct round *r)
{
    if (!r)
        return;
    for (uint32_t i = 0; i < r->nodes; i++)
        batch_free(r->plain[i]);
    while (r->once) {
        struct batch *b = r->once;
        r->once = b->next;
        batch_free(b);
    }
    free(r->plain);
    buf_free(&r->end.record);
    free(r);
}

void round_reset(struct round *r, uint32_t nodes)
{
    struct buf record = r->end.record;
    struct batch **plain = r->plain;
    if (nodes > r->nodes)
        plain = x_realloc(plain, nodes * sizeof *plain);
    for (uint32_t i = 0; i < nodes; i++)
        plain[i] = NULL;
    buf_clear(&record);
    *r = (struct round){.plain = plain, .nodes = nodes, .end.record = record};
}
