/* The table of commands: complete, found by name, every row translated. */
#include "tests/support/translate_case.h"

/* What Dragonfly v1.40.1 journals (src/server, CO::JOURNALED), whether rewritten or as it is. */
static const char *const journaled[] = {"APPEND",
                                        "BF.ADD",
                                        "BF.LOADCHUNK",
                                        "BF.MADD",
                                        "BF.RESERVE",
                                        "BITFIELD",
                                        "BITOP",
                                        "BLMOVE",
                                        "BLMPOP",
                                        "BLPOP",
                                        "BRPOP",
                                        "BRPOPLPUSH",
                                        "BZMPOP",
                                        "BZPOPMAX",
                                        "BZPOPMIN",
                                        "CF.RESERVE",
                                        "CF.ADD",
                                        "CF.ADDNX",
                                        "CF.DEL",
                                        "CF.INSERT",
                                        "CF.INSERTNX",
                                        "CF.COMPACT",
                                        "CL.THROTTLE",
                                        "CMS.INITBYDIM",
                                        "CMS.INITBYPROB",
                                        "CMS.INCRBY",
                                        "CMS.MERGE",
                                        "COPY",
                                        "DECR",
                                        "DECRBY",
                                        "DEL",
                                        "DELEX",
                                        "EXPIRE",
                                        "EXPIREAT",
                                        "FIELDEXPIRE",
                                        "FLUSHALL",
                                        "FLUSHDB",
                                        "FT.ALTER",
                                        "FT.CREATE",
                                        "FT.DROPINDEX",
                                        "FT.SYNUPDATE",
                                        "GAT",
                                        "GEOADD",
                                        "GEORADIUS",
                                        "GEORADIUSBYMEMBER",
                                        "GETDEL",
                                        "GETEX",
                                        "GETSET",
                                        "HDEL",
                                        "HEXPIRE",
                                        "HGETEX",
                                        "HINCRBY",
                                        "HINCRBYFLOAT",
                                        "HMSET",
                                        "HSET",
                                        "HSETEX",
                                        "HSETNX",
                                        "INCR",
                                        "INCRBY",
                                        "INCRBYFLOAT",
                                        "JSON.ARRAPPEND",
                                        "JSON.ARRINSERT",
                                        "JSON.ARRPOP",
                                        "JSON.ARRTRIM",
                                        "JSON.CLEAR",
                                        "JSON.DEL",
                                        "JSON.FORGET",
                                        "JSON.MERGE",
                                        "JSON.MSET",
                                        "JSON.NUMINCRBY",
                                        "JSON.NUMMULTBY",
                                        "JSON.SET",
                                        "JSON.STRAPPEND",
                                        "JSON.TOGGLE",
                                        "LINSERT",
                                        "LMOVE",
                                        "LMPOP",
                                        "LPOP",
                                        "LPUSH",
                                        "LPUSHX",
                                        "LREM",
                                        "LSET",
                                        "LTRIM",
                                        "MOVE",
                                        "MSET",
                                        "MSETNX",
                                        "PERSIST",
                                        "PEXPIRE",
                                        "PEXPIREAT",
                                        "PFADD",
                                        "PFMERGE",
                                        "PREPEND",
                                        "PSETEX",
                                        "RENAME",
                                        "RENAMENX",
                                        "RESTORE",
                                        "RM",
                                        "RPOP",
                                        "RPOPLPUSH",
                                        "RPUSH",
                                        "RPUSHX",
                                        "SADD",
                                        "SADDEX",
                                        "SDIFFSTORE",
                                        "SET",
                                        "SETBIT",
                                        "SETEX",
                                        "SETNX",
                                        "SETRANGE",
                                        "SHRINK",
                                        "SINTERSTORE",
                                        "SMOVE",
                                        "SORT",
                                        "SPOP",
                                        "SREM",
                                        "STICK",
                                        "SUNIONSTORE",
                                        "TOPK.RESERVE",
                                        "TOPK.ADD",
                                        "TOPK.INCRBY",
                                        "UNLINK",
                                        "XACK",
                                        "XADD",
                                        "XAUTOCLAIM",
                                        "XCLAIM",
                                        "XDEL",
                                        "XGROUP",
                                        "XREADGROUP",
                                        "XSETID",
                                        "XTRIM",
                                        "ZADD",
                                        "ZDIFFSTORE",
                                        "ZINCRBY",
                                        "ZINTERSTORE",
                                        "ZMPOP",
                                        "ZPOPMAX",
                                        "ZPOPMIN",
                                        "ZRANGESTORE",
                                        "ZREM",
                                        "ZREMRANGEBYLEX",
                                        "ZREMRANGEBYRANK",
                                        "ZREMRANGEBYSCORE",
                                        "ZUNIONSTORE"};

enum { IDEMPOTENT = 0, ONCE = 1 };

/* One line at least for every row; out NULL: the same as in. */
static const struct {
    const char *in, *out;
    bool once;
} lines[] = {
    /* As recorded from v1.40.1. */
    {"SET s1 v", NULL, IDEMPOTENT},
    {"SET s2 v PXAT 1825394430530", NULL, IDEMPOTENT},
    {"SET s2 w KEEPTTL", NULL, IDEMPOTENT},
    {"SETNX s8 v", "SET s8 v", IDEMPOTENT},
    {"GETSET s8 new", "SET s8 new", IDEMPOTENT},
    {"GETDEL s4", "DEL s4", IDEMPOTENT},
    {"PERSIST s6", NULL, IDEMPOTENT},
    {"PEXPIREAT s7 1945394430531", NULL, IDEMPOTENT},
    {"SETRANGE s1 5 zz", NULL, IDEMPOTENT},
    {"APPEND s1 tail", NULL, ONCE},
    {"PREPEND s1 head", "EVAL <script> 1 s1 head", ONCE},
    {"INCR n1", NULL, ONCE},
    {"INCRBY n1 41", NULL, ONCE},
    {"DECR n1", NULL, ONCE},
    {"DECRBY n1 5", NULL, ONCE},
    {"INCRBYFLOAT n2 3.25", "EVAL <script> 1 n2 3.25", ONCE},
    {"MSET ms0 0 ms1 1", NULL, IDEMPOTENT},
    {"SETBIT b1 77 1", NULL, IDEMPOTENT},
    {"BITFIELD b5 SET u8 0 255 INCRBY u4 4 3", NULL, ONCE},
    {"PFADD p1 a b", NULL, IDEMPOTENT},
    {"DEL ms1 ms2 ms3 ms4", NULL, IDEMPOTENT},
    {"RENAME rn0 rnew0", NULL, ONCE},
    {"RENAMENX rnew0 rnx0", NULL, ONCE},
    {"MOVE ms13 1", NULL, ONCE},
    {"RPUSH l1 0 1 2", NULL, ONCE},
    {"LPUSH l1 a b", NULL, ONCE},
    {"LPUSHX l1 c", NULL, ONCE},
    {"RPUSHX l1 d", NULL, ONCE},
    {"LPOP l1", NULL, ONCE},
    {"RPOP l1 2", NULL, ONCE},
    {"LINSERT l1 BEFORE 5 ins", NULL, ONCE},
    {"LSET l1 0 set0", NULL, ONCE},
    {"LREM l1 1 b", NULL, ONCE},
    {"LTRIM l1 0 7", NULL, ONCE},
    {"SORT l1 ALPHA STORE sorted", "EVAL <script> 2 l1 sorted SORT l1 ALPHA STORE sorted", ONCE},
    {"SADD se x y z w", NULL, IDEMPOTENT},
    {"SREM se x", NULL, ONCE},
    {"ZADD z1 1 a 2 b", NULL, IDEMPOTENT},
    {"ZADD z1 GT CH 10 a", NULL, ONCE},
    {"ZADD z1 NX 9 new", NULL, ONCE},
    {"ZADD z1 INCR 3 c", NULL, ONCE},
    {"ZADD z1 CH 3 NX", NULL, IDEMPOTENT}, /* NX is a member here */
    {"ZINCRBY z1 2.5 b", NULL, ONCE},
    {"ZREM z1 d", NULL, ONCE},
    {"ZPOPMIN z1", NULL, ONCE},
    {"ZPOPMAX z1 1", NULL, ONCE},
    {"ZREMRANGEBYRANK z3 0 3", NULL, ONCE},
    {"ZREMRANGEBYSCORE z3 10 15", NULL, ONCE},
    {"ZREMRANGEBYLEX z4 [a (c", NULL, ONCE},
    {"GEOADD g1 13.3 38.1 P 15.0 37.5 C", NULL, IDEMPOTENT},
    {"GEOADD g1 NX 13.3 38.1 P", NULL, ONCE},
    {"GEORADIUS g1 15 37 200 km STORE gs", "EVAL <script> 2 g1 gs GEORADIUS g1 15 37 200 km STORE gs", ONCE},
    {"GEORADIUSBYMEMBER g1 P 300 km STOREDIST gsd",
     "EVAL <script> 2 g1 gsd GEORADIUSBYMEMBER g1 P 300 km STOREDIST gsd", ONCE},
    {"HSET h1 a 1 b 2 c x", NULL, IDEMPOTENT},
    {"HMSET h1 d 4", NULL, IDEMPOTENT},
    {"HSETNX h1 a 9", NULL, ONCE},
    {"HINCRBY h1 a 5", NULL, ONCE},
    {"HINCRBYFLOAT h1 b 0.5", "EVAL <script> 1 h1 b 0.5", ONCE},
    {"HDEL h1 c zz", NULL, ONCE},
    {"HSETEX h2 120 f v", "HSET h2 f v | HPEXPIREAT h2 1700000120000 FIELDS 1 f", IDEMPOTENT},
    {"FIELDEXPIRE h3 120 f", "HPEXPIREAT h3 1700000120000 FIELDS 1 f", IDEMPOTENT},
    {"HEXPIRE h3 150 FIELDS 1 g", "HPEXPIREAT h3 1700000150000 FIELDS 1 g", IDEMPOTENT},
    {"HGETEX h3 EX 180 FIELDS 1 f", "HPEXPIREAT h3 1700000180000 FIELDS 1 f", IDEMPOTENT},
    {"XADD x1 1795394430543-0 a 1", NULL, IDEMPOTENT},
    {"XADD x1 MINID 1795394430543-0 1795394430543-2 a 3", NULL, IDEMPOTENT},
    {"XADD x2 NOMKSTREAM 8-1 f v", NULL, IDEMPOTENT},
    {"XDEL x2 6-1", NULL, IDEMPOTENT},
    {"XTRIM x2 MINID 7-1", NULL, ONCE},
    {"XSETID x2 100-0", NULL, ONCE},
    {"XGROUP CREATE x3 g $ MKSTREAM", NULL, ONCE},
    {"XCLAIM x1 g c1 0 1-0 TIME 1795394430543 RETRYCOUNT 1 FORCE JUSTID LASTID 1-0", NULL, ONCE},
    {"XGROUP SETID x1 g 1795394430543-1 ENTRIESREAD 2", NULL, ONCE},
    {"XACK x1 g 0-1", NULL, IDEMPOTENT},
    {"XAUTOCLAIM x1 g c3 0 0", "XGROUP CREATECONSUMER x1 g c3 | XAUTOCLAIM x1 g c3 0 0", ONCE},
    {"XCLAIM x4 g c2 0 2-1", "XGROUP CREATECONSUMER x4 g c2 | XCLAIM x4 g c2 0 2-1", ONCE},
    {"STICK dump", "", IDEMPOTENT},
    {"CL.THROTTLE thr 15 30 60 1", NULL, ONCE},
    {"JSON.SET j1 $ {}", NULL, IDEMPOTENT},
    {"JSON.SET j1 $.a 1", NULL, ONCE},
    {"JSON.SET j1 $ 1 NX", NULL, ONCE},
    {"JSON.NUMINCRBY j1 $.a 5", NULL, ONCE},
    {"JSON.NUMMULTBY j1 $.a 5", NULL, ONCE},
    {"JSON.ARRAPPEND j1 $.l 3", NULL, ONCE},
    {"JSON.ARRINSERT j1 $.l 0 3", NULL, ONCE},
    {"JSON.ARRTRIM j1 $.l 0 3", NULL, ONCE},
    {"JSON.STRAPPEND j1 $.s \"yz\"", NULL, ONCE},
    {"JSON.TOGGLE j1 $.b", NULL, ONCE},
    {"JSON.CLEAR j1 $.b", NULL, ONCE},
    {"JSON.DEL j1 $.b", NULL, ONCE},
    {"JSON.DEL j1", "DEL j1", IDEMPOTENT},
    {"JSON.FORGET j1 $", "DEL j1", IDEMPOTENT},
    {"JSON.MERGE j1 $ {\"m\":1}", NULL, ONCE},
    {"JSON.MSET j2 $ 1 j3 . [1,2,3]", "JSON.SET j2 $ 1 | JSON.SET j3 . [1,2,3]", IDEMPOTENT},
    {"JSON.MSET j2 $ 1 j3 $.a [1,2,3]", "JSON.SET j2 $ 1 | JSON.SET j3 $.a [1,2,3]", ONCE},
    {"JSON.ARRPOP j3", NULL, ONCE},
    {"BF.ADD bl1 x", NULL, IDEMPOTENT},
    {"BF.MADD bl1 x y", NULL, IDEMPOTENT},
    {"BF.RESERVE bl1 0.01 100", NULL, ONCE},
    {"BF.LOADCHUNK bl1 1 data", "", IDEMPOTENT},
    {"CMS.INITBYDIM cm1 10 5", NULL, ONCE},
    {"CMS.INITBYPROB cm1 0.1 0.5", NULL, ONCE},
    {"CMS.INCRBY cm1 x 3", NULL, ONCE},
    {"CMS.MERGE cm1 2 cm2 cm3", NULL, ONCE},
    {"TOPK.RESERVE tk1 3", NULL, ONCE},
    {"TOPK.ADD tk1 x", NULL, ONCE},
    {"TOPK.INCRBY tk1 x 2", NULL, ONCE},
    {"CF.ADD cf1 x", NULL, ONCE},
    {"CF.ADDNX cf1 x", NULL, ONCE},
    {"CF.RESERVE cf1 100", NULL, ONCE},
    {"CF.INSERT cf1 ITEMS x", NULL, ONCE},
    {"CF.INSERTNX cf1 ITEMS x", NULL, ONCE},
    {"CF.DEL cf1 x", NULL, ONCE},
    {"CF.COMPACT cf1", NULL, ONCE},
    {"CF.LOADCHUNK cf1 1 data", "", IDEMPOTENT},
    {"FT.CREATE i ON HASH PREFIX 1 d: SCHEMA t TEXT", "FT._CREATEIFNX i ON HASH PREFIX 1 d: SCHEMA t TEXT",
     IDEMPOTENT},
    {"FT.ALTER i SCHEMA ADD n NUMERIC", "FT._ALTERIFNX i SCHEMA ADD n NUMERIC", IDEMPOTENT},
    {"FT.DROPINDEX i", "FT._DROPINDEXIFX i", ONCE},
    {"FT.SYNUPDATE i g a b", NULL, IDEMPOTENT},
    /* Rewritten by the master before journaling; kept for other versions. */
    {"UNLINK a b", NULL, IDEMPOTENT},
    {"DELEX a", "DEL a", IDEMPOTENT},
    {"DELEX a IFDEQ 0123456789abcdef", NULL, ONCE},
    {"EXPIRE k 10", "PEXPIREAT k 1700000010000", IDEMPOTENT},
    {"PEXPIRE k 10", "PEXPIREAT k 1700000000010", IDEMPOTENT},
    {"EXPIREAT k 1800000000", "PEXPIREAT k 1800000000000", IDEMPOTENT},
    {"EXPIRE k 10 GT", "PEXPIREAT k 1700000010000 GT", ONCE},
    {"COPY a b REPLACE", "COPY a b REPLACE", ONCE},
    {"SHRINK a", "", IDEMPOTENT},
    {"RM 0 MATCH a*", "", IDEMPOTENT},
    {"SCRIPT FLUSH", "", IDEMPOTENT},
    {"SCRIPT LOAD return", NULL, IDEMPOTENT},
    {"PING", "", IDEMPOTENT},
    {"DFLYCLUSTER FLUSHSLOTS 0 1", "", IDEMPOTENT},
    {"SETEX k 10 v", "SET k v PXAT 1700000010000", IDEMPOTENT},
    {"PSETEX k 10 v", "SET k v PXAT 1700000000010", IDEMPOTENT},
    {"GETEX k EX 10", "PEXPIREAT k 1700000010000", IDEMPOTENT},
    {"GETEX k PERSIST", "PERSIST k", IDEMPOTENT},
    {"GETEX k", "", IDEMPOTENT},
    {"GAT k", "", IDEMPOTENT},
    {"MSETNX a 1 b 2", NULL, ONCE},
    {"BITOP AND d a b", NULL, ONCE},
    {"PFMERGE d a b", NULL, ONCE},
    {"LMOVE a b LEFT RIGHT", NULL, ONCE},
    {"RPOPLPUSH a b", NULL, ONCE},
    {"BLMOVE a b LEFT RIGHT 0", "LMOVE a b LEFT RIGHT", ONCE},
    {"BRPOPLPUSH a b 0", "RPOPLPUSH a b", ONCE},
    {"BLPOP a 0", "LPOP a", ONCE},
    {"BRPOP a b 0", "EVAL <script> 2 a b RPOP", ONCE},
    {"LMPOP 1 a LEFT COUNT 3", "LPOP a 3", ONCE},
    {"BLMPOP 0 2 a b RIGHT", "EVAL <script> 2 a b RPOP", ONCE},
    {"SADDEX sx 120 m1 m2", "SADD sx m1 m2", IDEMPOTENT},
    {"SPOP s", "", IDEMPOTENT},
    {"SMOVE a b m", NULL, ONCE},
    {"SDIFFSTORE d a b", NULL, ONCE},
    {"SINTERSTORE d a b", NULL, ONCE},
    {"SUNIONSTORE d a b", NULL, ONCE},
    {"BZPOPMIN a 0", "ZPOPMIN a", ONCE},
    {"BZPOPMAX a 0", "ZPOPMAX a", ONCE},
    {"ZMPOP 2 a b MIN COUNT 2", "EVAL <script> 2 a b ZPOPMIN 2", ONCE},
    {"BZMPOP 0 1 a MAX", "ZPOPMAX a", ONCE},
    {"ZRANGESTORE d a 0 -1", NULL, ONCE},
    {"ZUNIONSTORE d 2 a b WEIGHTS 1 2", NULL, ONCE},
    {"ZINTERSTORE d 2 a b", NULL, ONCE},
    {"ZDIFFSTORE d 2 a b", NULL, ONCE},
    {"XREADGROUP GROUP g c STREAMS s >", "", IDEMPOTENT},
};

static void every_journaled_command_is_in_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof journaled / sizeof *journaled; i++) {
        const struct command *c = command_find(slice_str(journaled[i]));
        if (!c)
            fail_msg("%s", journaled[i]);
        assert_string_equal(c->name, journaled[i]);
    }
}

static void names_are_found_in_any_case_and_whole_only(void **state)
{
    (void)state;
    const struct command *set = command_find(slice_str("SET"));
    assert_non_null(set);
    assert_ptr_equal(command_find(slice_str("set")), set);
    assert_ptr_equal(command_find(slice_str("sEt")), set);
    assert_null(command_find(slice_str("SE")));
    assert_null(command_find(slice_str("SETS")));
    assert_null(command_find(slice_str("")));
    assert_null(command_find(slice_str("3ET"))); /* the hash tells it from "SET", or the comparison does */
    assert_null(command_find(slice_str("JSON\x0eSET")));
    assert_null(command_find(slice_of("SET\0", 4)));
    assert_null(command_find(slice_str("a name much longer than that of any command there is")));
}

static void only_flushes_are_global(void **state)
{
    (void)state;
    const struct command *tables[] = {command_table, command_table_modules};
    for (size_t i = 0; i < 2; i++)
        for (const struct command *c = tables[i]; c->name; c++)
            assert_int_equal(command_is_global(c),
                             strcmp(c->name, "FLUSHALL") == 0 || strcmp(c->name, "FLUSHDB") == 0);
    assert_false(command_is_global(NULL));
}

static void every_row_becomes_what_is_expected(void **state)
{
    (void)state;
    struct translate_case c;
    case_open(&c, case_modern_target());
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        case_expect(&c, lines[i].in, lines[i].out ? lines[i].out : lines[i].in, lines[i].once);
    case_close(&c);
}

static void every_row_has_a_line_here(void **state)
{
    (void)state;
    const struct command *tables[] = {command_table, command_table_modules};
    for (size_t i = 0; i < 2; i++)
        for (const struct command *c = tables[i]; c->name; c++) {
            size_t n = strlen(c->name), k = 0, count = sizeof lines / sizeof *lines;
            while (k < count && !(strncmp(lines[k].in, c->name, n) == 0 && strchr(" ", lines[k].in[n])))
                k++;
            if (k == count && c->class != COMMAND_GLOBAL && strcmp(c->name, "RESTORE") != 0)
                fail_msg("%s", c->name); /* RESTORE: test_rewrite_restore.c */
        }
}

/* The journal comes from outside: any number of any arguments may follow a known name. */
static void odd_arguments_do_no_harm(void **state)
{
    (void)state;
    static const char *const words[] = {
        "",     "1",      "-1",      "STORE",  "FIELDS", "9999999999999999999",
        "EX",   "PXAT",   "LEFT",    "MINID",  "DB",     "9223372036854775807",
        "NX",   "COUNT",  "KEEPTTL", "ABSTTL", "=",      "ENTRIESREAD",
        "IFEQ", "MAXLEN", "2",       "$",      "SET",    "DD"};
    const size_t word_count = sizeof words / sizeof *words;
    struct capabilities targets[] = {case_modern_target(), case_redis_6(true), case_redis_6(false), {0}};
    const struct command *tables[] = {command_table, command_table_modules};
    uint64_t random = 1;
    for (size_t target = 0; target < sizeof targets / sizeof *targets; target++) {
        struct translate_case c;
        case_open(&c, targets[target]);
        if (target % 2)
            case_set(&c, "exclude", "[A-Z]*");
        for (size_t i = 0; i < 2; i++)
            for (const struct command *row = tables[i]; row->name; row++)
                for (size_t round = 0; round < 100; round++) {
                    struct slice argv[10] = {slice_str(row->name)};
                    size_t argc = 1 + round % 10;
                    for (size_t k = 1; k < argc; k++) {
                        random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
                        argv[k] = slice_str(words[(random >> 33) % word_count]);
                    }
                    bool ok = case_run(&c, argv, argc);
                    assert_int_equal(ok, row->class != COMMAND_GLOBAL);
                    case_show(&c); /* whole commands only */
                }
        case_close(&c);
    }
}

static void a_command_without_name_is_an_error(void **state)
{
    (void)state;
    struct translate_case c;
    case_open(&c, case_modern_target());
    assert_false(case_run(&c, NULL, 0));
    assert_int_equal(c.error.class, ERROR_FATAL);
    case_close(&c);
}

static void unknown_commands_are_reported_by_a_printable_name(void **state)
{
    (void)state;
    struct translate_case c;
    case_open(&c, case_modern_target());
    case_expect(&c, "NEWCMD key x", "", false);
    case_expect_reports(&c, "command_not_known NEWCMD key\n");
    case_expect(&c,
                "\x01\xff"
                "A B",
                "", false);
    case_expect_reports(&c, "command_not_known \\x01\\xffA B\n");
    char name[4096];
    memset(name, 1, sizeof name);
    struct slice argv[] = {slice_of(name, sizeof name)};
    assert_true(case_run(&c, argv, 1));
    assert_true(c.reports.len < 128);
    case_close(&c);
}

static void commands_that_lack_arguments_are_lost_by_the_source(void **state)
{
    (void)state;
    struct translate_case c;
    case_open(&c, case_modern_target());
    case_expect(&c, "GEORADIUS gs", "", false);
    case_expect_reports(&c, "lost_by_source GEORADIUS gs\n");
    case_expect(&c, "LMPOP l1", "", false); /* v1.30, across shards */
    case_expect_reports(&c, "lost_by_source LMPOP l1\n");
    case_expect(&c, "ZUNIONSTORE zu z2", "", false);
    case_expect_reports(&c, "lost_by_source ZUNIONSTORE zu\n");
    case_expect(&c, "HSET h", "", false);
    case_expect_reports(&c, "lost_by_source HSET h\n");
    case_expect(&c, "INCR k extra", "", false);
    case_expect_reports(&c, "lost_by_source INCR k\n");
    case_close(&c);
}

static void module_commands_are_reported_where_the_module_is_missing(void **state)
{
    (void)state;
    struct translate_case c;
    case_open(&c, case_redis_6(true));
    static const char *const in[] = {"JSON.SET j $ 1",  "JSON.MSET j $ 1", "BF.ADD j x",
                                     "CF.ADD j x",      "TOPK.ADD j x",    "CL.THROTTLE j 15 30 60",
                                     "CMS.INCRBY j x 1"};
    for (size_t i = 0; i < sizeof in / sizeof *in; i++) {
        char expected[64];
        case_expect(&c, in[i], "", false);
        snprintf(expected, sizeof expected, "command_not_in_target %.*s j\n", (int)strcspn(in[i], " "),
                 in[i]);
        case_expect_reports(&c, expected);
    }
    case_expect(&c, "FT.CREATE i SCHEMA t TEXT", "", false);
    case_expect_reports(&c, "search_index_not_in_target FT.CREATE \n");
    case_close(&c);
}

static size_t keys_of(const char *line, size_t *positions, size_t max)
{
    struct slice argv[CASE_MAX_WORDS];
    struct entry e = {.argv = argv, .argc = case_words(line, argv)};
    const struct command *c = command_find(argv[0]);
    assert_non_null(c);
    return command_keys(c, &e, positions, max);
}

static void key_positions_are_right(void **state)
{
    (void)state;
    size_t at[4];
    assert_int_equal(keys_of("SET k v", at, 4), 1);
    assert_int_equal(at[0], 1);
    assert_int_equal(keys_of("MSET a 1 b 2 c 3", at, 4), 3);
    assert_int_equal(at[2], 5);
    assert_int_equal(keys_of("MSET a 1 b 2 c 3 d 4 e 5", at, 2), 5); /* counts on beyond the room */
    assert_int_equal(keys_of("DEL a b c", at, 4), 3);
    assert_int_equal(keys_of("BITOP AND d a b", at, 4), 3);
    assert_int_equal(at[0], 2);
    assert_int_equal(keys_of("ZUNIONSTORE d 2 a b WEIGHTS 1 2", at, 4), 3);
    assert_int_equal(at[0], 1);
    assert_int_equal(at[1], 3);
    assert_int_equal(at[2], 4);
    assert_int_equal(keys_of("LMPOP 2 a b LEFT", at, 4), 2);
    assert_int_equal(at[0], 2);
    assert_int_equal(keys_of("BLMPOP 0 1 a LEFT", at, 4), 1);
    assert_int_equal(at[0], 3);
    assert_int_equal(keys_of("BLPOP a b 0", at, 4), 2);
    assert_int_equal(keys_of("XGROUP CREATE s g 0", at, 4), 1);
    assert_int_equal(at[0], 2);
    assert_int_equal(keys_of("JSON.MSET a $ 1 b $ 2", at, 4), 2);
    assert_int_equal(at[1], 4);
    assert_int_equal(keys_of("FT.CREATE i SCHEMA t TEXT", at, 4), 0);
    assert_int_equal(keys_of("LMPOP 18446744073709551615 a", at, 4), 1); /* no more than there are */
    assert_int_equal(keys_of("SET", at, 4), 0);
    assert_int_equal(keys_of("BLPOP", at, 4), 0);
}

static void the_matrix_has_a_line_for_every_row(void **state)
{
    (void)state;
    for (int mdoc = 0; mdoc < 2; mdoc++) {
        char *text = NULL;
        size_t bytes = 0, lines_printed = 0, rows = 0;
        FILE *out = open_memstream(&text, &bytes);
        commands_print(out, mdoc);
        fclose(out);
        for (const char *p = text; (p = strchr(p, '\n')); p++)
            lines_printed++;
        for (const struct command *c = command_table; c->name; c++)
            rows++;
        for (const struct command *c = command_table_modules; c->name; c++)
            rows++;
        assert_int_equal(lines_printed, rows);
        assert_non_null(
            strstr(text, mdoc ? ".It Ic ZREM Ta \"once\" Ta \"-\" Ta \"passed on as it is\"\n" : "ZREM"));
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_journaled_command_is_in_the_table),
        cmocka_unit_test(names_are_found_in_any_case_and_whole_only),
        cmocka_unit_test(only_flushes_are_global),
        cmocka_unit_test(every_row_becomes_what_is_expected),
        cmocka_unit_test(every_row_has_a_line_here),
        cmocka_unit_test(odd_arguments_do_no_harm),
        cmocka_unit_test(a_command_without_name_is_an_error),
        cmocka_unit_test(unknown_commands_are_reported_by_a_printable_name),
        cmocka_unit_test(commands_that_lack_arguments_are_lost_by_the_source),
        cmocka_unit_test(module_commands_are_reported_where_the_module_is_missing),
        cmocka_unit_test(key_positions_are_right),
        cmocka_unit_test(the_matrix_has_a_line_for_every_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
