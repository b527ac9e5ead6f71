/* BITFIELD.
 *
 * With OVERFLOW SAT Dragonfly (v1.40.1) sets an unsigned field that would fall below zero to its maximum; Redis sets it
 * to zero. */
#include "worker/translate/rewrite.h"

/* Up to this release Dragonfly wraps an unsigned field at the wrong number. */
enum { LAST_RELEASE_THAT_WRAPS_WRONG = 13099 };

/* Subcommand by subcommand: FAIL tells whether the field would fall below zero; -1 sets all bits. */
static const char saturating[] =
    "local function b(...) return redis.call('BITFIELD',KEYS[1],...) end\n"
    "local i,o=1,'WRAP'\n"
    "while i<=#ARGV do\n"
    "local w=string.upper(ARGV[i])\n"
    "if w=='OVERFLOW' then o=string.upper(ARGV[i+1]) i=i+2\n"
    "elseif w=='GET' then i=i+3\n"
    "else\n"
    "local t,f,n=ARGV[i+1],ARGV[i+2],ARGV[i+3] i=i+4\n"
    "if w=='INCRBY' and o=='SAT' and string.find(t,'^[uU]') and string.find(n,'^-') then\n"
    "if not b('OVERFLOW','FAIL','INCRBY',t,f,n)[1] then b('SET',t,f,'-1') end\n"
    "else b('OVERFLOW',o,w,t,f,n) end\n"
    "end end";

static bool begins_with(struct slice word, char lower)
{
    return word.len > 0 && (word.data[0] | 0x20) == (lower | 0x20);
}

/* BITFIELD key [GET type offset | SET type offset value | INCRBY type offset n | OVERFLOW how] … */
bool rewrite_bitfield(struct translator *t, const struct command *c, const struct entry *e,
                      struct error *error)
{
    (void)error;
    bool reads_only = true, saturates = false, below_zero = false, wraps = false;
    unsigned flags = OUTPUT_IDEMPOTENT;
    for (size_t i = 2; i < e->argc;) {
        if (slice_is(e->argv[i], "GET")) {
            i += 3;
            continue;
        }
        if (slice_is(e->argv[i], "OVERFLOW")) {
            saturates = i + 1 < e->argc && slice_is(e->argv[i + 1], "SAT");
            i += 2;
            continue;
        }
        reads_only = false;
        if (!slice_is(e->argv[i], "SET"))
            flags = OUTPUT_ONCE;
        wraps |= i + 1 < e->argc && begins_with(e->argv[i + 1], 'u');
        below_zero |= saturates && flags == OUTPUT_ONCE && i + 3 < e->argc &&
                      begins_with(e->argv[i + 1], 'u') && e->argv[i + 3].len > 0 &&
                      e->argv[i + 3].data[0] == '-';
        i += 4;
    }
    if (reads_only)
        return true;
    if (wraps && t->source_release && t->source_release <= LAST_RELEASE_THAT_WRAPS_WRONG)
        rewrite_suspect(t, DIVERGENCE_DIFFERS, c, e->argv[1]);
    if (!below_zero)
        return rewrite_pass(t, e, e->argv[1], flags);
    if (!rewrite_eval(t, c, saturating, e->argv[1], 1, e->argc - 2, OUTPUT_ONCE))
        return true;
    rewrite_args(t, e, 1, e->argc);
    output_end(t->out);
    return true;
}
