/* Slots that an aborted resharding leaves between two masters: what is written to them goes on, exactly once,
 * as soon as it shows that nobody ends the move, and the end of it, whatever it is, costs nothing that was
 * written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <poll.h>
#include <signal.h>

#include "tests/support/cluster_crash.h"

enum { KEYS = 24, OWNER = 0, OTHER = 1 };

static void say(uint32_t flow, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(uint32_t flow, const char *format, ...)
{
    char line[200];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    journal_script_line(&crash.script, crash.run.source, flow, line);
}

/* What each turn writes to the one slot of each FLOW: old keys and new ones, alone and several at a time, of
 * commands that must not run twice, and of such that may. */
static void write_turn(unsigned turn)
{
    for (uint32_t f = 0; f < FLOWS; f++) {
        const char *tag = slot_tag((uint16_t)(100 + f)); /* all are of the first master */
        say(f, "APPEND {%s}grows:%u %u,", tag, turn % KEYS, turn);
        say(f, "INCRBY {%s}counts:%u %u", tag, turn % 3, turn + 1);
        say(f, "RPUSH {%s}list:%u a%u b c", tag, turn % 5, turn);
        say(f, "LPOP {%s}list:%u", tag, turn % 5);
        say(f, "SET {%s}new:%u v%u", tag, turn, turn);
        say(f, "MSET {%s}m:%u x {%s}n:%u y {%s}grows:%u again", tag, turn, tag, turn, tag, (turn + 7) % KEYS);
        say(f, "DEL {%s}new:%u {%s}nowhere {%s}m:%u", tag, turn / 2, tag, tag, turn / 2);
        say(f, "HSET {%s}hash f%u v", tag, turn % 9);
        say(f, "HINCRBYFLOAT {%s}hash sum 0.25", tag);
        say(f, "INCR elsewhere:%u:%u", f, turn % 40);
        say(f, "SMOVE {%s}set far:%u nothing", tag, f);
        say(f, "SADD {%s}set x%u y%u", tag, turn, turn);
        say(f, "SMOVE {%s}set far:%u x%u", tag, f, turn);
        say(f, "SMOVE {%s}set {%s}other y%u", tag, tag, turn);
        say(f, "SET {%s}from:%u v%u", tag, turn, turn);
        say(f, "RENAME {%s}from:%u {%s}moved:%u", tag, turn, tag, turn);
        say(f, "RENAME {%s}moved:%u {%s}moved:%u", tag, turn, tag, turn);
        say(f, "RENAME {%s}n:%u far:renamed:%u:%u", tag, turn, f, turn);
    }
}

static void write_turns(unsigned *turn, unsigned count)
{
    for (unsigned end = *turn + count; *turn < end; ++*turn)
        write_turn(*turn);
}

/* In all of these slots. */
static void begin_slots(size_t to, unsigned keys)
{
    for (uint32_t f = 0; f < FLOWS; f++)
        assert_true(redis_cluster_begin_slot(&cluster, (uint16_t)(100 + f), to, keys));
}

static void end_slots(size_t to)
{
    for (uint32_t f = 0; f < FLOWS; f++)
        assert_true(redis_cluster_move_slot(&cluster, (uint16_t)(100 + f), to));
    assert_true(redis_cluster_wait_ok(&cluster));
}

static void assert_in_step_between(size_t to)
{
    assert_true(run_wait_in_step(&crash.run));
    for (uint32_t f = 0; f < FLOWS; f++) {
        assert_int_equal(redis_cluster_owner(&cluster, (uint16_t)(100 + f)), OWNER);
        assert_true(redis_cluster_keys_in_slot(&cluster, (uint16_t)(100 + f), to) > 0);
    }
    assert_true(df2redis_said(&crash.run.program, "stays open between two nodes"));
}

static void served_between_two_masters(unsigned moved_before, const char *password)
{
    unsigned turn = 0;
    redis_cluster_start(&cluster, 3, 0);
    if (password)
        redis_cluster_lock(&cluster, password);
    crash_begin_in(&crash, &cluster, FLOWS, &crash_small);
    if (password)
        setenv("DF2REDIS_TARGET_PASSWORD", password, 1);
    run_replicate(&crash.run, NULL);
    unsetenv("DF2REDIS_TARGET_PASSWORD");
    write_turns(&turn, 30);
    assert_true(run_wait_in_step(&crash.run));
    begin_slots(OTHER, moved_before);
    write_turns(&turn, 30);
    assert_in_step_between(OTHER);
    write_turns(&turn, 100);
    assert_true(run_wait_in_step(&crash.run));
    end_slots(OTHER);
    write_turns(&turn, 30);
    assert_equal_after(1);
}

static void a_slot_that_stays_between_two_masters_is_served(void **state)
{
    (void)state;
    served_between_two_masters(10, NULL);
}

static void one_that_was_only_opened_between_masters_with_a_password_is_served(void **state)
{
    (void)state;
    served_between_two_masters(0, "between");
}

static void one_on_its_way_to_a_new_master_is_served_and_flushed(void **state)
{
    (void)state;
    unsigned turn = 0;
    assert_true(crash_begin_in_step(&crash, &cluster, 3, 0));
    size_t added = redis_cluster_add(&cluster, CLUSTER_MEMBERS);
    write_turns(&turn, 30);
    assert_true(run_wait_in_step(&crash.run));
    begin_slots(added, 10);
    journal_script_flush(&crash.script,
                         crash.run.source); /* nothing has shown yet that a slot is on its way */
    write_turns(&turn, 30);
    assert_in_step_between(added);
    journal_script_flush(&crash.script, crash.run.source);
    write_turns(&turn, 30);
    assert_true(run_wait_in_step(&crash.run));
    end_slots(added);
    write_turns(&turn, 10);
    assert_equal_after(1);
}

/* Whose mark its node's flush carries. None of its keys has gone, so that the node still does what it can. */
static void a_flush_waits_for_a_first_slot_that_has_begun_to_leave(void **state)
{
    (void)state;
    enum { FIRST = 0 };
    unsigned turn = 0;
    assert_true(crash_begin_in_step(&crash, &cluster, 3, 0));
    write_turns(&turn, 10);
    assert_true(run_wait_in_step(&crash.run));
    assert_true(redis_cluster_keys_in_slot(&cluster, FIRST, OWNER) > 0);
    assert_true(redis_cluster_begin_slot(&cluster, FIRST, OTHER, 0));
    journal_script_flush(&crash.script, crash.run.source);
    write_turns(&turn, 10);
    assert_true(run_wait_in_step(&crash.run));
    assert_true(redis_cluster_move_slot(&cluster, FIRST, OTHER));
    write_turns(&turn, 10);
    assert_equal();
    assert_false(df2redis_said(&crash.run.program, "has answered")); /* that is told after ten seconds */
    assert_equal_after(1);
}

struct flushed {
    size_t member;
    unsigned times;
};

static bool is_flushed(void *arg)
{
    const struct flushed *f = arg;
    static const char field[] = "cmdstat_flushall:calls=";
    redisContext *c = redis_cluster_connect(&cluster, f->member);
    redisReply *r = server_command(c, "INFO commandstats");
    const char *at = r->str ? strstr(r->str, field) : NULL;
    bool is = at && strtoul(at + sizeof field - 1, NULL, 10) >= f->times;
    freeReplyObject(r);
    redisFree(c);
    return is;
}

/* By every FLOW at each of the three, as far as it has come: so that it has nothing to send to them. */
static bool is_marked(void *arg)
{
    (void)arg;
    bool marked = true;
    for (size_t i = 0; marked && i < 3; i++) {
        redisContext *c = redis_cluster_connect(&cluster, i);
        for (uint32_t f = 0; f < FLOWS; f++) {
            char key[80], words[120], path[40];
            unsigned long long lsn = 0;
            slot_mark_key(key, sizeof key, "default", (uint16_t)(CLUSTER_SLOTS * i / 3));
            snprintf(words, sizeof words, "HGET %s node-%u", key, f);
            redisReply *r = server_command(c, words);
            snprintf(path, sizeof path, "flows.%u.lsn_applied", f);
            marked &= r->str && sscanf(r->str, "%*s %*s %*s %llu", &lsn) == 1 &&
                      (double)lsn == df2redis_status_number(&crash.run.program, path);
            freeReplyObject(r);
        }
        redisFree(c);
    }
    return marked;
}

/* Each master is flushed twice: here the first time is over but for one, which hangs. How often the others
 * were flushed before the run, and for it, is counted in `times`. */
enum { HANGS = 2 };

static void begin_flush_but_for_one(unsigned *turn, unsigned *times)
{
    assert_true(crash_begin_in_step(&crash, &cluster, 3, 0));
    write_turns(turn, 10);
    assert_true(run_wait_in_step(&crash.run));
    struct flushed owner = {OWNER, 1};
    while (is_flushed(&owner))
        owner.times++;
    assert_true(wait_until(is_marked, NULL, RUN_DEADLINE_MS));
    process_signal(&cluster.members[HANGS].server.process, SIGSTOP);
    journal_script_flush(&crash.script, crash.run.source);
    assert_true(wait_until(is_flushed, &owner, RUN_DEADLINE_MS));
    *times = owner.times;
}

static void a_flush_that_one_refuses_the_second_time_is_run_again(void **state)
{
    (void)state;
    enum { FIRST = 0 };
    unsigned turn = 0, times;
    begin_flush_but_for_one(&turn, &times);
    assert_true(redis_cluster_begin_slot(&cluster, FIRST, OTHER, 0));
    process_signal(&cluster.members[HANGS].server.process, SIGCONT);
    write_turns(&turn, 10);
    assert_true(run_wait_in_step(&crash.run));
    assert_true(redis_cluster_move_slot(&cluster, FIRST, OTHER));
    write_turns(&turn, 10);
    assert_equal_after(1);
}

static void so_is_one_whose_connection_to_one_is_cut(void **state)
{
    (void)state;
    unsigned turn = 0, times;
    begin_flush_but_for_one(&turn, &times);
    redisContext *c = redis_cluster_connect(&cluster, OWNER);
    server_ok(c, "CLIENT PAUSE 60000 WRITE");
    process_signal(&cluster.members[HANGS].server.process, SIGCONT);
    struct flushed other = {OTHER, times + 1};
    assert_true(wait_until(is_flushed, &other, RUN_DEADLINE_MS));
    assert_true(redis_cluster_cut(&cluster, OWNER, "df2redis:default:flow-0"));
    server_ok(c, "CLIENT UNPAUSE");
    redisFree(c);
    write_turns(&turn, 10);
    assert_equal_after(1);
}

static bool is_acked(void *arg)
{
    uint32_t flow = *(uint32_t *)arg;
    return scripted_acked(crash.run.source, flow) >= scripted_end_lsn(crash.run.source, flow);
}

/* The session ends while the flush waits for FLOW 0. FLOW 1, whose links broke before one master had its mark, comes
 * to the flush by what it remembers: the next session knows only the marks. */
static void one_that_is_reached_from_memory_is_marked_before(void **state)
{
    (void)state;
    uint32_t flow = 1;
    unsigned turn = 0;
    assert_true(crash_begin_in_step(&crash, &cluster, 3, 0));
    write_turns(&turn, 10);
    assert_true(run_wait_in_step(&crash.run));
    assert_true(wait_until(is_marked, NULL, RUN_DEADLINE_MS));
    scripted_hold(crash.run.source, 0, scripted_sent(crash.run.source, 0));
    redisContext *c = redis_cluster_connect(&cluster, HANGS);
    server_ok(c, "CLIENT PAUSE 60000 WRITE");
    say(flow, "SET {%s}unmarked 1", slot_tag(100));
    assert_true(wait_until(is_acked, &flow, RUN_DEADLINE_MS));
    journal_script_flush(&crash.script, crash.run.source);
    assert_true(redis_cluster_cut(&cluster, HANGS, "df2redis:default:flow-1"));
    server_ok(c, "CLIENT UNPAUSE");
    redisFree(c);
    assert_true(
        df2redis_wait_said(&crash.run.program, "flow=1 FLUSHALL (txid 1001) is reached", RUN_DEADLINE_MS));
    scripted_cut_all(crash.run.source);
    scripted_hold(crash.run.source, 0, NEVER);
    write_turns(&turn, 10);
    assert_equal_after(1);
}

static bool all_is_sent(void *arg)
{
    (void)arg;
    return scripted_all_sent(crash.run.source);
}

/* All three in one MULTI, which the owner takes as long as it has the key. */
static void a_script_finds_what_a_command_before_it_has_deleted(void **state)
{
    (void)state;
    enum { LEAVES = 100 };
    const char *tag = slot_tag(LEAVES);
    assert_true(crash_begin_in_step(&crash, &cluster, 3, 0));
    say(0, "INCRBYFLOAT {%s}sum 1.5", tag);
    assert_true(run_wait_in_step(&crash.run));
    assert_true(redis_cluster_begin_slot(&cluster, LEAVES, OTHER, 0));
    pid_t worker = worker_pid(&crash.run.program, 0);
    assert_int_equal(kill(worker, SIGSTOP), 0);
    say(0, "INCRBYFLOAT {%s}sum 1.5", tag);
    say(0, "DEL {%s}sum", tag);
    say(0, "INCRBYFLOAT {%s}sum 2.5", tag);
    assert_true(wait_until(all_is_sent, NULL, RUN_DEADLINE_MS));
    assert_int_equal(kill(worker, SIGCONT), 0);
    assert_true(run_wait_in_step(&crash.run));
    assert_true(redis_cluster_move_slot(&cluster, LEAVES, OTHER));
    say(0, "INCRBYFLOAT {%s}sum 0.5", tag);
    assert_equal_after(1);
}

static void killed_workers_go_on_with_a_slot_between_two_masters(void **state)
{
    (void)state;
    unsigned turn = 0;
    assert_true(crash_begin_in_step(&crash, &cluster, 3, 0));
    size_t added = redis_cluster_add(&cluster, CLUSTER_MEMBERS);
    write_turns(&turn, 20);
    assert_true(run_wait_in_step(&crash.run));
    begin_slots(added, 5);
    for (unsigned kill = 0; kill < 12; kill++) {
        write_turns(&turn, 8);
        poll(NULL, 0, (int)(kill % 4) * 500); /* before it is served, and after */
        assert_true(kill_worker(&crash.kills, &crash.run.program, kill % FLOWS));
    }
    assert_in_step_between(added);
    assert_true(crash_kill(&crash, true));
    write_turns(&turn, 20);
    run_replicate(&crash.run, NULL);
    assert_in_step_between(added);
    end_slots(added);
    write_turns(&turn, 10);
    assert_equal_after(1);
}

/* The slot is its old owner's again, and what was written to the other one is out of everybody's reach. */
static void a_move_that_is_called_off_asks_for_a_full_sync(void **state)
{
    (void)state;
    unsigned turn = 0;
    assert_true(crash_begin_in_step(&crash, &cluster, 3, 0));
    write_turns(&turn, 20);
    begin_slots(OTHER, 5);
    write_turns(&turn, 30);
    assert_in_step_between(OTHER);
    assert_true(redis_cluster_call_off_slot(&cluster, 101, OTHER));
    assert_true(run_wait_source(&crash.run, NULL, "DFLY SYNC", 2));
    assert_true(df2redis_said(&crash.run.program, "the migration was cancelled"));
}

static bool import_mode_is_on(void)
{
    bool taken = true;
    for (size_t i = 0; taken && i < cluster.count; i++) {
        redisContext *c = redis_cluster_connect(&cluster, i);
        redisReply *r = server_command(c, "CONFIG SET import-mode yes");
        taken = r->type == REDIS_REPLY_STATUS;
        freeReplyObject(r);
        redisFree(c);
    }
    if (!taken)
        print_message("the target is no Valkey 8.1 or newer (DF2REDIS_TEST_REDIS): skipped\n");
    return taken;
}

/* As those see it that the import is of. */
static void assert_imported(size_t member, const char *key, const char *value)
{
    redisContext *c = redis_cluster_connect(&cluster, member);
    server_ok(c, "CLIENT IMPORT-SOURCE ON");
    server_ok(c, "ASKING");
    redisReply *r = server_commandf(c, "GET %s", key);
    assert_non_null(r);
    assert_int_equal(r->type, REDIS_REPLY_STRING);
    assert_string_equal(r->str, value);
    freeReplyObject(r);
    redisFree(c);
}

static bool has_passed(void *at_ms)
{
    return clock_unix_ms() > *(int64_t *)at_ms;
}

/* A cluster in import mode, and a key of slot 100 whose time has passed there when the slot begins to move. Skips the
 * test where the servers have no such mode. */
static void begin_with_a_passed_key(const char *rights, char *key, size_t key_bytes)
{
    enum { LIVES_MS = 3000 };
    unsigned turn = 0;
    redis_cluster_start(&cluster, 3, 0);
    if (!import_mode_is_on())
        skip();
    if (rights)
        redis_cluster_each(&cluster, rights);
    crash_begin_in(&crash, &cluster, FLOWS, &crash_small);
    run_replicate(&crash.run, NULL);
    write_turns(&turn, 10);
    assert_true(run_wait_in_step(&crash.run));
    int64_t at_ms = clock_unix_ms() + LIVES_MS;
    snprintf(key, key_bytes, "{%s}passed", slot_tag(100));
    say(0, "SET %s value PXAT %lld", key, (long long)at_ms);
    assert_true(run_wait_in_step(&crash.run));
    assert_true(wait_until(has_passed, &at_ms, RUN_DEADLINE_MS));
    begin_slots(OTHER, 0);
    write_turns(&turn, 30);
}

static void assert_moved_on(const char *key)
{
    assert_in_step_between(OTHER);
    assert_int_equal(redis_cluster_keys_in_slot(&cluster, 100, OWNER), 0);
    assert_imported(OTHER, key, "value");
    say(0, "DEL %s", key);
    assert_true(run_wait_in_step(&crash.run));
    end_slots(OTHER);
    assert_equal_after(1);
}

/* They are there until the source says so, and MIGRATE would leave them where they are. */
static void what_is_past_its_time_in_import_mode_is_moved_on(void **state)
{
    (void)state;
    char key[32];
    begin_with_a_passed_key(NULL, key, sizeof key);
    assert_moved_on(key);
}

/* MIGRATE says OK, and leaves them out. */
static void what_cannot_be_put_off_is_not_moved(void **state)
{
    (void)state;
    char key[32];
    begin_with_a_passed_key("ACL SETUSER default -pexpire", key, sizeof key);
    assert_true(df2redis_said(&crash.run.program, "give its user +pexpire"));
    assert_true(df2redis_wait_said(&crash.run.program, "PEXPIRE, without which", RUN_DEADLINE_MS));
    assert_true(redis_cluster_keys_in_slot(&cluster, 100, OWNER) > 0);
    redis_cluster_each(&cluster, "ACL SETUSER default +pexpire");
    assert_moved_on(key);
}

/* The odd ones are on their way to a new master, which holds what has to be flushed. */
static void a_snapshot_fills_slots_between_two_masters(void **state)
{
    (void)state;
    enum { SLOTS = 16 };
    static const struct journal_snapshot large = {
        .strings = 6000, .collections = 4, .elements = 2000, .commands = 300, .journal = 500};
    uint16_t slots[SLOTS];
    size_t to[SLOTS];
    redis_cluster_start(&cluster, 3, 0);
    size_t added = redis_cluster_add(&cluster, CLUSTER_MEMBERS);
    crash_begin_in(&crash, &cluster, FLOWS, &large);
    for (uint16_t i = 0; i < SLOTS; i++) {
        char key[32], words[64];
        snprintf(key, sizeof key, "string:%u", i);
        slots[i] = key_slot(slice_str(key));
        size_t owner = redis_cluster_owner(&cluster, slots[i]);
        to[i] = i % 2 ? added : (owner + 1) % 3;
        redisContext *c = redis_cluster_connect(&cluster, owner);
        snprintf(words, sizeof words, "SET {%s}old 1", key);
        server_ok(c, words);
        redisFree(c);
        assert_true(redis_cluster_begin_slot(&cluster, slots[i], to[i], 10));
    }
    run_replicate(&crash.run, (const char *const[]){"--restore-limit", "8k", "--flush-target", NULL});
    assert_true(run_wait_in_step(&crash.run));
    for (uint16_t i = 0; i < SLOTS; i++)
        assert_true(redis_cluster_move_slot(&cluster, slots[i], to[i]));
    assert_true(redis_cluster_wait_ok(&cluster));
    assert_equal_after(1);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_slot_that_stays_between_two_masters_is_served, teardown),
        cmocka_unit_test_teardown(one_that_was_only_opened_between_masters_with_a_password_is_served,
                                  teardown),
        cmocka_unit_test_teardown(one_on_its_way_to_a_new_master_is_served_and_flushed, teardown),
        cmocka_unit_test_teardown(a_flush_waits_for_a_first_slot_that_has_begun_to_leave, teardown),
        cmocka_unit_test_teardown(a_flush_that_one_refuses_the_second_time_is_run_again, teardown),
        cmocka_unit_test_teardown(so_is_one_whose_connection_to_one_is_cut, teardown),
        cmocka_unit_test_teardown(one_that_is_reached_from_memory_is_marked_before, teardown),
        cmocka_unit_test_teardown(a_script_finds_what_a_command_before_it_has_deleted, teardown),
        cmocka_unit_test_teardown(killed_workers_go_on_with_a_slot_between_two_masters, teardown),
        cmocka_unit_test_teardown(a_move_that_is_called_off_asks_for_a_full_sync, teardown),
        cmocka_unit_test_teardown(what_is_past_its_time_in_import_mode_is_moved_on, teardown),
        cmocka_unit_test_teardown(what_cannot_be_put_off_is_not_moved, teardown),
        cmocka_unit_test_teardown(a_snapshot_fills_slots_between_two_masters, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
