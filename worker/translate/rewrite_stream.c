/* Rewrites of stream commands, with options that older targets lack. */
#include "common/redis/releases.h"
#include "worker/translate/rewrite.h"

/* Position of option `word` in from..argc-1; 0: absent. */
static size_t find_option(const struct entry *e, size_t from, const char *word)
{
    for (size_t i = from; i < e->argc; i++)
        if (slice_is(e->argv[i], word))
            return i;
    return 0;
}

/* The command without arguments from..to-1. */
static bool pass_without(struct translator *t, const struct entry *e, struct slice key, size_t from,
                         size_t to, unsigned flags)
{
    output_begin(t->out, t->db, key, e->argc - (to - from), flags);
    rewrite_args(t, e, 0, from);
    rewrite_args(t, e, to, e->argc);
    output_end(t->out);
    return true;
}

/* XADD key [NOMKSTREAM] [MAXLEN | MINID [= | ~] limit [LIMIT n]] [NOMKSTREAM] id field value …
 * Journaled only if it wrote, so NOMKSTREAM is dropped. */
bool rewrite_xadd(struct translator *t, const struct command *c, const struct entry *e, struct error *error)
{
    (void)error;
    size_t id = 2, maxlen = 0;
    if (rewrite_target_6_2(t->target))
        return rewrite_pass(t, e, e->argv[1], OUTPUT_IDEMPOTENT);
    while (id < e->argc) {
        bool limit = slice_is(e->argv[id], "MAXLEN") || slice_is(e->argv[id], "MINID");
        if (slice_is(e->argv[id], "MAXLEN"))
            maxlen = id;
        else if (slice_is(e->argv[id], "MINID"))
            rewrite_report(t, DIVERGENCE_STREAM, c, e->argv[1]); /* not trimmed */
        else if (!slice_is(e->argv[id], "NOMKSTREAM") && !slice_is(e->argv[id], "LIMIT"))
            break;
        id += slice_is(e->argv[id], "NOMKSTREAM") ? 1 : 2;
        if (limit && id < e->argc && (slice_is(e->argv[id - 1], "=") || slice_is(e->argv[id - 1], "~")))
            id++;
    }
    if (id >= e->argc)
        return rewrite_report(t, DIVERGENCE_LOST_BY_SOURCE, c, e->argv[1]);
    size_t limit_args = !maxlen ? 0 : slice_is(e->argv[maxlen + 1], "=") ? 3 : 2; /* never ~ in the journal */
    output_begin(t->out, t->db, e->argv[1], 2 + limit_args + e->argc - id, OUTPUT_IDEMPOTENT);
    rewrite_args(t, e, 0, 2);
    rewrite_args(t, e, maxlen, maxlen + limit_args);
    rewrite_args(t, e, id, e->argc);
    output_end(t->out);
    return true;
}

bool rewrite_xtrim(struct translator *t, const struct command *c, const struct entry *e, struct error *error)
{
    (void)error;
    if (slice_is(e->argv[2], "MINID") && !rewrite_target_6_2(t->target))
        return rewrite_report(t, DIVERGENCE_STREAM, c, e->argv[1]);
    return rewrite_pass(t, e, e->argv[1], OUTPUT_ONCE);
}

/* The minimum idle time of a claim counts until the receipt of the entry, d ms ago: now more pending entries would be
 * idle long enough. A claim drops pending entries of deleted messages, but not before Redis 7.0. */
#define CLAIM_AGE                                                                                            \
    "local t=redis.call('TIME')\n"                                                                           \
    "local d=t[1]*1000+math.floor(t[2]/1000)-ARGV[1]\n"                                                      \
    "local g,c,m=ARGV[2],ARGV[3],tonumber(ARGV[4])\n"                                                        \
    "if m>0 then m=math.max(m+d,0) end\n"

/* Both scripts answer the number of claimed or dropped entries. ARGV: time of receipt, group, consumer, idle, id …,
 * option … The message ids end where the options begin; one without a dash is the first of its millisecond. */
static const char xclaim_script[] =
    CLAIM_AGE "local a={g,c,string.format('%.0f',m)}\n"
              "local ids=true\n"
              "for i=5,#ARGV do\n"
              "local id=ARGV[i]\n"
              "a[#a+1]=id\n"
              "if not string.find(id,'^%d') then ids=false end\n"
              "if not string.find(id,'-',1,true) then id=id..'-0' end\n"
              "if ids and #redis.call('XRANGE',KEYS[1],id,id)==0 then redis.call('XACK',KEYS[1],g,id) end\n"
              "end\n"
              "return #redis.call('XCLAIM',KEYS[1],unpack(a))";

/* ARGV: time of receipt, group, consumer, idle, start, [COUNT n] [JUSTID] */
static const char xautoclaim_script[] =
    CLAIM_AGE "local n,j,k=100,{},0\n"
              "for i=6,#ARGV do\n"
              "local w=string.upper(ARGV[i])\n"
              "if w=='COUNT' then n=tonumber(ARGV[i+1]) elseif w=='JUSTID' then j={w} end\n"
              "end\n"
              "for _,p in ipairs(redis.call('XPENDING',KEYS[1],g,ARGV[5],'+',n*10)) do\n"
              "if k==n then break end\n"
              "if #redis.call('XRANGE',KEYS[1],p[1],p[1])==0 then redis.call('XACK',KEYS[1],g,p[1]) k=k+1\n"
              "elseif p[3]>=m then\n"
              "redis.call('XCLAIM',KEYS[1],g,c,0,p[1],'TIME',ARGV[1],unpack(j)) k=k+1\n"
              "end end\n"
              "return k";

/* The options of XCLAIM from `at` on, with the source's time of delivery: IDLE becomes TIME; without either it is the
 * time of receipt. */
static void claim_options(struct translator *t, const struct entry *e, size_t at, size_t idle)
{
    int64_t arrived_ms = translator_arrived_ms(t), idle_ms = 0;
    rewrite_args(t, e, at, idle ? idle : e->argc);
    if (find_option(e, at, "TIME"))
        return;
    if (idle)
        slice_to_i64(e->argv[idle + 1], &idle_ms);
    output_text(t->out, "TIME");
    output_i64(t->out, arrived_ms > idle_ms ? arrived_ms - idle_ms : 0);
    if (idle)
        rewrite_args(t, e, idle + 2, e->argc);
}

/* The flag for sources that do not journal XREADGROUP: a target without an entry to claim or acknowledge then differs.
 * Of other sources it proves nothing: consumers claim repeatedly, may acknowledge twice, and all of it is journaled. */
static unsigned as_read_unseen(const struct translator *t)
{
    return release_reads_unseen(t->source_release) ? rewrite_effective(t) : 0;
}

static bool claim(struct translator *t, const struct command *c, const struct entry *e, int64_t least_idle_ms)
{
    bool automatic = slice_is(e->argv[0], "XAUTOCLAIM");
    unsigned flags = OUTPUT_ONCE | as_read_unseen(t);
    size_t idle = automatic ? 0 : find_option(e, 6, "IDLE");
    idle = idle + 1 < e->argc ? idle : 0;
    size_t added = automatic || idle || find_option(e, 6, "TIME") ? 0 : 2;
    if (least_idle_ms > 0 && t->late_ms) /* the time of the command is unknown */
        rewrite_suspect(t, DIVERGENCE_DIFFERS, c, e->argv[1]);
    if (!automatic && least_idle_ms <= 0 && rewrite_target_7_0(t->target)) {
        output_begin(t->out, t->db, e->argv[1], e->argc + added, flags);
        rewrite_args(t, e, 0, 5);
        claim_options(t, e, 5, idle);
        output_end(t->out);
        return true;
    }
    if (!rewrite_eval(t, c, automatic ? xautoclaim_script : xclaim_script, e->argv[1], 1, e->argc - 1 + added,
                      flags))
        return true;
    output_arg(t->out, e->argv[1]);
    output_i64(t->out, translator_arrived_ms(t));
    if (automatic) {
        rewrite_args(t, e, 2, e->argc);
    } else {
        rewrite_args(t, e, 2, 5);
        claim_options(t, e, 5, idle);
    }
    output_end(t->out);
    return true;
}

/* XCLAIM and XAUTOCLAIM key group consumer …: Dragonfly creates the consumer also if nothing is claimed. XREADGROUP is
 * journaled as XCLAIM with FORCE and LASTID, which claims an entry that is not pending, too. */
bool rewrite_xclaim(struct translator *t, const struct command *c, const struct entry *e, struct error *error)
{
    int64_t least_idle_ms = 0;
    (void)error;
    bool read = find_option(e, 6, "LASTID") && find_option(e, 6, "FORCE");
    if (rewrite_target_6_2(t->target) && !read) {
        output_begin(t->out, t->db, e->argv[1], 5, OUTPUT_ONCE);
        output_text(t->out, "XGROUP");
        output_text(t->out, "CREATECONSUMER");
        rewrite_args(t, e, 1, 4);
        output_end(t->out);
    }
    if (read)
        return rewrite_pass(t, e, e->argv[1], OUTPUT_ONCE | rewrite_effective(t));
    slice_to_i64(e->argv[4], &least_idle_ms);
    return claim(t, c, e, least_idle_ms);
}

/* XACK key group id … */
bool rewrite_xack(struct translator *t, const struct command *c, const struct entry *e, struct error *error)
{
    (void)c;
    (void)error;
    return rewrite_pass(t, e, e->argv[1], OUTPUT_IDEMPOTENT | as_read_unseen(t));
}

/* XGROUP CREATE key group id [MKSTREAM] [ENTRIESREAD n] | SETID key group id [ENTRIESREAD n] | CREATECONSUMER
 * … | … */
bool rewrite_xgroup(struct translator *t, const struct command *c, const struct entry *e, struct error *error)
{
    (void)c;
    (void)error;
    struct slice key = e->argv[2];
    if (slice_is(e->argv[1], "CREATECONSUMER") && !rewrite_target_6_2(t->target))
        return true; /* the first XCLAIM for it creates it */
    size_t at = t->target->xgroup_entriesread ? 0 : find_option(e, 5, "ENTRIESREAD");
    if (slice_is(e->argv[1], "DESTROY")) /* journaled only if the group existed */
        return rewrite_pass(t, e, key, OUTPUT_ONCE | rewrite_effective(t));
    if (!at)
        return rewrite_pass(t, e, key, OUTPUT_ONCE);
    return pass_without(t, e, key, at, at + 2 < e->argc ? at + 2 : e->argc, OUTPUT_ONCE);
}

/* XSETID key id [ENTRIESADDED n] [MAXDELETEDID id] */
bool rewrite_xsetid(struct translator *t, const struct command *c, const struct entry *e, struct error *error)
{
    (void)c;
    (void)error;
    return pass_without(t, e, e->argv[1], 3, t->target->xsetid_entries ? 3 : e->argc, OUTPUT_ONCE);
}
