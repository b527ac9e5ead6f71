/* The rules of df2redis check: each probe finds nothing where all is well, says what is wrong where it is, and does not
 * know what it was not told. */
#include "tests/unit/supervisor/supervisor_testing.h"

#include "supervisor/check/facts.h"

typedef void judge(const struct check_facts *f, struct findings *out);

static struct settings settings;

static int make_settings(void **state)
{
    (void)state;
    settings_init(&settings);
    assert_true(settings_set(&settings, "state-dir", "/state", NULL));
    return 0;
}

static int free_settings(void **state)
{
    (void)state;
    settings_free(&settings);
    return 0;
}

/* All is well. */
static struct check_facts usual(void)
{
    return (struct check_facts){
        .settings = &settings,
        .source = "redis://s:1",
        .target = "redis://t:1",
        .flow_count = 4,
        .source_known = true,
        .target_known = true,
        .masters = 1,
        .capabilities = {.kind = SERVER_REDIS,
                         .max_bulk_bytes = UINT64_C(512) << 20,
                         .limits_told = true,
                         .json = true},
        .source_more = {.clock = {.known = true, .round_trip_us = 500},
                        .lsns_known = true,
                        .lsns = 1000,
                        .entries = 100,
                        .within_ms = 1000,
                        .sample = {.known = true,
                                   .keys = 10,
                                   .types = {{"string", 9}, {"hash", 1}},
                                   .type_count = 2,
                                   .sized = true,
                                   .largest_bytes = 1000,
                                   .largest = "big",
                                   .largest_is_string = true}},
        .target_more = {.clock = {.known = true, .round_trip_us = 500},
                        .query_limit_known = true,
                        .query_bytes = UINT64_C(1) << 30,
                        .persistence_known = true,
                        .replicas_known = true,
                        .slots_known = true,
                        .runs_known = true},
        .here = {.looked = true,
                 .dir = "/state",
                 .room_known = true,
                 .free_bytes = UINT64_C(1) << 40,
                 .files = 1024,
                 .landlock = 1},
    };
}

static void assert_ok(judge *probe, const struct check_facts *f)
{
    struct findings out = {0};
    probe(f, &out);
    if (out.count)
        fail_msg("%s", out.list[0].text);
    assert_int_equal(out.probe_count, 1);
    assert_true(out.probes[0].known);
    findings_free(&out);
}

static void assert_unknown(judge *probe, const struct check_facts *f, const char *text)
{
    struct findings out = {0};
    probe(f, &out);
    assert_int_equal(out.count, 0);
    assert_int_equal(out.probe_count, 1);
    assert_false(out.probes[0].known);
    if (!strstr(out.probes[0].text, text))
        fail_msg("%s", out.probes[0].text);
    findings_free(&out);
}

/* exit_code 0: a warning. */
static void assert_found(judge *probe, const struct check_facts *f, int exit_code, const char *text)
{
    struct findings out = {0};
    probe(f, &out);
    if (out.count != 1 || !strstr(out.list[0].text, text))
        fail_msg("%zu, %s", out.count, out.count ? out.list[0].text : "");
    assert_int_equal(out.list[0].exit_code, exit_code);
    assert_int_equal(out.list[0].probe, 0);
    findings_free(&out);
}

static void every_probe_finds_nothing_where_all_is_well(void **state)
{
    (void)state;
    judge *const probes[] = {judge_state_dir,   judge_worker,     judge_room,   judge_files,
                             judge_confinement, judge_limits,     judge_writes, judge_replicas,
                             judge_runs,        judge_backlog,    judge_types,  judge_largest,
                             judge_clocks,      judge_round_trips};
    struct check_facts f = usual();
    for (size_t i = 0; i < sizeof probes / sizeof *probes; i++)
        assert_ok(probes[i], &f);
    f.capabilities.cluster = true;
    assert_ok(judge_slots, &f);
}

static void state_directory_that_cannot_be_used_is_an_error(void **state)
{
    (void)state;
    struct check_facts f = usual();
    error_fatal(&f.here.state, EX_NOPERM, "cannot make it");
    assert_found(judge_state_dir, &f, EX_NOPERM, "cannot make it");
    f.here.looked = false;
    assert_unknown(judge_state_dir, &f, "does not answer: check /state");
}

static void worker_that_is_not_installed_is_an_error(void **state)
{
    (void)state;
    struct check_facts f = usual();
    error_fatal(&f.here.worker, EX_OSFILE, "no worker");
    assert_found(judge_worker, &f, EX_OSFILE, "no worker");
}

static void spools_need_room(void **state)
{
    (void)state;
    struct check_facts f = usual();
    f.here.free_bytes = UINT64_C(1) << 20;
    assert_found(judge_room, &f, EX_CANTCREAT, "the rings of 4 FLOWs need 256.0 MiB");
    f.here.free_bytes = UINT64_C(1) << 30;
    assert_found(judge_room, &f, 0, "may grow to 40.2 GiB: give it more room, lower --spool-limit");
    f = usual();
    f.here.in_memory = true;
    assert_found(judge_room, &f, 0, "is a tmpfs");
    f.here.room_known = false;
    assert_unknown(judge_room, &f, "ask df");
    f.flow_count = 0;
    assert_unknown(judge_room, &f, "see the line source");
}

static void files_may_be_too_few(void **state)
{
    (void)state;
    struct check_facts f = usual();
    f.flow_count = 128;
    assert_found(judge_files, &f, EX_OSERR, "needs about 1152: raise the limit");
    f.flow_count = 4;
    f.masters = 500;
    assert_found(judge_files, &f, EX_OSERR, "ulimit -n");
    f.here.files = 0;
    assert_unknown(judge_files, &f, "ulimit -n");
}

static void kernel_without_landlock_is_warned_of(void **state)
{
    (void)state;
    struct check_facts f = usual();
    f.here.landlock = 0;
    assert_found(judge_confinement, &f, 0, "no Landlock");
    settings.confine = false;
    assert_ok(judge_confinement, &f);
    settings.confine = true;
}

static void limits_below_the_defaults_are_warned_of(void **state)
{
    (void)state;
    struct check_facts f = usual();
    f.capabilities.max_bulk_bytes = 1 << 20;
    assert_found(judge_limits, &f, 0, "set proto-max-bulk-len to 512mb");
    f = usual();
    f.target_more.query_bytes = 1 << 20;
    assert_found(judge_limits, &f, 0, "set client-query-buffer-limit to 1gb");
    f.target_more.query_limit_known = false;
    assert_unknown(judge_limits, &f, "+config|get");
}

static void target_that_refuses_writes_is_an_error(void **state)
{
    (void)state;
    struct check_facts f = usual();
    f.target_more.save_failed = true;
    assert_found(judge_writes, &f, 0, "could not save its last RDB file");
    f.target_more.save_stops_writes = true;
    assert_found(judge_writes, &f, EX_UNAVAILABLE, "MISCONF");
    f.target_more.aof_failed = true;
    assert_found(judge_writes, &f, EX_UNAVAILABLE, "write to the AOF");
    f.target_more.persistence_known = false;
    assert_unknown(judge_writes, &f, "+info");
    f = usual();
    f.target_more.replicas_needed = 1;
    assert_found(judge_replicas, &f, EX_UNAVAILABLE, "NOREPLICAS");
    f.target_more.replicas = 1;
    assert_ok(judge_replicas, &f);
    f.target_more.replicas_known = false;
    assert_unknown(judge_replicas, &f, "+info");
}

static void open_slots_are_warned_of(void **state)
{
    (void)state;
    struct check_facts f = usual();
    f.capabilities.cluster = true;
    f.target_more.open_slots = 2;
    assert_found(judge_slots, &f, 0, "redis-cli --cluster fix");
    f.target_more.slots_known = false;
    assert_unknown(judge_slots, &f, "+cluster|nodes");
}

static void runs_that_write_to_the_same_target_are_found(void **state)
{
    (void)state;
    struct check_facts f = usual();
    static char list[] = "id=3 addr=10.0.0.1:50000 name=df2redis:other:flow-0 age=1\n"
                         "id=4 addr=10.0.0.1:50001 name= age=1\n";
    redisReply reply = {.type = REDIS_REPLY_STRING, .str = list, .len = sizeof list - 1};
    target_more_clients(&f.target_more, &reply, "default");
    assert_found(judge_runs, &f, 0, "the run other writes to target");
    f = usual();
    target_more_clients(&f.target_more, &reply, "other");
    assert_found(judge_runs, &f, EX_TEMPFAIL, "is connected to target redis://t:1: stop it first");
    reply = (redisReply){.type = REDIS_REPLY_ERROR, .str = list, .len = 3};
    f = usual();
    target_more_clients(&f.target_more, &reply, "other");
    assert_unknown(judge_runs, &f, "+client|list");
}

static void states_of_a_target_are_read(void **state)
{
    (void)state;
    static char persistence[] = "# Persistence\r\nrdb_last_bgsave_status:err\r\naof_last_write_status:ok\r\n";
    static char replication[] = "# Replication\r\nrole:master\r\nconnected_slaves:2\r\n";
    struct target_more m = {.persistence_known = true, .replicas_known = true, .replicas = UINT64_MAX};
    redisReply reply = {.type = REDIS_REPLY_STRING, .str = persistence, .len = sizeof persistence - 1};
    target_more_persistence(&m, &reply);
    assert_true(m.persistence_known && m.save_failed && !m.aof_failed);
    reply = (redisReply){.type = REDIS_REPLY_STRING, .str = replication, .len = sizeof replication - 1};
    target_more_replication(&m, &reply);
    assert_true(m.replicas_known);
    assert_int_equal(m.replicas, 2);
}

static void journal_that_is_soon_overwritten_is_warned_of(void **state)
{
    (void)state;
    struct check_facts f = usual();
    f.source_more.entries = 1000;
    assert_found(judge_backlog, &f, 0, "of more than 8 s a full sync follows");
    f.source_more.entries = 0;
    assert_ok(judge_backlog, &f);
    f.source_more.lsns = 0;
    assert_unknown(judge_backlog, &f, "from the first replica on");
    f.source_more.lsns_known = false;
    assert_unknown(judge_backlog, &f, "+dfly");
}

static void types_that_the_target_cannot_hold_are_warned_of(void **state)
{
    (void)state;
    struct check_facts f = usual();
    f.source_more.sample.types[2].keys = 3;
    snprintf(f.source_more.sample.types[2].name, sizeof f.source_more.sample.types[2].name, "ReJSON-RL");
    f.source_more.sample.type_count = 3;
    assert_ok(judge_types, &f);
    f.capabilities.json = false;
    assert_found(judge_types, &f, 0, "3 are of type ReJSON-RL, left out and counted: the target has no JSON");
    snprintf(f.source_more.sample.types[2].name, sizeof f.source_more.sample.types[2].name, "MBbloom--");
    assert_found(judge_types, &f, 0, "create them again");
    f.source_more.sample.known = false;
    assert_unknown(judge_types, &f, "+scan +type");
}

static void string_that_the_target_does_not_take_is_warned_of(void **state)
{
    (void)state;
    struct check_facts f = usual();
    f.source_more.sample.largest_bytes = UINT64_C(600) << 20;
    assert_found(judge_largest, &f, 0, "the string big has 600.0 MiB");
    f.source_more.sample.largest_is_string = false;
    assert_ok(judge_largest, &f);
    f.source_more.sample.largest_bytes = 0;
    assert_ok(judge_largest, &f);
    f.source_more.sample.sized = false;
    assert_unknown(judge_largest, &f, "+memory");
    f.source_more.sample.keys = 0;
    assert_ok(judge_largest, &f);
}

static void clocks_that_differ_are_warned_of(void **state)
{
    (void)state;
    struct check_facts f = usual();
    f.target_more.clock.ahead_ms = 2500;
    assert_found(judge_clocks, &f, 0, "2.5 s ahead of that of the source");
    f.target_more.clock.ahead_ms = -2500;
    assert_found(judge_clocks, &f, 0, "expire too late");
    f.source_more.clock.ahead_ms = -2000;
    assert_ok(judge_clocks, &f);
    f.source_more.clock.known = false;
    assert_unknown(judge_clocks, &f, "the source does not tell its time");
}

static void clock_is_read_half_a_round_trip_ago(void **state)
{
    (void)state;
    redisReply words[] = {{.type = REDIS_REPLY_STRING, .str = (char *)"1000", .len = 4},
                          {.type = REDIS_REPLY_STRING, .str = (char *)"500000", .len = 6}};
    redisReply numbers[] = {{.type = REDIS_REPLY_INTEGER, .integer = 1000},
                            {.type = REDIS_REPLY_INTEGER, .integer = 500000}};
    redisReply *of_words[] = {&words[0], &words[1]}, *of_numbers[] = {&numbers[0], &numbers[1]};
    redisReply reply = {.type = REDIS_REPLY_ARRAY, .elements = 2, .element = of_words};
    struct clock_facts clock = {0};
    clock_facts_read(&clock, &reply, 20000, 1000510);
    assert_true(clock.known);
    assert_int_equal(clock.ahead_ms, 0);
    reply.element = of_numbers;
    clock = (struct clock_facts){0};
    clock_facts_read(&clock, &reply, 20000, 1000410);
    assert_int_equal(clock.ahead_ms, 100);
    reply = (redisReply){.type = REDIS_REPLY_ERROR, .str = (char *)"NOPERM", .len = 6};
    clock = (struct clock_facts){0};
    clock_facts_read(&clock, &reply, 20000, 1000410);
    assert_false(clock.known);
}

static void target_that_is_far_away_is_warned_of(void **state)
{
    (void)state;
    struct check_facts f = usual();
    f.target_more.clock.round_trip_us = 1000000;
    assert_found(judge_round_trips, &f, 0, "is 1000 ms away");
    f.target_more.clock.known = false;
    assert_unknown(judge_round_trips, &f, "+time");
}

static void keys_of_a_sample_are_counted_by_type(void **state)
{
    (void)state;
    struct key_sample s = {.known = true};
    redisReply string = {.type = REDIS_REPLY_STATUS, .str = (char *)"string", .len = 6},
               none = {.type = REDIS_REPLY_STATUS, .str = (char *)"none", .len = 4},
               list = {.type = REDIS_REPLY_STATUS, .str = (char *)"list", .len = 4},
               small = {.type = REDIS_REPLY_INTEGER, .integer = 10},
               large = {.type = REDIS_REPLY_INTEGER, .integer = 20};
    key_sample_add(&s, &string, &small, "a");
    key_sample_add(&s, &none, &large, "gone");
    key_sample_add(&s, &list, &large, "b");
    key_sample_add(&s, &string, &small, "c");
    assert_int_equal(s.keys, 3);
    assert_int_equal(s.type_count, 2);
    assert_int_equal(s.types[0].keys, 2);
    assert_string_equal(s.largest, "b");
    assert_true(s.sized);
    assert_false(s.largest_is_string);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_probe_finds_nothing_where_all_is_well),
        cmocka_unit_test(state_directory_that_cannot_be_used_is_an_error),
        cmocka_unit_test(worker_that_is_not_installed_is_an_error),
        cmocka_unit_test(spools_need_room),
        cmocka_unit_test(files_may_be_too_few),
        cmocka_unit_test(kernel_without_landlock_is_warned_of),
        cmocka_unit_test(limits_below_the_defaults_are_warned_of),
        cmocka_unit_test(target_that_refuses_writes_is_an_error),
        cmocka_unit_test(open_slots_are_warned_of),
        cmocka_unit_test(runs_that_write_to_the_same_target_are_found),
        cmocka_unit_test(states_of_a_target_are_read),
        cmocka_unit_test(journal_that_is_soon_overwritten_is_warned_of),
        cmocka_unit_test(types_that_the_target_cannot_hold_are_warned_of),
        cmocka_unit_test(string_that_the_target_does_not_take_is_warned_of),
        cmocka_unit_test(clocks_that_differ_are_warned_of),
        cmocka_unit_test(clock_is_read_half_a_round_trip_ago),
        cmocka_unit_test(target_that_is_far_away_is_warned_of),
        cmocka_unit_test(keys_of_a_sample_are_counted_by_type),
    };
    return cmocka_run_group_tests(tests, make_settings, free_settings);
}
