/* ZADD and GEOADD: passed on; with conditions they depend on the old value.
 *
 * Dragonfly up to v1.40.1 ignores GT and LT if the set is not a listpack: once it has had more than 128 members or one
 * of more than 32 bytes. Redis keeps listpacks up to 64 bytes per member; like Dragonfly it does not convert back, so a
 * set that is not a listpack on the target was none on the source. */
#include "worker/translate/rewrite.h"

enum { LAST_RELEASE_THAT_FORGETS = 14001 };

/* Pair by pair, as each may convert the listpack. */
static const char forgetful_zadd[] =
    "local k,all,few,i=KEYS[1],{KEYS[1]},{KEYS[1]},1\n"
    "while true do\n"
    "local w=string.upper(ARGV[i])\n"
    "if w=='GT' or w=='LT' then all[#all+1]=w\n"
    "elseif w=='NX' or w=='XX' or w=='CH' or w=='INCR' then all[#all+1]=w few[#few+1]=w\n"
    "else break end\n"
    "i=i+1 end\n"
    "local function listpack()\n"
    "local e=redis.call('OBJECT','ENCODING',k)\n"
    "if e=='skiplist' then return false end\n"
    "if e then for _,m in ipairs(redis.call('ZRANGE',k,0,-1)) do if #m>32 then return false end end end\n"
    "return true end\n"
    "for j=i,#ARGV,2 do\n"
    "local c={unpack(listpack() and all or few)}\n"
    "c[#c+1]=ARGV[j] c[#c+1]=ARGV[j+1]\n"
    "redis.call('ZADD',unpack(c)) end";

static bool is_comparison(struct slice word)
{
    return slice_is(word, "GT") || slice_is(word, "LT");
}

static bool is_condition(struct slice word)
{
    return is_comparison(word) || slice_is(word, "NX") || slice_is(word, "XX") || slice_is(word, "INCR");
}

bool rewrite_zadd_option(struct slice word)
{
    return is_condition(word) || slice_is(word, "CH");
}

/* key [NX | XX] [GT | LT] [CH] [INCR] score member …; the first word that is not an option is a score. */
bool rewrite_zadd(struct translator *t, const struct command *c, const struct entry *e, struct error *error)
{
    (void)error;
    unsigned flags = OUTPUT_IDEMPOTENT;
    bool compares = false;
    for (size_t i = 2; i < e->argc && rewrite_zadd_option(e->argv[i]); i++) {
        if (is_condition(e->argv[i]))
            flags = OUTPUT_ONCE;
        compares |= is_comparison(e->argv[i]);
    }
    if (!compares || t->source_release > LAST_RELEASE_THAT_FORGETS)
        return rewrite_pass(t, e, e->argv[1], flags);
    if (!rewrite_eval(t, c, forgetful_zadd, e->argv[1], 1, e->argc - 2, flags))
        return true;
    rewrite_args(t, e, 1, e->argc);
    output_end(t->out);
    return true;
}
