/* ZADD and GEOADD: passed on; conditions make them depend on what is there. */
#include "worker/rewrite.h"

static bool is_condition(struct slice word)
{
    return slice_is(word, "NX") || slice_is(word, "XX") || slice_is(word, "GT") || slice_is(word, "LT") ||
           slice_is(word, "INCR");
}

bool rewrite_zadd_option(struct slice word)
{
    return is_condition(word) || slice_is(word, "CH");
}

/* key [NX | XX] [GT | LT] [CH] [INCR] score member … ; a score is no word. */
bool rewrite_zadd(struct translator *t, const struct command *c, const struct entry *e, struct error *error)
{
    (void)c;
    (void)error;
    unsigned flags = OUTPUT_IDEMPOTENT;
    for (size_t i = 2; i < e->argc && rewrite_zadd_option(e->argv[i]); i++)
        if (is_condition(e->argv[i]))
            flags = OUTPUT_ONCE;
    return rewrite_pass(t, e, e->argv[1], flags);
}
