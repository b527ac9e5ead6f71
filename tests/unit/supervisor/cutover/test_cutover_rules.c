/* What is decided without a server: which target a source can follow, the order's text, the note, who waits there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>
#include <cmocka.h>

#include "supervisor/cutover/conditions.h"
#include "supervisor/cutover/note.h"
#include "supervisor/cutover/orders.h"

static bool reversible(const char *target, const char *source_host, struct capabilities *capabilities)
{
    struct settings settings;
    struct error error = {0};
    settings_init(&settings);
    assert_true(settings_set(&settings, "target", target, NULL));
    bool ok = conditions_reversible(&settings, source_host, capabilities, &error);
    if (!ok) {
        assert_int_equal(error.exit_code, EX_CONFIG);
        assert_non_null(strstr(error.text, "--then"));
    }
    settings_free(&settings);
    return ok;
}

static struct capabilities server(enum server_kind kind, uint32_t version)
{
    return (struct capabilities){.kind = kind, .version = version, .version_text = "x"};
}

static void only_targets_that_dragonfly_follows_are_reversible(void **state)
{
    (void)state;
    static const struct {
        enum server_kind kind;
        uint32_t version;
        bool follows;
    } cases[] = {
        {SERVER_REDIS, 60216, true},   {SERVER_REDIS, 70015, true},  {SERVER_REDIS, 70206, true},
        {SERVER_REDIS, 70401, false},  {SERVER_REDIS, 80002, false}, {SERVER_VALKEY, 80101, true},
        {SERVER_VALKEY, 90102, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct capabilities c = server(cases[i].kind, cases[i].version);
        assert_int_equal(reversible("redis://127.0.0.1:6379", "127.0.0.1", &c), cases[i].follows);
    }
}

static void a_cluster_or_an_address_that_leads_nowhere_is_not_reversible(void **state)
{
    (void)state;
    struct capabilities c = server(SERVER_REDIS, 70015), cluster = c, json = c;
    cluster.cluster = true;
    json.json = true;
    assert_true(reversible("redis://redis.example:6379", "dragonfly.example", &c));
    assert_false(reversible("redis://redis.example:6379", "dragonfly.example", &cluster));
    assert_false(reversible("redis://redis.example:6379", "dragonfly.example", &json));
    assert_false(reversible("redis://localhost:6379", "dragonfly.example", &c));
    assert_false(reversible("rediss://redis.example:6379", "dragonfly.example", &c));
    assert_false(reversible("unix:///run/redis.sock", "dragonfly.example", &c));
}

static void a_part_of_the_source_is_not_reversible(void **state)
{
    (void)state;
    struct settings settings;
    struct error error = {0};
    struct capabilities c = server(SERVER_REDIS, 70015);
    settings_init(&settings);
    assert_true(settings_set(&settings, "target", "redis://redis.example:6379", NULL));
    assert_true(settings_set(&settings, "include", "app:*", NULL));
    assert_false(conditions_reversible(&settings, "dragonfly.example", &c, &error));
    assert_non_null(strstr(error.text, "--include"));
    settings_free(&settings);
}

static void an_order_is_read_as_it_was_written(void **state)
{
    (void)state;
    for (int then = CUTOVER_THEN_STOP; then <= CUTOVER_THEN_REVERSE; then++)
        for (int flags = 0; flags < 8; flags++) {
            struct cutover_order order = {.max_pause_ms = CUTOVER_PAUSE_MOST_MS,
                                          .command = flags & 1,
                                          .dry_run = flags & 2,
                                          .accept_divergences = flags & 4,
                                          .then = (enum cutover_then)then},
                                 read;
            char text[CUTOVER_LINE_BYTES];
            cutover_order_write(&order, text, sizeof text);
            assert_true(cutover_order_read(text, &read, NULL));
            assert_int_equal(read.max_pause_ms, order.max_pause_ms);
            assert_int_equal(read.command, order.command);
            assert_int_equal(read.dry_run, order.dry_run);
            assert_int_equal(read.accept_divergences, order.accept_divergences);
            assert_int_equal(read.then, order.then);
        }
}

static void an_order_without_sense_is_refused(void **state)
{
    (void)state;
    static const char *const orders[] = {"",
                                         "{}",
                                         "[1,2",
                                         "{\"max_pause_ms\":1,\"then\":\"stop\"}",
                                         "{\"max_pause_ms\":1e18,\"then\":\"stop\"}",
                                         "{\"max_pause_ms\":-5,\"then\":\"stop\"}",
                                         "{\"max_pause_ms\":\"10\",\"then\":\"stop\"}",
                                         "{\"max_pause_ms\":1000,\"then\":\"leave\"}",
                                         "{\"max_pause_ms\":1000}"};
    struct cutover_order order;
    for (size_t i = 0; i < sizeof orders / sizeof *orders; i++)
        assert_false(cutover_order_read(orders[i], &order, NULL));
}

static void what_is_perhaps_wrong_is_accepted_only_by_order(void **state)
{
    struct error error = {0};
    (void)state;
    assert_true(conditions_accepted(0, 0, false, &error));
    assert_false(conditions_accepted(1, 0, false, &error));
    assert_non_null(strstr(error.text, "1 divergence:"));
    assert_false(conditions_accepted(0, 2, false, &error));
    assert_non_null(strstr(error.text, "2 keys are perhaps not as on the source"));
    assert_int_equal(error.exit_code, EX_DATAERR);
    assert_true(conditions_accepted(1, 2, true, &error));
}

static void a_note_outlives_its_writer(void **state)
{
    (void)state;
    char directory[] = "/tmp/df2redis-note-XXXXXX";
    assert_non_null(mkdtemp(directory));
    struct note note = {.stage = NOTE_SWITCHING,
                        .then = "takeover",
                        .unix_ms = 1790000000123,
                        .pause_ms = 9000},
                read;
    note_load(directory, &read);
    assert_int_equal(read.stage, NOTE_NONE);
    assert_true(note_save(directory, &note, NULL));
    note_load(directory, &read);
    assert_int_equal(read.stage, NOTE_SWITCHING);
    assert_string_equal(read.then, "takeover");
    assert_int_equal(read.unix_ms, note.unix_ms);
    assert_int_equal(read.pause_ms, note.pause_ms);
    note.stage = NOTE_NONE;
    assert_true(note_save(directory, &note, NULL));
    assert_true(note_save(directory, &note, NULL));
    note_load(directory, &read);
    assert_int_equal(read.stage, NOTE_NONE);
    assert_int_equal(rmdir(directory), 0);
}

static bool waits(const char *line, uint64_t own)
{
    uint64_t id;
    return orders_waits(slice_str(line), own, &id);
}

/* Lines as Dragonfly 1.40.1 writes them. */
static void only_clients_that_wait_for_an_answer_are_sent_away(void **state)
{
    (void)state;
    const char *held =
        "id=3 addr=127.0.0.1:52836 laddr=127.0.0.1:43437 fd=11 name=3 tid=0 irqmatch=0 age=2 idle=2 "
        "tot-cmds=1 db=0 phase=process lib-name= lib-ver=";
    assert_true(waits(held, 2));
    assert_false(waits(held, 3));
    assert_false(waits("id=4 addr=127.0.0.1:52844 name=4 age=0 phase=readsock lib-name=", 2));
    assert_false(waits("id=7 addr=127.0.0.1:52844 name=repl_flow_1 age=0 phase=process", 2));
    assert_true(waits("id=8 addr=127.0.0.1:52844 name=phase=readsock age=0 phase=process", 2));
    assert_false(waits("", 2));
    assert_false(waits("id=", 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_targets_that_dragonfly_follows_are_reversible),
        cmocka_unit_test(a_cluster_or_an_address_that_leads_nowhere_is_not_reversible),
        cmocka_unit_test(a_part_of_the_source_is_not_reversible),
        cmocka_unit_test(an_order_is_read_as_it_was_written),
        cmocka_unit_test(an_order_without_sense_is_refused),
        cmocka_unit_test(what_is_perhaps_wrong_is_accepted_only_by_order),
        cmocka_unit_test(a_note_outlives_its_writer),
        cmocka_unit_test(only_clients_that_wait_for_an_answer_are_sent_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
