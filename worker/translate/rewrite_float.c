/* INCRBYFLOAT and HINCRBYFLOAT.
 *
 * Dragonfly adds doubles, and prints the shortest digits that parse to the same double, in the format of
 * double-conversion's ToShortest: plain from 1e-6 up to below 1e21, else d.ddde+XX or d.ddde-XX without
 * leading zeros (src/facade/reply_builder.cc: dfly_conv). Redis adds long doubles and prints 17 digits. So
 * a script does it on the target.
 *
 * Shortest digits: for a normal double, if up to 15 digits are enough %.14e has them; else 16 are tried, else
 * 17 are. Where the doubles' spacing changes (powers of two) the interval that reads back as x is wider above
 * than below: of 16 digits the nearest decimal may miss it and the next one up lie inside, as for 2^-44
 * = 5.684341886080802e-14. A subnormal double has less digits: all lengths are tried. */
#include "worker/translate/rewrite.h"

/* Defines s(x): x in Dragonfly's format. */
#define SCRIPT_SHORTEST                                                                                      \
    "local function s(x)\n"                                                                                  \
    "if x~=x then return 'nan' end\n"                                                                        \
    "local m=''\n"                                                                                           \
    "if x<0 then m='-' x=-x end\n"                                                                           \
    "if x==math.huge then return m..'inf' end\n"                                                             \
    "if x==0 then return '0' end\n"                                                                          \
    "local g\n"                                                                                              \
    "for p=x<2.3e-308 and 0 or 14,16 do\n"                                                                   \
    "g=string.format('%.'..p..'e',x)\n"                                                                      \
    "if tonumber(g)==x then break end\n"                                                                     \
    "if p==15 then\n"                                                                                        \
    "local u=tonumber(string.sub(g,9,17))+1\n"                                                               \
    "local h=string.sub(g,1,8)..string.format('%09d',u)..string.sub(g,18)\n"                                 \
    "if u<1e9 and tonumber(h)==x then g=h break end\n"                                                       \
    "end end\n"                                                                                              \
    "local a,b,e=string.match(g,'^(%d)%.?(%d*)e([+-]%d+)$')\n"                                               \
    "e=tonumber(e)\n"                                                                                        \
    "local d=string.gsub(a..b,'0+$','')\n"                                                                   \
    "if e<-6 or e>=21 then\n"                                                                                \
    "if #d>1 then d=string.sub(d,1,1)..'.'..string.sub(d,2) end\n"                                           \
    "return m..d..'e'..(e<0 and '-' or '+')..math.abs(e)\n"                                                  \
    "end\n"                                                                                                  \
    "if e<0 then return m..'0.'..string.rep('0',-e-1)..d end\n"                                              \
    "if #d<=e+1 then return m..d..string.rep('0',e+1-#d) end\n"                                              \
    "return m..string.sub(d,1,e+1)..'.'..string.sub(d,e+2)\n"                                                \
    "end\n"

/* Defines n(v): a number as strtod parses it, with -inf and inf. */
#define SCRIPT_SUM                                                                                           \
    SCRIPT_SHORTEST                                                                                          \
    "local function n(v)\n"                                                                                  \
    "v=tonumber(v) if not v then error('not a float') end\n"                                                 \
    "return v end\n"

bool rewrite_incrbyfloat(struct translator *t, const struct command *c, const struct entry *e,
                         struct error *error)
{
    static const char script[] =
        SCRIPT_SUM "local v=redis.call('GET',KEYS[1])\n"
                   "if v then redis.call('SET',KEYS[1],s(n(v)+n(ARGV[1])),'KEEPTTL')\n"
                   "else redis.call('SET',KEYS[1],s(n(ARGV[1]))) end";
    (void)error;
    if (!rewrite_eval(t, c, script, e->argv[1], 1, 1, OUTPUT_ONCE))
        return true;
    rewrite_args(t, e, 1, 3);
    output_end(t->out);
    return true;
}

/* HSET removes the time to live of a field, if the target has field TTLs; Dragonfly keeps it. */
bool rewrite_hincrbyfloat(struct translator *t, const struct command *c, const struct entry *e,
                          struct error *error)
{
#define SCRIPT_HSET                                                                                          \
    SCRIPT_SUM "local v=redis.call('HGET',KEYS[1],ARGV[1])\n"                                                \
               "local r=s(n(v or 0)+n(ARGV[2]))\n"
    static const char script[] = SCRIPT_HSET "redis.call('HSET',KEYS[1],ARGV[1],r)";
    static const char script_ttl[] = SCRIPT_HSET
        "local x=v and redis.call('HPEXPIRETIME',KEYS[1],'FIELDS',1,ARGV[1])[1] or -1\n"
        "redis.call('HSET',KEYS[1],ARGV[1],r)\n"
        "if x>0 then redis.call('HPEXPIREAT',KEYS[1],string.format('%.0f',x),'FIELDS',1,ARGV[1]) end";
    (void)error;
    if (!rewrite_eval(t, c, t->target->hash_field_ttl ? script_ttl : script, e->argv[1], 1, 2, OUTPUT_ONCE))
        return true;
    rewrite_args(t, e, 1, 4);
    output_end(t->out);
    return true;
}
