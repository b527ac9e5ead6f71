/* Which targets are written to, and how: keys that are there already, filters, databases, passwords. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <sysexits.h>

#include "tests/support/generate.h"
#include "tests/support/run.h"
#include "tests/support/testing.h"

static struct run run;

static int teardown(void **state)
{
    (void)state;
    run_end(&run);
    return 0;
}

static void add_string(struct stream_writer *w, const char *key, const char *value)
{
    writer_string(w, slice_str(key), slice_str(value));
}

static void add_list(struct stream_writer *w, const char *key, const char *item)
{
    struct buf packed = {0};
    listpack_begin(&packed);
    listpack_item(&packed, slice_str(item));
    listpack_end(&packed, 0, 1);
    struct buf *out = writer_entry(w, 18, slice_str(key), 0);
    write_packed(out, 1);
    write_packed(out, 2);
    write_string(out, buf_slice(&packed));
    writer_entry_end(w);
    buf_free(&packed);
}

/* Two databases of strings and lists, then a journal for both. */
static void begin(void)
{
    struct scripted_options options;
    scripted_options_init(&options);
    struct scripted_session session = scripted_session_new(1);
    struct stream_writer w;
    writer_begin(&w, 0, session.flows[0].token);
    add_string(&w, "user:1", "new");
    add_string(&w, "user:2", "new");
    add_string(&w, "tmp:1", "new");
    add_list(&w, "list:1", "new");
    writer_select(&w, 3);
    add_string(&w, "three:1", "new");
    writer_fullsync_end(&w);
    writer_stable(&w, 1);
    static const struct {
        uint32_t db;
        const char *words;
    } journal[] = {{0, "SET user:3 new"},  {0, "SET tmp:2 new"}, {0, "MSET user:4 new tmp:3 new"},
                   {3, "SET three:2 new"}, {3, "INCR three:n"},  {0, "DEL user:2 tmp:1"}};
    for (size_t i = 0; i < sizeof journal / sizeof *journal; i++)
        write_journal(&w.out, journal[i].db, 0, journal[i].words);
    session.flows[0] = writer_finish(&w);
    scripted_options_add(&options, session);
    run_begin(&run, &options);
}

static char *text_of(uint32_t db, const char *command)
{
    redisContext *c = server_connect(run.target.port);
    char *select = format_text("SELECT %u", db);
    server_ok(c, select);
    redisReply *r = server_command(c, command);
    char *text = r->type == REDIS_REPLY_INTEGER ? format_text("%lld", r->integer)
                                                : x_strdup(r->str ? r->str : "(nil)");
    freeReplyObject(r);
    free(select);
    redisFree(c);
    return text;
}

static void assert_target(uint32_t db, const char *command, const char *expected)
{
    char *text = text_of(db, command);
    if (strcmp(text, expected) != 0)
        print_error("%s in database %u: %s, expected %s\n", command, db, text, expected);
    bool equal = strcmp(text, expected) == 0;
    free(text);
    assert_true(equal);
}

static void put(uint32_t db, const char *command)
{
    free(text_of(db, command));
}

static void replicate_to_the_end(const char *const *extra, int status)
{
    run_replicate(&run, extra);
    assert_true(run_wait_in_step(&run));
    int ended = run_terminate(&run);
    if (ended != status)
        df2redis_print(&run.program);
    assert_int_equal(ended, status);
}

static void assert_refused(int status, const char *text)
{
    int ended = process_wait(&run.program.process, RUN_DEADLINE_MS);
    bool said = df2redis_said(&run.program, text);
    if (ended != status || !said)
        df2redis_print(&run.program);
    assert_int_equal(ended, status);
    assert_true(said);
    assert_int_equal(scripted_count(run.source, NULL, "DFLY SYNC"), 0);
}

static void everything_goes_to_the_same_databases(void **state)
{
    (void)state;
    begin();
    replicate_to_the_end(NULL, EX_OK);
    assert_target(0, "EXISTS user:1 user:3 user:4 tmp:2 tmp:3 list:1", "6");
    assert_int_equal(run_target_keys(&run), 6 + 3);
    assert_target(3, "GET three:n", "1");
    assert_target(3, "GET three:1", "new");
}

static void target_with_keys_is_refused_and_left_alone(void **state)
{
    (void)state;
    begin();
    put(5, "SET mine old");
    run_replicate(&run, NULL);
    assert_refused(EX_CANTCREAT, "--flush-target");
    assert_true(df2redis_said(&run.program, "--on-conflict"));
    assert_target(5, "GET mine", "old");
    assert_target(0, "DBSIZE", "0");
}

static void flush_target_empties_it_first(void **state)
{
    (void)state;
    begin();
    put(5, "SET mine old");
    put(0, "SET user:9 old");
    static const char *const extra[] = {"--flush-target", NULL};
    replicate_to_the_end(extra, EX_OK);
    assert_target(5, "EXISTS mine", "0");
    assert_target(0, "EXISTS user:9", "0");
    assert_target(0, "GET user:1", "new");
}

static void put_conflicts(void)
{
    put(0, "SET user:1 old");
    put(0, "SET list:1 old");
    put(0, "SET mine old");
}

static void overwrite_replaces_keys_and_keeps_others(void **state)
{
    (void)state;
    begin();
    put_conflicts();
    static const char *const extra[] = {"--on-conflict", "overwrite", NULL};
    replicate_to_the_end(extra, EX_OK);
    assert_target(0, "GET user:1", "new");
    assert_target(0, "LINDEX list:1 0", "new");
    assert_target(0, "GET mine", "old");
}

static void skip_keeps_what_is_there_and_tells(void **state)
{
    (void)state;
    begin();
    put_conflicts();
    static const char *const extra[] = {"--on-conflict", "skip", NULL};
    replicate_to_the_end(extra, EX_DATAERR);
    assert_target(0, "GET user:1", "old");
    assert_target(0, "GET list:1", "old");
    assert_target(0, "GET mine", "old");
    assert_target(0, "GET tmp:2", "new");
    assert_true(df2redis_said(&run.program, "key_existed"));
}

static void stop_ends_at_the_first_conflict(void **state)
{
    (void)state;
    begin();
    put_conflicts();
    static const char *const extra[] = {"--on-conflict", "stop", NULL};
    run_replicate(&run, extra);
    int status = process_wait(&run.program.process, RUN_DEADLINE_MS);
    if (status <= 0)
        df2redis_print(&run.program);
    assert_true(status > 0 && status < 128);
    assert_target(0, "GET mine", "old");
    bool named = df2redis_said(&run.program, "user:1") || df2redis_said(&run.program, "list:1");
    assert_true(named);
}

static void include_takes_only_what_matches(void **state)
{
    (void)state;
    begin();
    static const char *const extra[] = {"--include", "user:*", NULL};
    replicate_to_the_end(extra, EX_OK);
    assert_target(0, "EXISTS user:1 user:3 user:4", "3");
    assert_target(0, "EXISTS tmp:1 tmp:2 tmp:3 list:1 user:2", "0");
    assert_target(3, "DBSIZE", "0");
}

static void exclude_leaves_out_what_matches(void **state)
{
    (void)state;
    begin();
    static const char *const extra[] = {"--exclude", "tmp:*", "--exclude", "list:*", NULL};
    replicate_to_the_end(extra, EX_OK);
    assert_target(0, "EXISTS user:1 user:3 user:4", "3");
    assert_target(0, "EXISTS tmp:1 tmp:2 tmp:3 list:1", "0");
    assert_target(3, "GET three:n", "1");
}

static void db_takes_only_one_database(void **state)
{
    (void)state;
    begin();
    static const char *const extra[] = {"--db", "3", NULL};
    replicate_to_the_end(extra, EX_OK);
    assert_target(3, "GET three:1", "new");
    assert_target(0, "EXISTS user:1 tmp:2 list:1", "0");
}

static void db_moves_databases(void **state)
{
    (void)state;
    begin();
    static const char *const extra[] = {"--db", "0:7,3:0", NULL};
    replicate_to_the_end(extra, EX_OK);
    assert_target(7, "EXISTS user:1 user:3 user:4 tmp:2 tmp:3 list:1", "6");
    assert_target(0, "GET three:n", "1");
    assert_target(3, "DBSIZE", "0");
}

static void sources_keys_with_the_names_of_the_marks_never_touch_them(void **state)
{
    (void)state;
    struct scripted_options options;
    scripted_options_init(&options);
    struct scripted_session session = scripted_session_new(1);
    struct stream_writer w;
    writer_begin(&w, 0, session.flows[0].token);
    add_string(&w, "df2redis:default", "not a hash");
    add_list(&w, "df2redis:default:new:x", "new");
    add_string(&w, "df2redis:other", "another run's");
    writer_fullsync_end(&w);
    writer_stable(&w, 1);
    static const char *const journal[] = {"SET df2redis:default x", "DEL df2redis:default", "INCR n",
                                          "RENAME n df2redis:default", "INCR m"};
    for (size_t i = 0; i < sizeof journal / sizeof *journal; i++)
        write_journal(&w.out, 0, 0, journal[i]);
    session.flows[0] = writer_finish(&w);
    scripted_options_add(&options, session);
    run_begin(&run, &options);
    replicate_to_the_end(NULL, EX_DATAERR);
    assert_true(df2redis_said(&run.program, "reserved_key: 5"));
    assert_target(0, "HEXISTS df2redis:default flow-0", "1");
    assert_target(0, "HEXISTS df2redis:default run", "1");
    assert_target(0, "GET df2redis:other", "another run's");
    assert_target(0, "EXISTS df2redis:default:new:x", "0");
    assert_target(0, "GET m", "1");
    run_replicate(&run, NULL);
    assert_true(run_wait_in_step(&run));
    assert_int_equal(scripted_count(run.source, NULL, "DFLY SYNC"), 1);
}

static void replicate_to(const char *format)
{
    char *uri = format_text("redis://%s127.0.0.1:%u", format, run.target.port);
    df2redis_start(&run.program, "replicate", scripted_uri(run.source), uri, NULL);
    free(uri);
}

static void protect_target(void)
{
    put(0, "CONFIG SET requirepass sesame-31");
}

static void wrong_target_password_is_refused_and_not_shown(void **state)
{
    (void)state;
    begin();
    protect_target();
    replicate_to(":wrong-31@");
    assert_refused(EX_NOPERM, "password");
    assert_false(df2redis_said(&run.program, "wrong-31"));
}

static void target_password_is_used(void **state)
{
    (void)state;
    begin();
    protect_target();
    replicate_to(":sesame-31@");
    assert_true(run_wait_in_step(&run));
    assert_int_equal(run_terminate(&run), EX_OK);
    assert_false(df2redis_said(&run.program, "sesame-31"));
}

static void replica_as_the_target_is_refused(void **state)
{
    (void)state;
    begin();
    put(0, "REPLICAOF 127.0.0.1 1");
    run_replicate(&run, NULL);
    assert_refused(EX_CONFIG, "replica");
}

static void target_that_is_down_at_the_start_is_named(void **state)
{
    (void)state;
    begin();
    process_stop(&run.target.process);
    run_replicate(&run, NULL);
    char *address = format_text("127.0.0.1:%u", run.target.port);
    bool named = df2redis_wait_said(&run.program, address, RUN_DEADLINE_MS);
    free(address);
    assert_true(named);
    assert_int_equal(scripted_count(run.source, NULL, "DFLY SYNC"), 0);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(everything_goes_to_the_same_databases, teardown),
        cmocka_unit_test_teardown(target_with_keys_is_refused_and_left_alone, teardown),
        cmocka_unit_test_teardown(flush_target_empties_it_first, teardown),
        cmocka_unit_test_teardown(overwrite_replaces_keys_and_keeps_others, teardown),
        cmocka_unit_test_teardown(skip_keeps_what_is_there_and_tells, teardown),
        cmocka_unit_test_teardown(stop_ends_at_the_first_conflict, teardown),
        cmocka_unit_test_teardown(include_takes_only_what_matches, teardown),
        cmocka_unit_test_teardown(exclude_leaves_out_what_matches, teardown),
        cmocka_unit_test_teardown(db_takes_only_one_database, teardown),
        cmocka_unit_test_teardown(db_moves_databases, teardown),
        cmocka_unit_test_teardown(sources_keys_with_the_names_of_the_marks_never_touch_them, teardown),
        cmocka_unit_test_teardown(wrong_target_password_is_refused_and_not_shown, teardown),
        cmocka_unit_test_teardown(target_password_is_used, teardown),
        cmocka_unit_test_teardown(replica_as_the_target_is_refused, teardown),
        cmocka_unit_test_teardown(target_that_is_down_at_the_start_is_named, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
