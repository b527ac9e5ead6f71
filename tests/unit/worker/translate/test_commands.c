/* The table of commands: complete, found by name, proof against any arguments. */
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
        case_expect(&c, in[i], i < 2 ? "DEL j" : "", false); /* whole documents: no older value stays */
        snprintf(expected, sizeof expected, "command_not_in_target %.*s j\n", (int)strcspn(in[i], " "),
                 in[i]);
        case_expect_reports(&c, expected);
    }
    case_expect(&c, "JSON.SET j $.a 1", "", false);
    case_expect(&c, "JSON.SET j $ 1 NX", "", false);
    case_expect_reports(&c, "command_not_in_target JSON.SET j\n");
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

static void the_list_has_a_line_for_every_row(void **state)
{
    (void)state;
    char *text = NULL;
    size_t bytes = 0, lines_printed = 0, rows = 0;
    FILE *out = open_memstream(&text, &bytes);
    commands_print(out);
    fclose(out);
    for (const char *p = text; (p = strchr(p, '\n')); p++)
        lines_printed++;
    for (const struct command *c = command_table; c->name; c++)
        rows++;
    for (const struct command *c = command_table_modules; c->name; c++)
        rows++;
    assert_int_equal(lines_printed, rows);
    assert_non_null(strstr(text, "\nZREM               once       -            passed on as it is\n"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_journaled_command_is_in_the_table),
        cmocka_unit_test(names_are_found_in_any_case_and_whole_only),
        cmocka_unit_test(only_flushes_are_global),
        cmocka_unit_test(odd_arguments_do_no_harm),
        cmocka_unit_test(a_command_without_name_is_an_error),
        cmocka_unit_test(unknown_commands_are_reported_by_a_printable_name),
        cmocka_unit_test(commands_that_lack_arguments_are_lost_by_the_source),
        cmocka_unit_test(module_commands_are_reported_where_the_module_is_missing),
        cmocka_unit_test(key_positions_are_right),
        cmocka_unit_test(the_list_has_a_line_for_every_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
