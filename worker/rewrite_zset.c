/* ZADD and GEOADD: passed on; conditions make them depend on what is there. */
#include "worker/rewrite.h"

/* key [NX | XX] [GT | LT] [CH] [INCR] score member … ; a score is no word. */
bool rewrite_zadd(struct translator *t, const struct command *c, const struct entry *e, struct error *error)
{
    (void)c;
    (void)error;
    static const char *const conditions[] = {"NX", "XX", "GT", "LT", "INCR"};
    unsigned flags = OUTPUT_IDEMPOTENT;
    for (size_t i = 2; i < e->argc && flags == OUTPUT_IDEMPOTENT; i++) {
        size_t k = 0;
        while (k < sizeof conditions / sizeof *conditions && !slice_is(e->argv[i], conditions[k]))
            k++;
        if (k < sizeof conditions / sizeof *conditions)
            flags = OUTPUT_ONCE;
        else if (!slice_is(e->argv[i], "CH"))
            break;
    }
    return rewrite_pass(t, e, e->argv[1], flags);
}
