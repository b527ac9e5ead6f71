/* Commands whose keys or databases are only partly wanted. */
#include "tests/support/translate_case.h"

/* Keys that begin with u are not wanted. */
static int open_filtered(void **state)
{
    struct translate_case *c = x_malloc(sizeof *c);
    case_open(c, case_modern_target());
    case_set(c, "exclude", "u*");
    *state = c;
    return 0;
}

static int close_case(void **state)
{
    case_close(*state);
    free(*state);
    return 0;
}

static void unwanted_keys_are_dropped_without_report(void **state)
{
    struct translate_case *c = *state;
    static const char *const in[] = {
        "SET u v",
        "INCRBYFLOAT u 1",
        "DEL u u2",
        "MSET u 1 u2 2",
        "JSON.MSET u $ 1",
        "XGROUP SETID u g 0",
        "RENAME u u2",
        "MOVE u 1",
        "ZUNIONSTORE u 1 k",
        "BITOP AND u a b",
        "SADDEX u 5 m",
        "SORT u STORE u2",
        "SORT k STORE u",
        "BLPOP u u2 0",
        "SPOP u",
        "COPY k u",
        "PFMERGE u a b",
        "GEORADIUS k 1 1 1 m STORE u",
        "LMOVE u u2 LEFT LEFT",
        "SORT u",
    };
    c->txid = 1;
    for (size_t i = 0; i < sizeof in / sizeof *in; i++) {
        case_expect(c, in[i], "", false);
        if (c->reports.len)
            fail_msg("%s: %.*s", in[i], (int)c->reports.len, (const char *)c->reports.data);
    }
}

static void wanted_keys_pass(void **state)
{
    struct translate_case *c = *state;
    case_expect(c, "SET k v", "SET k v", false);
    case_expect(c, "DEL k l", "DEL k l", false);
    case_expect(c, "ZUNIONSTORE d 2 a b", "ZUNIONSTORE d 2 a b", true);
    case_expect(c, "RENAME k l", "RENAME k l", true);
    case_expect(c, "BLPOP k l 0", "EVAL <script> 2 k l LPOP", true);
    case_expect(c, "FT.SYNUPDATE u g t s", "FT.SYNUPDATE u g t s", false); /* an index is no key */
    case_expect_reports(c, "");
}

static void commands_of_many_keys_are_split(void **state)
{
    struct translate_case *c = *state;
    case_expect(c, "DEL u1 a u2 b", "DEL a b", false);
    case_expect(c, "UNLINK a u2", "UNLINK a", false);
    case_expect(c, "MSET u1 1 a 2 u2 3 b 4", "MSET a 2 b 4", false);
    case_expect(c, "JSON.MSET a $ 1 u $ 2 b $ 3", "EVAL <script> 1 a $ 1 | EVAL <script> 1 b $ 3", false);
    case_expect_reports(c, "");
}

static void what_leaves_the_wanted_keys_is_taken_from_them(void **state)
{
    struct translate_case *c = *state;
    case_expect(c, "RENAME k u", "DEL k", false);
    case_expect(c, "RENAMENX k u", "DEL k", false);
    case_expect(c, "SMOVE k u m", "SREM k m", true);
    case_expect(c, "LMOVE k u LEFT RIGHT", "LPOP k", true);
    case_expect(c, "LMOVE k u RIGHT RIGHT", "RPOP k", true);
    case_expect(c, "RPOPLPUSH k u", "RPOP k", true);
    case_expect(c, "BRPOPLPUSH k u 0", "RPOP k", true);
    case_expect(c, "BLMOVE k u LEFT LEFT 0", "LPOP k", true);
    case_expect_reports(c, "");
}

static void what_comes_from_unwanted_keys_is_reported_with_the_wanted_one(void **state)
{
    struct translate_case *c = *state;
    static const char *const in[] = {"RENAME u k",          "COPY u k",
                                     "SMOVE u k m",         "LMOVE u k LEFT LEFT",
                                     "ZUNIONSTORE k 2 a u", "SUNIONSTORE k a u",
                                     "BITOP AND k a u",     "ZRANGESTORE k u 0 -1",
                                     "SORT u STORE k",      "GEORADIUS u 1 1 1 m STORE k",
                                     "PFMERGE k u",         "MSETNX k 1 u 2",
                                     "BLPOP u k 0",         "CMS.MERGE k 1 u"};
    for (size_t i = 0; i < sizeof in / sizeof *in; i++) {
        char expected[64];
        case_expect(c, in[i], "", false);
        snprintf(expected, sizeof expected, "command_crosses_filter %.*s k\n", (int)strcspn(in[i], " "),
                 in[i]);
        case_expect_reports(c, expected);
    }
}

static void many_keys_are_all_looked_at(void **state)
{
    struct translate_case *c = *state;
    case_expect(c, "SUNIONSTORE k a b c d e f g h i j u", "", false);
    case_expect_reports(c, "command_crosses_filter SUNIONSTORE k\n");
    case_expect(c, "SUNIONSTORE k a b c d e f g h i j l", "SUNIONSTORE k a b c d e f g h i j l", true);
}

static void moves_follow_the_map_of_databases(void **state)
{
    struct translate_case *c = *state;
    case_set(c, "db", "0:5");
    case_set(c, "db", "1:6");
    case_expect(c, "MOVE k 1", "[5] MOVE k 6", true);
    case_expect(c, "COPY k l DB 1 REPLACE", "COPY k l DB 6 REPLACE", true);
    case_expect(c, "COPY k l DB 0", "COPY k l", true);
    case_expect(c, "MOVE k 0", "", false); /* to where it is */
    case_expect_reports(c, "");
    case_expect(c, "COPY k l DB 9", "", false);
    case_expect_reports(c, "");
    case_expect(c, "MOVE k 9", "DEL k", false);
    case_expect_reports(c, "command_crosses_filter MOVE k\n");
    case_expect(c, "MOVE k 99999999999", "", false);
    case_expect_reports(c, "lost_by_source MOVE k\n");
    c->db = 9;
    case_expect(c, "MOVE k 1", "", false);
    case_expect_reports(c, "command_crosses_filter MOVE k\n");
    case_expect(c, "MOVE u 1", "", false);
    case_expect(c, "MOVE k 8", "", false);
    case_expect(c, "RENAME k l", "", false);
    case_expect(c, "MOVE k", "", false);
    case_expect_reports(c, "");
}

static void keys_with_the_names_of_the_marks_are_left_out_and_counted(void **state)
{
    struct translate_case *c = *state;
    static const struct {
        const char *in, *out, *reports;
        bool once;
    } cases[] = {
        {"SET df2redis:default v", "", "reserved_key SET df2redis:default\n", false},
        {"HDEL df2redis:default flow-0", "", "reserved_key HDEL df2redis:default\n", false},
        {"SET df2redis:default:{x} v", "", "reserved_key SET df2redis:default:{x}\n", false},
        {"DEL a df2redis:default b", "DEL a b", "reserved_key DEL df2redis:default\n", false},
        {"MSET df2redis:default 1 a 2", "MSET a 2", "reserved_key MSET df2redis:default\n", false},
        {"SORT k STORE df2redis:default", "", "reserved_key SORT df2redis:default\n", false},
        {"RENAME df2redis:default a", "",
         "reserved_key RENAME df2redis:default\ncommand_crosses_filter RENAME a\n", false},
        {"RENAME a df2redis:default", "DEL a", "reserved_key RENAME df2redis:default\n", false},
        /* Not keys, or others'. */
        {"SET a df2redis:default", "SET a df2redis:default", "", false},
        {"SADD a df2redis:default", "SADD a df2redis:default", "", false},
        {"SET df2redis:defaults v", "SET df2redis:defaults v", "", false},
        {"SET df2redis:other v", "SET df2redis:other v", "", false},
        {"SET df2redis: v", "SET df2redis: v", "", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        case_expect(c, cases[i].in, cases[i].out, cases[i].once);
        case_expect_reports(c, cases[i].reports);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(unwanted_keys_are_dropped_without_report, open_filtered, close_case),
        cmocka_unit_test_setup_teardown(wanted_keys_pass, open_filtered, close_case),
        cmocka_unit_test_setup_teardown(commands_of_many_keys_are_split, open_filtered, close_case),
        cmocka_unit_test_setup_teardown(what_leaves_the_wanted_keys_is_taken_from_them, open_filtered,
                                        close_case),
        cmocka_unit_test_setup_teardown(what_comes_from_unwanted_keys_is_reported_with_the_wanted_one,
                                        open_filtered, close_case),
        cmocka_unit_test_setup_teardown(many_keys_are_all_looked_at, open_filtered, close_case),
        cmocka_unit_test_setup_teardown(moves_follow_the_map_of_databases, open_filtered, close_case),
        cmocka_unit_test_setup_teardown(keys_with_the_names_of_the_marks_are_left_out_and_counted,
                                        open_filtered, close_case),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
