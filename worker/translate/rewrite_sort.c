/* SORT and GEORADIUS: reads, unless they store. Dragonfly journals both; if source and destination are in different
 * shards the journal has one key only: SORT source | SORT destination, GEORADIUS source | GEORADIUS destination. */
#include "worker/translate/rewrite.h"

/* If the source is missing Redis deletes the destination, Dragonfly does not. Failed commands are journaled, too, and
 * fail on the target. */
static const char store_script[] =
    "if redis.call('EXISTS',KEYS[1])==0 then return end\n"
    "local r=redis.pcall(unpack(ARGV))\n"
    "local e=type(r)=='table' and r.err\n"
    "if e and not (string.find(e,'WRONGTYPE') or string.find(e,'scores') or string.find(e,'decode')) then\n"
    "return r end";

static bool store(struct translator *t, const struct command *c, const struct entry *e,
                  struct slice destination)
{
    if (!rewrite_wanted(t, destination))
        return true;
    if (!rewrite_wanted(t, e->argv[1]))
        return rewrite_report(t, DIVERGENCE_FILTER, c, destination);
    if (!t->target->scripts)
        return rewrite_pass(t, e, destination, OUTPUT_ONCE);
    rewrite_eval(t, c, store_script, destination, 2, e->argc, OUTPUT_ONCE);
    output_arg(t->out, e->argv[1]);
    output_arg(t->out, destination);
    rewrite_args(t, e, 0, e->argc);
    output_end(t->out);
    return true;
}

/* SORT key [BY pattern] [LIMIT offset count] [GET pattern …] [ASC | DESC] [ALPHA] [STORE destination]. SORT key alone,
 * with a transaction id, is the rest of one with STORE; without an id it is a read by a client. */
bool rewrite_sort(struct translator *t, const struct command *c, const struct entry *e, struct error *error)
{
    (void)error;
    size_t destination = 0;
    if (e->argc == 2)
        return e->txid == 0 || !rewrite_wanted(t, e->argv[1]) ||
               rewrite_report(t, DIVERGENCE_LOST_BY_SOURCE, c, e->argv[1]);
    for (size_t i = 2; i < e->argc; i++) {
        if (slice_is(e->argv[i], "STORE"))
            destination = ++i;
        else if (slice_is(e->argv[i], "LIMIT"))
            i += 2;
        else if (slice_is(e->argv[i], "BY") || slice_is(e->argv[i], "GET"))
            i++;
    }
    if (destination >= e->argc)
        return rewrite_report(t, DIVERGENCE_LOST_BY_SOURCE, c, e->argv[1]);
    return destination == 0 || store(t, c, e, e->argv[destination]);
}

/* GEORADIUS key longitude latitude radius unit … | GEORADIUSBYMEMBER key member radius unit …
 * [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT n [ANY]] [ASC | DESC] [STORE | STOREDIST destination] */
bool rewrite_georadius(struct translator *t, const struct command *c, const struct entry *e,
                       struct error *error)
{
    (void)error;
    size_t destination = 0, i = (size_t)-c->arity;
    for (; i < e->argc; i++) {
        if (slice_is(e->argv[i], "STORE") || slice_is(e->argv[i], "STOREDIST"))
            destination = ++i;
        else if (slice_is(e->argv[i], "COUNT"))
            i++;
    }
    if (destination >= e->argc)
        return rewrite_report(t, DIVERGENCE_LOST_BY_SOURCE, c, e->argv[1]);
    return destination == 0 || store(t, c, e, e->argv[destination]);
}
