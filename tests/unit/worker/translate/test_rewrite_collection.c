/* Hashes, sets, lists, streams, SORT: what becomes of their commands on this target and that. */
#include "tests/support/translate_case.h"

static int open_modern(void **state)
{
    struct translate_case *c = x_malloc(sizeof *c);
    case_open(c, case_modern_target());
    *state = c;
    return 0;
}

static int open_redis_6_0(void **state)
{
    struct translate_case *c = x_malloc(sizeof *c);
    case_open(c, case_redis_6(false));
    *state = c;
    return 0;
}

static int open_redis_6_2(void **state)
{
    struct translate_case *c = x_malloc(sizeof *c);
    case_open(c, case_redis_6(true));
    *state = c;
    return 0;
}

static int close_case(void **state)
{
    case_close(*state);
    free(*state);
    return 0;
}

static void hsetex_in_both_spellings(void **state)
{
    struct translate_case *c = *state;
    case_expect(c, "HSETEX h 10 f v g w", "HSET h f v g w | HPEXPIREAT h 1700000010000 FIELDS 2 f g", false);
    case_expect(c, "HSETEX h EX 10 FIELDS 1 f v", "HSET h f v | HPEXPIREAT h 1700000010000 FIELDS 1 f",
                false);
    case_expect(c, "HSETEX h PXAT 1800000000000 FIELDS 1 f v",
                "HSET h f v | HPEXPIREAT h 1800000000000 FIELDS 1 f", false);
    case_expect(c, "HSETEX h FIELDS 2 f v g w", "HSET h f v g w", false);
    case_expect(c, "HSETEX h NX 10 f v", "EVAL <script> 1 h NX 0 1700000010000 f v", true);
    case_expect(c, "HSETEX h KEEPTTL 10 f v", "EVAL <script> 1 h '' 1 1700000010000 f v", true);
    case_expect(c, "HSETEX h fnx EX 10 FIELDS 1 f v", "EVAL <script> 1 h FNX 0 1700000010000 f v", true);
    case_expect(c, "HSETEX h FXX KEEPTTL FIELDS 1 f v", "EVAL <script> 1 h FXX 1 '' f v", true);
    case_expect_reports(c, "");
}

static void broken_hsetex_is_reported(void **state)
{
    struct translate_case *c = *state;
    static const char *const in[] = {"HSETEX h 10 f v g",           "HSETEX h EX 10 f v",
                                     "HSETEX h EX 10 FIELDS 2 f v", "HSETEX h FIELDS 1 f v g",
                                     "HSETEX h FNX KEEPTTL x",      "HSETEX h FIELDS 0 f v"};
    for (size_t i = 0; i < sizeof in / sizeof *in; i++) {
        case_expect(c, in[i], "", false);
        case_expect_reports(c, "command_not_known HSETEX h\n");
    }
}

static void targets_without_field_ttl_get_the_value_and_the_loss_is_reported(void **state)
{
    struct translate_case *c = *state;
    case_expect(c, "HSETEX h 10 f v", "HSET h f v", false);
    case_expect_reports(c, "hash_field_ttl_lost HSETEX h\n");
    case_expect(c, "HSETEX h NX 10 f v", "EVAL <script> 1 h NX 0 '' f v", true);
    case_expect_reports(c, "hash_field_ttl_lost HSETEX h\n");
    case_expect(c, "HSETEX h KEEPTTL FIELDS 1 f v", "HSET h f v", false);
    case_expect_reports(c, "");
    case_expect(c, "FIELDEXPIRE h 10 f", "", false);
    case_expect_reports(c, "hash_field_ttl_lost FIELDEXPIRE h\n");
    case_expect(c, "HEXPIRE h 10 FIELDS 1 f", "", false);
    case_expect_reports(c, "hash_field_ttl_lost HEXPIRE h\n");
    case_expect(c, "HEXPIRE h 0 FIELDS 2 f g", "HDEL h f g", true);
    case_expect_reports(c, "");
    case_expect(c, "HGETEX h EX 10 FIELDS 1 f", "", false);
    case_expect_reports(c, "hash_field_ttl_lost HGETEX h\n");
    case_expect(c, "HGETEX h PERSIST FIELDS 1 f", "", false);
    case_expect_reports(c, "");
}

static void field_times_keep_their_flags_and_fields(void **state)
{
    struct translate_case *c = *state;
    case_expect(c, "HEXPIRE h 10 NX FIELDS 2 f g", "HPEXPIREAT h 1700000010000 NX FIELDS 2 f g", true);
    case_expect(c, "FIELDEXPIRE h 10 f g", "HPEXPIREAT h 1700000010000 FIELDS 2 f g", false);
    case_expect(c, "HGETEX h PERSIST FIELDS 2 f g", "HPERSIST h FIELDS 2 f g", false);
    case_expect(c, "HGETEX h PXAT 1600000000000 FIELDS 1 f", "HDEL h f", true);
    case_expect(c, "HGETEX h FIELDS 1 f", "", false);
    case_expect_reports(c, "");
    case_expect(c, "HEXPIRE h 10 FIELDS 3 f g", "", false);
    case_expect_reports(c, "lost_by_source HEXPIRE h\n");
    case_expect(c, "HGETEX h EX 10 FIELDS x f", "", false);
    case_expect_reports(c, "lost_by_source HGETEX h\n");
}

static void lost_member_times_are_reported(void **state)
{
    struct translate_case *c = *state;
    case_expect(c, "SADDEX s 10 a b", "SADD s a b", false);
    case_expect_reports(c, "set_member_ttl_lost SADDEX s\n");
    case_expect(c, "SADDEX s KEEPTTL 10 a", "SADD s a", false);
    case_expect_reports(c, "set_member_ttl_lost SADDEX s\n");
    case_expect(c, "SADDEX s KEEPTTL 10", "", false);
    case_expect_reports(c, "lost_by_source SADDEX s\n");
}

static void what_the_master_lost_is_reported(void **state)
{
    struct translate_case *c = *state;
    c->txid = 40;
    case_expect(c, "SORT l1", "", false);
    case_expect_reports(c, "lost_by_source SORT l1\n");
    case_expect(c, "GEORADIUS g1", "", false);
    case_expect_reports(c, "lost_by_source GEORADIUS g1\n");
    case_expect(c, "GEORADIUSBYMEMBER gsd", "", false);
    case_expect_reports(c, "lost_by_source GEORADIUSBYMEMBER gsd\n");
    case_expect(c, "SPOP s", "", false);
    case_expect_reports(c, "lost_by_source SPOP s\n");
    case_expect(c, "GAT k", "", false);
    case_expect_reports(c, "lost_by_source GAT k\n");
    case_expect(c, "SORT l1 STORE", "", false);
    case_expect_reports(c, "lost_by_source SORT l1\n");
}

static void reads_that_the_master_journals_are_dropped(void **state)
{
    struct translate_case *c = *state;
    case_expect(c, "SORT l1", "", false);
    case_expect(c, "SORT l1 BY STORE GET STORE LIMIT 0 STORE", "", false);
    case_expect(c, "GEORADIUS g 1 2 3 km WITHDIST COUNT 3 ASC", "", false);
    case_expect(c, "GEORADIUSBYMEMBER g STORE 3 km", "", false);
    case_expect_reports(c, "");
    case_expect(c, "GEORADIUSBYMEMBER g STORE 3 km STORE d",
                "EVAL <script> 2 g d GEORADIUSBYMEMBER g STORE 3 km STORE d", true);
    case_expect(c, "SORT l BY w_* DESC STORE d", "EVAL <script> 2 l d SORT l BY w_* DESC STORE d", true);
}

static void dragonflys_own_layouts_are_reported(void **state)
{
    struct translate_case *c = *state;
    case_expect(c, "BF.LOADCHUNK b 1 data", "", false);
    case_expect_reports(c, "command_not_in_target BF.LOADCHUNK b\n");
    case_expect(c, "DFLYCLUSTER FLUSHSLOTS 0 1", "", false);
    case_expect_reports(c, "command_not_in_target DFLYCLUSTER \n");
    case_expect(c, "FT.DROPINDEX i DD", "FT._DROPINDEXIFX i DD", true);
    case_expect_reports(c, "search_index_not_in_target FT.DROPINDEX \n");
    c->target.search_again = false;
    case_expect(c, "FT.CREATE i SCHEMA t TEXT", "FT.CREATE i SCHEMA t TEXT", false);
}

static void pops_of_several_keys_take_counts_along(void **state)
{
    struct translate_case *c = *state;
    case_expect(c, "LMPOP 2 a b RIGHT COUNT 5", "EVAL <script> 2 a b RPOP 5", true);
    case_expect(c, "BZMPOP 0 1 a MIN COUNT 5", "ZPOPMIN a 5", true);
    case_expect(c, "LMPOP 9 a b RIGHT", "", false);
    case_expect_reports(c, "lost_by_source LMPOP a\n");
    case_expect(c, "LMPOP 0 a RIGHT", "", false);
    case_expect_reports(c, "lost_by_source LMPOP a\n");
}

static void lists_are_moved_by_a_script_before_6_2(void **state)
{
    struct translate_case *c = *state;
    case_expect(c, "LMOVE a b LEFT RIGHT", "EVAL <script> 2 a b LEFT RIGHT", true);
    case_expect(c, "BLMOVE a b LEFT RIGHT 0", "EVAL <script> 2 a b LEFT RIGHT", true);
    case_expect(c, "RPOPLPUSH a b", "RPOPLPUSH a b", true);
    case_expect_reports(c, "");
    c->target.scripts = false;
    case_expect(c, "LMOVE a b LEFT RIGHT", "", false);
    case_expect_reports(c, "command_not_in_target LMOVE a\n");
}

static void whole_documents_take_the_place_of_anything(void **state)
{
    struct translate_case *c = *state;
    c->target.json = c->target.scripts = true;
    case_expect(c, "JSON.SET j $ 1", "EVAL <script> 1 j $ 1", false);
    c->target.scripts = false;
    case_expect(c, "JSON.SET j $ 1", "DEL j | JSON.SET j $ 1", false);
    c->target.scripts = true;
    output_by_slot_for_tests(c->translator.out); /* no script there may write again what it has deleted */
    case_expect(c, "JSON.SET j . 1", "DEL j | JSON.SET j . 1", true);
    case_expect(c, "JSON.SET j $.a 1", "JSON.SET j $.a 1", true);
    case_expect_reports(c, "");
}

static void counted_pops_are_trims_before_6_2(void **state)
{
    struct translate_case *c = *state;
    case_expect(c, "LPOP l", "LPOP l", true);
    case_expect(c, "LPOP l 3", "LTRIM l 3 -1", true);
    case_expect(c, "RPOP l 3", "LTRIM l 0 -4", true);
    case_expect(c, "RPOP l 0", "LTRIM l 0 -1", true);
    case_expect_reports(c, "");
    case_expect(c, "LPOP l -1", "", false);
    case_expect_reports(c, "lost_by_source LPOP l\n");
}

static void stream_options_are_left_out_before_6_2(void **state)
{
    struct translate_case *c = *state;
    case_expect(c, "XADD s NOMKSTREAM 1-1 f v", "XADD s 1-1 f v", false);
    case_expect(c, "XADD s MAXLEN 0 NOMKSTREAM 1-1 f v", "XADD s MAXLEN 0 1-1 f v", false);
    case_expect(c, "XADD s MAXLEN = 0 1-1 f v", "XADD s MAXLEN = 0 1-1 f v", false);
    case_expect(c, "XADD s 1-1 NOMKSTREAM v", "XADD s 1-1 NOMKSTREAM v", false);
    case_expect_reports(c, "");
    case_expect(c, "XADD s MINID 1-0 NOMKSTREAM 1-1 f v", "XADD s 1-1 f v", false);
    case_expect_reports(c, "stream_detail_lost XADD s\n");
    case_expect(c, "XADD s MINID = 1-0 1-1 f v", "XADD s 1-1 f v", false);
    case_expect_reports(c, "stream_detail_lost XADD s\n");
    case_expect(c, "XTRIM s MINID 1-0", "", false);
    case_expect_reports(c, "stream_detail_lost XTRIM s\n");
    case_expect(c, "XTRIM s MAXLEN 0", "XTRIM s MAXLEN 0", true);
    case_expect(c, "XGROUP CREATECONSUMER s g c", "", false);
    case_expect_reports(c, "");
    case_expect(c, "XAUTOCLAIM s g c 0 0", "", false);
    case_expect_reports(c, "command_not_in_target XAUTOCLAIM s\n");
    case_expect(c, "COPY a b", "", false);
    case_expect_reports(c, "command_not_in_target COPY b\n");
}

static void stream_options_are_left_out_before_7_0(void **state)
{
    struct translate_case *c = *state;
    case_expect(c, "XGROUP SETID s g 1-1 ENTRIESREAD 2", "XGROUP SETID s g 1-1", true);
    case_expect(c, "XGROUP CREATE s g $ MKSTREAM ENTRIESREAD 2", "XGROUP CREATE s g $ MKSTREAM", true);
    case_expect(c, "XGROUP CREATECONSUMER s g ENTRIESREAD", "XGROUP CREATECONSUMER s g ENTRIESREAD", true);
    case_expect(c, "XSETID s 5-0 ENTRIESADDED 3", "XSETID s 5-0", true);
    case_expect(c, "XADD s MINID 1-0 NOMKSTREAM 1-1 f v", "XADD s MINID 1-0 NOMKSTREAM 1-1 f v", false);
    case_expect_reports(c, "");
}

/* Words in a RESP stream of commands: how many commands, arguments, and the most of one. */
static void count_arguments(const struct buf *resp, size_t *commands, size_t *arguments, size_t *most)
{
    *commands = *arguments = *most = 0;
    for (size_t at = 0; at < resp->len; (*commands)++) {
        char *p = (char *)resp->data + at;
        size_t n = strtoul(p + 1, &p, 10);
        p += 2;
        *arguments += n;
        *most = n > *most ? n : *most;
        for (; n; n--) {
            size_t len = strtoul(p + 1, &p, 10);
            p += 2 + len + 2;
        }
        at = (size_t)(p - (char *)resp->data);
    }
}

static void commands_too_large_for_redis_are_cut(void **state)
{
    struct translate_case *c = *state;
    static const struct {
        const char *line;
        size_t together;
        bool once;
    } in[] = {{"SADD k", 1, false},      {"HSET k", 2, false},      {"ZADD k", 2, false},
              {"ZADD k NX CH", 2, true}, {"GEOADD k CH", 3, false}, {"DEL", 1, false},
              {"MSET", 2, false},        {"RPUSH k", 1, true},      {"XACK k g", 1, false}};
    enum { MANY = 180000 };
    struct slice *argv = x_calloc(MANY + 8, sizeof *argv);
    for (size_t i = 0; i < sizeof in / sizeof *in; i++) {
        size_t commands, arguments, most, head = case_words(in[i].line, argv), argc = head;
        for (size_t k = 0; k < MANY; k++)
            argv[argc++] = slice_str("1");
        assert_true(case_run(c, argv, argc));
        buf_put_u8(&c->resp, 0);
        c->resp.len--;
        count_arguments(&c->resp, &commands, &arguments, &most);
        commands -= i == 0; /* SELECT */
        arguments -= i == 0 ? 2 : 0;
        assert_int_equal(commands, 3);
        assert_int_equal(arguments, 3 * head + MANY);
        assert_true(most <= 65536);
        assert_int_equal(c->once, in[i].once);
        case_expect_reports(c, "");
    }
    case_words("HSET k", argv);
    assert_true(case_run(c, argv, MANY + 1)); /* a field without value */
    case_expect_reports(c, "lost_by_source HSET k\n");
    free(argv);
}

static void commands_of_many_bytes_are_cut_too(void **state)
{
    struct translate_case *c = *state;
    size_t bytes = 40 << 20, commands, arguments, most;
    char *large = x_calloc(bytes, 1);
    struct slice argv[] = {slice_str("RPUSH"), slice_str("k"), slice_of(large, bytes), slice_of(large, bytes),
                           slice_str("x")};
    assert_true(case_run(c, argv, 5));
    buf_put_u8(&c->resp, 0);
    c->resp.len--;
    count_arguments(&c->resp, &commands, &arguments, &most);
    assert_int_equal(commands, 3); /* SELECT, two, one */
    assert_int_equal(most, 4);
    free(large);
}

static void arguments_too_large_for_the_target_are_reported(void **state)
{
    struct translate_case *c = *state;
    c->target.max_bulk_bytes = 6;
    case_expect(c, "SET k 123456", "SET k 123456", false);
    case_expect(c, "SET k 1234567", "DEL k", false); /* nothing older stays */
    case_expect_reports(c, "too_large_for_target SET k\n");
    case_expect(c, "SETEX k 5 1234567", "DEL k", false);
    case_expect_reports(c, "too_large_for_target SETEX k\n");
    case_expect(c, "GETSET k 1234567", "DEL k", false);
    case_expect_reports(c, "too_large_for_target GETSET k\n");
    case_expect(c, "SADD k a 1234567 b c", "SADD k a | SADD k b c", false);
    case_expect_reports(c, "too_large_for_target SADD k\n");
    case_expect(c, "HSET k a 1 b 1234567", "HSET k a 1", false);
    case_expect_reports(c, "too_large_for_target HSET k\n");
    case_expect(c, "DEL k l m", "DEL k l m", false);
    case_expect(c, "DEL 1234567", "", false);
    case_expect_reports(c, "too_large_for_target DEL 1234567\n");
}

static void large_values_of_an_mset_are_left_out_alone(void **state)
{
    struct translate_case *c = *state;
    c->target.max_bulk_bytes = 4;
    case_expect(c, "MSET a 1 b 12345 c 3", "MSET a 1 | DEL b | MSET c 3", false);
    case_expect_reports(c, "too_large_for_target MSET b\n");
}

/* Cut where it can be, so that each part fits. */
static void commands_too_large_for_the_query_buffer_are_cut_or_reported(void **state)
{
    struct translate_case *c = *state;
    c->target.query_bytes = 400;
    char line[400] = "SADD k", *at = line + strlen(line);
    for (int i = 0; i < 20; i++)
        at += snprintf(at, (size_t)(line + sizeof line - at), " member%02d", i);
    struct slice argv[CASE_MAX_WORDS];
    size_t argc = case_words(line, argv), commands, arguments, most;
    assert_true(case_run(c, argv, argc));
    buf_put_u8(&c->resp, 0);
    c->resp.len--;
    count_arguments(&c->resp, &commands, &arguments, &most);
    assert_int_equal(arguments, 2 + 2 * (commands - 1) + 20); /* SELECT */
    assert_true(most < 12);
    case_expect_reports(c, "");
    memset(line + 7, 'x', 300);
    line[307] = '\0';
    case_expect(c, line, "", false);
    case_expect_reports(c, "too_large_for_target SADD k\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(hsetex_in_both_spellings, open_modern, close_case),
        cmocka_unit_test_setup_teardown(broken_hsetex_is_reported, open_modern, close_case),
        cmocka_unit_test_setup_teardown(targets_without_field_ttl_get_the_value_and_the_loss_is_reported,
                                        open_redis_6_2, close_case),
        cmocka_unit_test_setup_teardown(field_times_keep_their_flags_and_fields, open_modern, close_case),
        cmocka_unit_test_setup_teardown(lost_member_times_are_reported, open_modern, close_case),
        cmocka_unit_test_setup_teardown(what_the_master_lost_is_reported, open_modern, close_case),
        cmocka_unit_test_setup_teardown(reads_that_the_master_journals_are_dropped, open_modern, close_case),
        cmocka_unit_test_setup_teardown(dragonflys_own_layouts_are_reported, open_modern, close_case),
        cmocka_unit_test_setup_teardown(pops_of_several_keys_take_counts_along, open_modern, close_case),
        cmocka_unit_test_setup_teardown(commands_too_large_for_redis_are_cut, open_modern, close_case),
        cmocka_unit_test_setup_teardown(commands_of_many_bytes_are_cut_too, open_modern, close_case),
        cmocka_unit_test_setup_teardown(large_values_of_an_mset_are_left_out_alone, open_modern, close_case),
        cmocka_unit_test_setup_teardown(commands_too_large_for_the_query_buffer_are_cut_or_reported,
                                        open_modern, close_case),
        cmocka_unit_test_setup_teardown(arguments_too_large_for_the_target_are_reported, open_modern,
                                        close_case),
        cmocka_unit_test_setup_teardown(lists_are_moved_by_a_script_before_6_2, open_redis_6_0, close_case),
        cmocka_unit_test_setup_teardown(whole_documents_take_the_place_of_anything, open_redis_6_0,
                                        close_case),
        cmocka_unit_test_setup_teardown(counted_pops_are_trims_before_6_2, open_redis_6_0, close_case),
        cmocka_unit_test_setup_teardown(stream_options_are_left_out_before_6_2, open_redis_6_0, close_case),
        cmocka_unit_test_setup_teardown(stream_options_are_left_out_before_7_0, open_redis_6_2, close_case),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
