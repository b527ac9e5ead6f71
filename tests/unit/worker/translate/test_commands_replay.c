/* What the table calls idempotent: a run of such commands, carried in part, then again from its beginning,
 * ends as when carried once. Random runs on a real redis-server; the pool holds commands of every class,
 * those that must be carried once are left out of a run by their row. Giving HDEL, APPEND or LPUSH the class
 * idempotent makes this fail. */
#include "tests/support/journal_case.h"

enum { TRIALS = 2000, RUN_MAX = 12, SETUP_MAX = 10 };

static uint64_t random_state = 2026;
static const char *kept_type; /* this run keeps to; NULL: none */

/* # a number, K a key, M a member, T a time. Most runs keep to one type: a key that is overwritten forgets
 * all mistakes. */
static const struct {
    const char *type, *line;
} pool[] = {
    {"any", "DEL K"},
    {"any", "PEXPIREAT K T"},
    {"any", "PEXPIREAT K T"},
    {"any", "PERSIST K"},
    {"any", "RENAME K K"},
    {"string", "SET K #"},
    {"string", "SET K # KEEPTTL"},
    {"string", "SET K # PXAT T"},
    {"string", "MSET K # K #"},
    {"string", "GETSET K #"},
    {"string", "SETRANGE K # xy"},
    {"string", "SETBIT K # 1"},
    {"string", "SETBIT K # 0"},
    {"string", "BITFIELD K SET u8 # #"},
    {"string", "BITFIELD K INCRBY u8 # 1"},
    {"string", "PFADD K M"},
    {"string", "PFADD K M"},
    {"string", "APPEND K x"},
    {"string", "INCR K"},
    {"string", "PREPEND K x"},
    {"string", "BITOP OR K K K"},
    {"hash", "HSET K M #"},
    {"hash", "HSET K M # M #"},
    {"hash", "HSETNX K M #"},
    {"hash", "HDEL K M"},
    {"hash", "HDEL K M M M"},
    {"hash", "HINCRBY K M 1"},
    {"set", "SADD K M"},
    {"set", "SADD K M M"},
    {"set", "SREM K M"},
    {"set", "SREM K M M M"},
    {"set", "SMOVE K K M"},
    {"zset", "ZADD K # M"},
    {"zset", "ZADD K CH # M # M"},
    {"zset", "ZADD K GT # M"},
    {"zset", "ZADD K NX # M"},
    {"zset", "ZREM K M M"},
    {"zset", "ZINCRBY K 1 M"},
    {"zset", "ZREMRANGEBYSCORE K 0 #"},
    {"zset", "ZREMRANGEBYRANK K 0 0"},
    {"zset", "ZPOPMIN K"},
    {"zset", "GEOADD K # # M"},
    {"list", "RPUSH K M"},
    {"list", "LPUSH K M"},
    {"list", "LPOP K"},
    {"list", "LSET K 0 M"},
    {"list", "LTRIM K 0 1"},
    {"list", "LREM K 1 M"},
    {"stream", "XADD K #-1 f M"},
    {"stream", "XADD K #-1 f M"},
    {"stream", "XADD K MINID #-0 #-1 f M"},
    {"stream", "XADD K MAXLEN 0 #-1 f M"},
    {"stream", "XDEL K #-1"},
    {"stream", "XTRIM K MAXLEN 0"},
    {"stream", "XTRIM K MINID #"},
    {"stream", "XACK K g #-1"},
    {"stream", "XSETID K #-1"},
    {"stream", "XGROUP CREATE K g 0 MKSTREAM"},
    {"stream", "XCLAIM K g c 0 #-1 TIME 1 FORCE JUSTID LASTID #-1"},
};

static const char state_script[] =
    "local out={}\n"
    "for _,k in ipairs(KEYS) do local t,v=redis.call('TYPE',k).ok,{}\n"
    "if t=='string' then v={redis.call('GET',k)}\n"
    "elseif t=='list' then v=redis.call('LRANGE',k,0,-1)\n"
    "elseif t=='set' then v=redis.call('SMEMBERS',k) table.sort(v)\n"
    "elseif t=='zset' then v=redis.call('ZRANGE',k,0,-1,'WITHSCORES')\n"
    "elseif t=='hash' then local h=redis.call('HGETALL',k)\n"
    "for i=1,#h,2 do v[#v+1]=h[i]..'='..h[i+1] end table.sort(v)\n"
    "elseif t=='stream' then\n"
    "for _,e in ipairs(redis.call('XRANGE',k,'-','+')) do v[#v+1]=e[1]..'='..table.concat(e[2],',') end\n"
    "local i=redis.call('XINFO','STREAM',k)\n"
    "for j=1,#i,2 do if i[j]=='last-generated-id' then v[#v+1]=i[j+1] end end\n"
    "for _,g in ipairs(redis.call('XINFO','GROUPS',k)) do v[#v+1]=g[2]\n"
    "for _,p in ipairs(redis.call('XPENDING',k,g[2],'-','+',99)) do v[#v+1]=p[1]..p[2] end end\n"
    "end\n"
    "out[#out+1]=k..' '..t..' '..redis.call('PEXPIRETIME',k)..' '..table.concat(v,' ')\n"
    "end return table.concat(out,' | ')";

static unsigned below(unsigned n)
{
    random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (unsigned)(random_state >> 33) % n;
}

static void make_line(char *out, size_t bytes)
{
    size_t n = 0, i;
    do
        i = below(sizeof pool / sizeof *pool);
    while (kept_type && strcmp(pool[i].type, kept_type) != 0 && strcmp(pool[i].type, "any") != 0);
    const char *p = pool[i].line;
    for (; *p && n + 16 < bytes; p++) {
        bool alone = p[1] == ' ' || p[1] == '\0' || p[1] == '-';
        if (*p == '#')
            n += (size_t)snprintf(out + n, bytes - n, "%u", below(30));
        else if (*p == 'K' && alone && n && out[n - 1] == ' ')
            n += (size_t)snprintf(out + n, bytes - n, "k%d", below(4) == 0);
        else if (*p == 'M' && alone)
            n += (size_t)snprintf(out + n, bytes - n, "m%u", below(2));
        else if (*p == 'T' && alone && n && out[n - 1] == ' ')
            n += (size_t)snprintf(out + n, bytes - n, "40000000000%02u", below(100));
        else
            out[n++] = *p;
    }
    out[n] = '\0';
}

/* Did it do anything? The master journals nothing else. */
static bool run_line(struct fixture *f, const char *line)
{
    redisReply *reply = local_redis_run(&f->redis, line);
    bool wrote =
        reply->type != REDIS_REPLY_ERROR &&
        !(reply->type == REDIS_REPLY_INTEGER && reply->integer == 0 &&
          (strncmp(line, "DEL", 3) == 0 || strncmp(line, "PE", 2) == 0 || strncmp(line, "XDEL", 4) == 0));
    freeReplyObject(reply);
    return wrote;
}

static char *show_state(struct fixture *f)
{
    redisReply *reply = redisCommand(f->redis.c, "EVAL %s 2 k0 k1", state_script);
    assert_non_null(reply);
    assert_int_equal(reply->type, REDIS_REPLY_STRING);
    char *text = x_strndup(reply->str, reply->len);
    freeReplyObject(reply);
    return text;
}

static bool is_idempotent(struct fixture *f, const char *line)
{
    struct slice argv[CASE_MAX_WORDS];
    size_t argc = case_words(line, argv);
    assert_true(case_run(&f->translation, argv, argc));
    return !f->translation.once;
}

static void replay(struct fixture *f, char lines[][96], size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        run_line(f, lines[i]);
}

static void a_run_repeated_from_its_beginning_ends_the_same(void **state)
{
    static char setup_lines[SETUP_MAX][96], lines[RUN_MAX][96];
    struct fixture *f = need(state);
    for (int trial = 0; trial < TRIALS; trial++) {
        static const char *const types[] = {"string", "hash", "set", "zset", "list", "stream", NULL};
        size_t before = 0, n = 0, made, length = 1 + below(RUN_MAX);
        kept_type = types[below(sizeof types / sizeof *types)];
        run_line(f, "FLUSHALL");
        for (made = below(SETUP_MAX); made; made--) {
            make_line(setup_lines[before], sizeof setup_lines[0]);
            before += run_line(f, setup_lines[before]);
        }
        for (made = 60; made && n < length; made--) {
            make_line(lines[n], sizeof lines[0]);
            if (is_idempotent(f, lines[n]) && run_line(f, lines[n]))
                n++;
        }
        char *once = show_state(f);
        size_t prefix = n ? below((unsigned)n + 1) : 0;
        run_line(f, "FLUSHALL");
        replay(f, setup_lines, 0, before);
        replay(f, lines, 0, prefix);
        replay(f, lines, 0, n);
        char *twice = show_state(f);
        if (strcmp(once, twice) != 0) {
            for (size_t i = 0; i < before; i++)
                print_message("before: %s\n", setup_lines[i]);
            for (size_t i = 0; i < n; i++)
                print_message("%s%s\n", lines[i], i < prefix ? "   (twice)" : "");
            fail_msg("trial %d\n  once  %s\n  twice %s", trial, once, twice);
        }
        free(once);
        free(twice);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_repeated_from_its_beginning_ends_the_same),
    };
    return cmocka_run_group_tests(tests, journal_setup, journal_teardown);
}
