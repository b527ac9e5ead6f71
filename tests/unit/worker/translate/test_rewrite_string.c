/* String commands, and times to live. */
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

static int close_case(void **state)
{
    case_close(*state);
    free(*state);
    return 0;
}

static void options_that_redis_does_not_know_are_left_out(void **state)
{
    struct translate_case *c = *state;
    case_expect(c, "SET k v STICK", "SET k v", false);
    case_expect(c, "SET k v _MCFLAGS 42", "SET k v", false);
    case_expect(c, "set k v PXAT 1800000000000 STICK _MCFLAGS 42", "SET k v PXAT 1800000000000", false);
    case_expect(c, "SET k v KEEPTTL STICK", "SET k v KEEPTTL", false);
    case_expect(c, "SET k v NX GET", "SET k v", false);
    case_expect(c, "SET k _MCFLAGS", "SET k _MCFLAGS", false); /* a value */
    case_expect_reports(c, "");
}

static void an_option_that_is_not_known_is_reported(void **state)
{
    struct translate_case *c = *state;
    case_expect(c, "SET k v SOON", "", false);
    case_expect_reports(c, "command_not_known SET k\n");
    case_expect(c, "SET k v PXAT", "", false);
    case_expect_reports(c, "command_not_known SET k\n");
    case_expect(c, "SET k v PXAT x", "", false);
    case_expect_reports(c, "command_not_known SET k\n");
    case_expect(c, "SET k v _MCFLAGS", "", false);
    case_expect_reports(c, "command_not_known SET k\n");
}

static void relative_times_become_absolute(void **state)
{
    struct translate_case *c = *state;
    case_expect(c, "SET k v EX 5", "SET k v PXAT 1700000005000", false);
    case_expect(c, "SET k v PX 500", "SET k v PXAT 1700000000500", false);
    case_expect(c, "SET k v EXAT 1800000000", "SET k v PXAT 1800000000000", false);
    case_expect(c, "GETEX k PXAT 1800000000000", "PEXPIREAT k 1800000000000", false);
    case_expect(c, "PEXPIRE k 700 NX", "PEXPIREAT k 1700000000700 NX", true);
    case_expect_reports(c, "");
}

static void times_that_overflow_are_reported(void **state)
{
    struct translate_case *c = *state;
    static const char *const in[] = {"SETEX k 9223372036854775807 v",  "EXPIRE k 9223372036854775807",
                                     "EXPIREAT k 9223372036854775807", "PEXPIRE k 9223372036854775807",
                                     "PSETEX k 9223372036854775807 v", "EXPIRE k x"};
    for (size_t i = 0; i < sizeof in / sizeof *in; i++) {
        char expected[64];
        case_expect(c, in[i], "", false);
        snprintf(expected, sizeof expected, "lost_by_source %.*s k\n", (int)strcspn(in[i], " "), in[i]);
        case_expect_reports(c, expected);
    }
    case_expect(c, "SET k v EX 9223372036854775807", "", false);
    case_expect_reports(c, "command_not_known SET k\n");
}

/* With a target that lags, a deadline that is over may have been moved on a few entries later: the master
 * says DEL when not. */
static void a_deadline_that_is_over_is_put_off_until_the_stream_decides(void **state)
{
    struct translate_case *c = *state;
    case_expect(c, "PEXPIREAT k 1699999999999", "PEXPIREAT k 1700000600000", false);
    case_expect(c, "PEXPIREAT k 1700000000000", "PEXPIREAT k 1700000600000", false);
    c->translator.arrived_ms = CASE_NOW_MS - 30000;
    case_expect(c, "PEXPIREAT k 1699999980000", "PEXPIREAT k 1700000600000", false);
    c->translator.arrived_ms = 0;
    case_expect(c, "SET k v PXAT 1699999999000", "SET k v PXAT 1700000600000", false);
    case_expect(c, "PEXPIREAT k 1000", "DEL k", false); /* no lag: meant so */
    case_expect_reports(c, "");
}

/* GETEX with a past time is journaled so, and no DEL follows. But what was missed while the link was down may
 * have been written long before it came. */
static void a_deadline_that_was_over_when_it_came_deletes(void **state)
{
    struct translate_case *c = *state;
    c->translator.arrived_ms = CASE_NOW_MS - 30000;
    case_expect(c, "PEXPIREAT k 1699999960000", "DEL k", false);
    case_expect(c, "GETEX k PXAT 1699999960000", "DEL k", false);
    c->translator.late_ms = 60000;
    case_expect(c, "PEXPIREAT k 1699999960000", "PEXPIREAT k 1700000600000", false);
}

/* However long it has waited since. */
static void relative_times_count_from_arrival(void **state)
{
    struct translate_case *c = *state;
    c->translator.arrived_ms = CASE_NOW_MS - 10000;
    case_expect(c, "EXPIRE k 60", "PEXPIREAT k 1700000050000", false);
    case_expect(c, "SETEX k 60 v", "SET k v PXAT 1700000050000", false);
    case_expect(c, "GETEX k EX 60", "PEXPIREAT k 1700000050000", false);
    case_expect(c, "HEXPIRE h 60 FIELDS 1 f", "HPEXPIREAT h 1700000050000 FIELDS 1 f", false);
    case_expect(c, "HSETEX h 60 f v", "HSET h f v | HPEXPIREAT h 1700000050000 FIELDS 1 f", false);
    case_expect(c, "HGETEX h PXAT 1699999995000 FIELDS 1 f", "HPEXPIREAT h 1700000600000 FIELDS 1 f", false);
    case_expect(c, "HGETEX h PXAT 1699999990000 FIELDS 1 f", "HDEL h f", true);
}

static struct {
    char field[8];
    int64_t source_ms, target_ms;
    unsigned times;
} told;

static void note_told(void *arg, struct slice key, struct slice field, int64_t source_ms, int64_t target_ms)
{
    (void)arg;
    assert_true(slice_is(key, "h"));
    snprintf(told.field, sizeof told.field, "%.*s", (int)field.len, (const char *)field.data);
    told.source_ms = source_ms;
    told.target_ms = target_ms;
    told.times++;
}

static void assert_told(const char *field, int64_t source_ms, int64_t target_ms)
{
    assert_string_equal(told.field, field);
    assert_int_equal(told.source_ms - CASE_NOW_MS, source_ms);
    assert_int_equal(told.target_ms - CASE_NOW_MS, target_ms);
    assert_int_equal(told.times, 1);
    told.times = 0;
}

/* A time counts from arrival, also one that has passed since; then it is renewed. What may have expired is found
 * by what the field was told, not its key. */
static void what_is_told_of_a_field_is_noted_for_the_field(void **state)
{
    struct translate_case *c = *state;
    static const char *const words[] = {"HEXPIRE h %u FIELDS 1 f", "HSETEX h EX %u FIELDS 1 f v",
                                        "HGETEX h EX %u FIELDS 1 f", "FIELDEXPIRE h %u f"};
    struct slice argv[CASE_MAX_WORDS];
    char line[64];
    c->translator.told = note_told;
    c->translator.arrived_ms = CASE_NOW_MS - 10000;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        snprintf(line, sizeof line, words[i], 4);
        assert_true(case_run(c, argv, case_words(line, argv)));
        assert_told("f", -6000, 600000);
        snprintf(line, sizeof line, words[i], 60);
        assert_true(case_run(c, argv, case_words(line, argv)));
        assert_told("f", 50000, 50000);
    }
}

/* SET k v PX 5, PERSIST k: the key must live when PERSIST comes, however late both are. */
static void a_deadline_that_is_near_is_put_off_by_the_lag(void **state)
{
    struct translate_case *c = *state;
    case_expect(c, "PEXPIREAT k 1700000000001", "PEXPIREAT k 1700000000100", false);
    case_expect(c, "SET k v PX 5", "SET k v PXAT 1700000000100", false);
    case_expect(c, "PEXPIREAT k 1700000000101", "PEXPIREAT k 1700000000101", false);
    c->translator.lag_ms = 2000;
    case_expect(c, "PEXPIREAT k 1700000000101", "PEXPIREAT k 1700000004100", false);
    case_expect(c, "PEXPIREAT k 1700000004101", "PEXPIREAT k 1700000004101", false);
    case_expect(c, "PEXPIREAT k 1000", "DEL k", false);
    c->translator.lag_ms = UINT64_MAX;
    case_expect(c, "PEXPIREAT k 1700000000101", "PEXPIREAT k 1700000600100", false);
}

/* It keeps keys until the source's DEL comes. */
static void a_target_in_import_mode_is_told_what_the_source_was_told(void **state)
{
    struct translate_case *c = *state;
    c->target.import_mode = true;
    c->translator.lag_ms = 2000;
    c->translator.arrived_ms = CASE_NOW_MS - 2000;
    case_expect(c, "PEXPIREAT k 1699999999999", "PEXPIREAT k 1699999999999", false);
    case_expect(c, "SET k v PX 5", "SET k v PXAT 1699999998005", false);
    case_expect(c, "PEXPIREAT k 1699999960000", "DEL k", false);
}

/* The mode may end. */
static void in_import_mode_too_what_is_told_is_noted(void **state)
{
    struct translate_case *c = *state;
    c->target.import_mode = true;
    c->translator.told = note_told;
    case_expect(c, "PEXPIREAT h 1700000000005", "PEXPIREAT h 1700000000005", false);
    assert_told("", 5, 5);
}

static void targets_before_6_2_get_the_time_in_a_second_command(void **state)
{
    struct translate_case *c = *state;
    case_expect(c, "SET k v PXAT 1800000000000", "SET k v | PEXPIREAT k 1800000000000", false);
    case_expect(c, "SETEX k 1 v", "SET k v | PEXPIREAT k 1700000001000", false);
    case_expect(c, "PEXPIREAT k 1800000000000 GT", "", false);
    case_expect_reports(c, "command_not_in_target PEXPIREAT k\n");
}

static void bitfields_that_only_read_are_dropped(void **state)
{
    struct translate_case *c = *state;
    case_expect(c, "BITFIELD k GET u8 0 GET i5 3", "", false);
    case_expect(c, "BITFIELD k", "", false);
    case_expect(c, "BITFIELD k GET u8 0 SET u8 0 1", "BITFIELD k GET u8 0 SET u8 0 1", false);
    case_expect(c, "BITFIELD k OVERFLOW SAT INCRBY u8 0 1", "BITFIELD k OVERFLOW SAT INCRBY u8 0 1", true);
    case_expect_reports(c, "");
}

static void note_suspect(void *arg, uint32_t db, struct slice key, const char *reason, const char *command)
{
    (void)db;
    case_report(arg, reason, command, key, 1);
}

static void unsigned_field_that_an_old_release_wraps_wrong_is_suspect(void **state)
{
    struct translate_case *c = *state;
    static const char line[] = "BITFIELD b SET u8 0 255 INCRBY u4 4 3";
    c->translator.suspect = note_suspect;
    c->translator.source_release = 13003;
    case_expect(c, line, line, true);
    case_expect_reports(c, "done_differently BITFIELD b\n");
    case_expect(c, "BITFIELD b INCRBY i8 0 1", "BITFIELD b INCRBY i8 0 1", true);
    case_expect_reports(c, "");
    c->translator.source_release = 14001;
    case_expect(c, line, line, true);
    case_expect_reports(c, "");
}

static void without_scripts_what_needs_one_is_reported(void **state)
{
    struct translate_case *c = *state;
    c->target.scripts = false;
    case_expect(c, "INCRBYFLOAT k 1.5", "", false);
    case_expect_reports(c, "command_not_in_target INCRBYFLOAT k\n");
    case_expect(c, "HINCRBYFLOAT k f 1.5", "", false);
    case_expect_reports(c, "command_not_in_target HINCRBYFLOAT k\n");
    case_expect(c, "PREPEND k x", "", false);
    case_expect_reports(c, "command_not_in_target PREPEND k\n");
}

static void delex_with_a_condition_is_a_script_before_8_4(void **state)
{
    struct translate_case *c = *state;
    case_expect(c, "DELEX k ifeq v", "DELEX k ifeq v", true);
    c->target.version = 80200;
    case_expect(c, "DELEX k ifeq v", "EVAL <script> 1 k IFEQ v", true);
    case_expect(c, "DELEX k IFNE v", "EVAL <script> 1 k IFNE v", true);
    case_expect(c, "DELEX k IFDEQ 0123456789abcdef", "", false);
    case_expect_reports(c, "command_not_in_target DELEX k\n");
    c->target.kind = SERVER_VALKEY; /* numbers its versions by itself */
    c->target.version = 90000;
    case_expect(c, "DELEX k IFEQ v", "EVAL <script> 1 k IFEQ v", true);
}

static void databases_are_mapped(void **state)
{
    struct translate_case *c = *state;
    case_set(c, "db", "3:1");
    c->db = 3;
    case_expect(c, "SET k v", "[1] SET k v", false);
    c->db = 0;
    case_expect(c, "SET k v", "", false);
    case_expect_reports(c, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(options_that_redis_does_not_know_are_left_out, open_modern,
                                        close_case),
        cmocka_unit_test_setup_teardown(an_option_that_is_not_known_is_reported, open_modern, close_case),
        cmocka_unit_test_setup_teardown(relative_times_become_absolute, open_modern, close_case),
        cmocka_unit_test_setup_teardown(times_that_overflow_are_reported, open_modern, close_case),
        cmocka_unit_test_setup_teardown(a_deadline_that_is_over_is_put_off_until_the_stream_decides,
                                        open_modern, close_case),
        cmocka_unit_test_setup_teardown(a_deadline_that_was_over_when_it_came_deletes, open_modern,
                                        close_case),
        cmocka_unit_test_setup_teardown(relative_times_count_from_arrival, open_modern, close_case),
        cmocka_unit_test_setup_teardown(what_is_told_of_a_field_is_noted_for_the_field, open_modern,
                                        close_case),
        cmocka_unit_test_setup_teardown(a_deadline_that_is_near_is_put_off_by_the_lag, open_modern,
                                        close_case),
        cmocka_unit_test_setup_teardown(in_import_mode_too_what_is_told_is_noted, open_modern, close_case),
        cmocka_unit_test_setup_teardown(a_target_in_import_mode_is_told_what_the_source_was_told, open_modern,
                                        close_case),
        cmocka_unit_test_setup_teardown(targets_before_6_2_get_the_time_in_a_second_command, open_redis_6_0,
                                        close_case),
        cmocka_unit_test_setup_teardown(bitfields_that_only_read_are_dropped, open_modern, close_case),
        cmocka_unit_test_setup_teardown(unsigned_field_that_an_old_release_wraps_wrong_is_suspect,
                                        open_modern, close_case),
        cmocka_unit_test_setup_teardown(without_scripts_what_needs_one_is_reported, open_modern, close_case),
        cmocka_unit_test_setup_teardown(delex_with_a_condition_is_a_script_before_8_4, open_modern,
                                        close_case),
        cmocka_unit_test_setup_teardown(databases_are_mapped, open_modern, close_case),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
