/* FT.*: every shard of the master journals them, so every FLOW has them. RediSearch has forms that do nothing the
 * second time (for its replication); other modules answer the second with an error. */
#include "worker/translate/rewrite.h"

bool rewrite_search(struct translator *t, const struct command *c, const struct entry *e, struct error *error)
{
    static const struct {
        const char *name, *again;
    } forms[] = {
        {"FT.CREATE", "FT._CREATEIFNX"}, {"FT.ALTER", "FT._ALTERIFNX"}, {"FT.DROPINDEX", "FT._DROPINDEXIFX"}};
    struct slice none = slice_of(NULL, 0);
    unsigned flags = c->class == COMMAND_ONCE ? OUTPUT_ONCE : OUTPUT_IDEMPOTENT;
    (void)error;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if (strcmp(c->name, forms[i].name) != 0)
            continue;
        if (i == 2 && e->argc > 2 && slice_is(e->argv[2], "DD"))
            rewrite_report(t, DIVERGENCE_SEARCH, c, none);
        if (t->target->search_again)
            return rewrite_pass_as(t, e, forms[i].again, none, flags);
    }
    return rewrite_pass(t, e, none, flags);
}
