/* What targets can do: replies recorded from real servers (targets/), and the redis-server that is installed.
 *
 * A recording holds the replies to the probe's commands in their order. Each server had 2 keys in database 0
 * and one in 3; the cluster, the replica and the one with a restricted user were empty. */
#include "tests/unit/common/net/client_testing.h"
#include "tests/unit/common/net/redis_testing.h"

#include "common/redis/capabilities.h"
#include "common/net/resp.h"

static struct error error;

static void read_file(const char *name, struct buf *out)
{
    char path[120];
    snprintf(path, sizeof path, "tests/unit/targets/%s.resp", name);
    FILE *f = fopen(path, "rb");
    if (!f)
        fail_msg("%s: run the tests in the project's root", path);
    for (size_t n = 1; n > 0; out->len += n)
        n = fread(buf_reserve(out, 4096), 1, 4096, f);
    fclose(f);
}

/* Gives replies in order; false when one was refused. */
static bool give(struct capabilities *c, struct slice replies)
{
    struct resp_reader reader;
    redisReply *reply;
    int i = 0;
    bool good = true;
    resp_reader_init(&reader);
    assert_true(resp_reader_feed(&reader, replies, &error));
    for (; good && resp_reader_next(&reader, &reply, &error) == 1; i++) {
        good = capabilities_reply(c, i, reply, &error);
        freeReplyObject(reply);
    }
    assert_true(!good || i == CAPABILITIES_COMMANDS);
    resp_reader_free(&reader);
    return good;
}

static struct capabilities of(const char *name)
{
    struct capabilities c;
    struct buf bytes = {0};
    memset(&c, 0xa5, sizeof c);
    read_file(name, &bytes);
    if (!give(&c, buf_slice(&bytes)))
        fail_msg("%s: %s", name, error.text);
    buf_free(&bytes);
    return c;
}

static void refused(const struct capabilities *c, int exit_code, const char *text)
{
    error = (struct error){0};
    assert_false(capabilities_check(c, &error));
    assert_int_equal(error.class, ERROR_FATAL);
    assert_int_equal(error.exit_code, exit_code);
    if (!strstr(error.text, text))
        fail_msg("\"%s\" does not contain \"%s\"", error.text, text);
}

static void versions_decide_which_layouts_restore_takes(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum server_kind kind;
        uint32_t major_minor;
        uint8_t stream_type;
        bool listpacks, set_listpack, hash_field_ttl;
    } expected[] = {
        {"redis-6.2", SERVER_REDIS, 602, 15, false, false, false},
        {"redis-7.0", SERVER_REDIS, 700, 19, true, false, false},
        {"redis-7.2", SERVER_REDIS, 702, 21, true, true, false},
        {"redis-7.4", SERVER_REDIS, 704, 21, true, true, true},
        {"redis-8.0", SERVER_REDIS, 800, 21, true, true, true},
        {"valkey-8.1", SERVER_VALKEY, 801, 21, true, true, false},
        {"valkey-9.1", SERVER_VALKEY, 901, 21, true, true, true},
    };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        struct capabilities c = of(expected[i].name);
        print_message("%s: %s\n", expected[i].name, c.version_text);
        assert_int_equal(c.kind, expected[i].kind);
        assert_int_equal(c.version / 100, expected[i].major_minor);
        assert_int_equal(c.stream_type, expected[i].stream_type);
        assert_int_equal(c.restore_listpacks, expected[i].listpacks);
        assert_int_equal(c.restore_set_listpack, expected[i].set_listpack);
        assert_int_equal(c.hash_field_ttl, expected[i].hash_field_ttl);
        assert_int_equal(c.xgroup_entriesread, expected[i].listpacks);
        assert_int_equal(c.xsetid_entries, expected[i].listpacks);
        assert_true(c.copy && c.getdel && c.zrangestore && c.xadd_minid && c.scripts);
        assert_false(c.json || c.redis_json || c.json_merge || c.search_again);
        assert_false(c.bloom || c.cuckoo || c.cms || c.topk || c.search || c.throttle);
        assert_false(c.cluster || c.replica);
        assert_int_equal(c.databases, 16);
        assert_int_equal(c.max_bulk_bytes, 512 << 20);
        assert_int_equal(c.keys, 3);
        if (!capabilities_check(&c, &error))
            fail_msg("%s", error.text);
    }
}

static void a_dragonfly_is_no_target(void **state)
{
    (void)state;
    struct capabilities c = of("dragonfly-1.40");
    assert_int_equal(c.kind, SERVER_OTHER);
    refused(&c, EX_CONFIG, "the target is a Dragonfly (Dragonfly df-v1.40.1)");
}

static void a_cluster_is_told_and_its_replicas_lead_to_their_masters(void **state)
{
    (void)state;
    struct capabilities c = of("redis-7.0-cluster");
    assert_true(c.cluster);
    if (!capabilities_check(&c, &error))
        fail_msg("%s", error.text);
    c.replica = true;
    assert_true(capabilities_check(&c, &error));
}

static void masters_together_can_do_what_each_of_them_can(void **state)
{
    (void)state;
    struct capabilities old = of("redis-7.0"), newer = of("redis-7.4"), c = newer;
    old.max_bulk_bytes = 1 << 20;
    capabilities_merge(&c, &old);
    assert_int_equal(c.version, old.version);
    assert_string_equal(c.version_text, old.version_text);
    assert_int_equal(c.stream_type, 19);
    assert_int_equal(c.max_bulk_bytes, 1 << 20);
    assert_true(c.restore_listpacks && c.copy && c.scripts);
    assert_false(c.restore_set_listpack || c.hash_field_ttl);
    assert_int_equal(c.keys, old.keys + newer.keys);
    assert_int_equal(c.masters, 2);
    assert_string_equal(c.run_id, "");
    /* The other way round it is the same. */
    struct capabilities other = old;
    capabilities_merge(&other, &newer);
    assert_memory_equal(&c, &other, sizeof c);
    newer.scripts = false;
    capabilities_merge(&c, &newer);
    assert_false(c.scripts);
    assert_int_equal(c.masters, 3);
}

static void a_valkey_among_redises_counts_as_the_redis_it_came_from(void **state)
{
    (void)state;
    struct capabilities valkey = of("valkey-9.1"), c = of("redis-7.4");
    capabilities_merge(&c, &valkey);
    assert_int_equal(c.kind, SERVER_REDIS);
    assert_int_equal(c.version / 100, 702);
    assert_true(c.hash_field_ttl);
    struct capabilities dragonfly = of("dragonfly-1.40");
    capabilities_merge(&c, &dragonfly);
    refused(&c, EX_CONFIG, "the target is a Dragonfly (Dragonfly df-v1.40.1)");
}

static void a_replica_is_refused_and_its_master_named(void **state)
{
    (void)state;
    struct capabilities c = of("redis-7.0-replica");
    assert_true(c.replica);
    refused(&c, EX_CONFIG, "give its master, 127.0.0.1:21002,");
}

static void a_sentinel_is_refused(void **state)
{
    (void)state;
    struct capabilities c = of("redis-7.0-sentinel");
    assert_int_equal(c.kind, SERVER_OTHER);
    assert_false(c.scripts);
    refused(&c, EX_CONFIG, "neither Redis nor Valkey but Sentinel 7.0");
}

/* A user who may run INFO, but neither COMMAND, CONFIG nor EVAL. */
static void what_an_acl_hides_is_taken_from_the_version(void **state)
{
    (void)state;
    struct capabilities c = of("redis-7.0-restricted");
    assert_true(c.copy && c.getdel && c.zrangestore && c.restore_listpacks);
    assert_false(c.hash_field_ttl || c.json || c.scripts);
    assert_int_equal(c.databases, 16);
    assert_int_equal(c.max_bulk_bytes, 512 << 20);
    assert_true(capabilities_check(&c, &error));
}

#define NIL "$-1\r\n"
#define NO "-NOPERM no\r\n"

static void a_user_who_may_not_even_run_info_is_told(void **state)
{
    (void)state;
    struct capabilities c;
    assert_true(give(&c, slice_str(NO NO NO NO NO NO NO NO NO)));
    refused(&c, EX_NOPERM, "INFO");
}

static void servers_that_are_too_old_are_refused(void **state)
{
    (void)state;
    struct capabilities c;
    assert_true(
        give(&c, slice_str("$32\r\n# Server\r\nredis_version:6.0.20\r\n\r\n" NO NO NO NO NO NO NO NO)));
    assert_int_equal(c.version, 60020);
    refused(&c, EX_CONFIG, "the target is Redis 6.0.20, which is too old: use Redis 6.2");
}

/* Which of the commands asked for are known. modules: of INFO. */
static struct capabilities with_modules(const char *const *known, const char *modules)
{
    struct capabilities c;
    struct buf bytes = {0};
    struct slice argv[CAPABILITIES_MAX_ARGS];
    size_t argc = capabilities_command(4, argv, CAPABILITIES_MAX_ARGS);
    assert_true(slice_is(argv[0], "COMMAND"));
    buf_printf(&bytes, "$23\r\nredis_version:8.0.0\r\n\r\n\r\n$0\r\n\r\n$0\r\n\r\n$0\r\n\r\n*%zu\r\n",
               argc - 2);
    for (size_t i = 2; i < argc; i++) {
        bool has = false;
        for (const char *const *k = known; *k; k++)
            has |= slice_is(argv[i], *k);
        buf_printf(&bytes, has ? "*1\r\n$1\r\nx\r\n" : slice_is(argv[i], "bf.add") ? "*0\r\n" : NIL);
    }
    buf_printf(&bytes, "*0\r\n*0\r\n-ERR unknown command\r\n$%zu\r\n%s\r\n", strlen(modules), modules);
    assert_true(give(&c, buf_slice(&bytes)));
    buf_free(&bytes);
    return c;
}

#define MODULE(name) "module:name=" name ",ver=20609,api=1,filters=0,usedby=[],using=[],options=[]\r\n"

static void a_module_is_known_by_its_name_and_not_by_one_command(void **state)
{
    (void)state;
    static const char *const redis[] = {"json.set", "json.merge", "ft.create", "ft._createifnx", NULL};
    static const char *const valkey[] = {"json.set", "ft.create", NULL};
    static const char others[] = "# Modules\r\n" MODULE("vectorset") MODULE("json") MODULE("search");
    struct capabilities redis_json =
        with_modules(redis, "# Modules\r\n" MODULE("vectorset") MODULE("ReJSON") MODULE("search"));
    struct capabilities other = with_modules(valkey, others), both = redis_json;
    assert_true(redis_json.json && redis_json.redis_json && redis_json.json_merge && redis_json.search_again);
    assert_true(other.json && other.search);
    assert_false(other.redis_json || other.json_merge || other.search_again);
    assert_false(with_modules(redis, others).redis_json);
    assert_false(with_modules(redis, "").redis_json); /* not told */
    /* Of masters together what the least of them can, whatever their kinds: either way round. */
    other.kind = SERVER_VALKEY;
    capabilities_merge(&both, &other);
    assert_true(both.json && both.search);
    assert_false(both.redis_json || both.json_merge || both.search_again);
    capabilities_merge(&other, &redis_json);
    assert_true(other.json && other.search);
    assert_false(other.redis_json || other.json_merge || other.search_again);
}

static void modules_are_known_by_their_commands(void **state)
{
    (void)state;
    static const char *const known[] = {"json.set", "topk.add", NULL};
    struct capabilities c = with_modules(known, "");
    assert_true(c.json && c.topk);
    assert_false(c.bloom || c.cuckoo || c.cms || c.search || c.throttle || c.hash_field_ttl || c.copy);
    assert_true(capabilities_knows(&c, slice_str("JSON.SET")));
    assert_true(capabilities_knows(&c, slice_str("json.arrappend")));
    assert_true(capabilities_knows(&c, slice_str("TOPK.INCRBY")));
    assert_false(capabilities_knows(&c, slice_str("BF.ADD")));
    assert_false(capabilities_knows(&c, slice_str("FT.CREATE")));
    assert_false(capabilities_knows(&c, slice_str("CL.THROTTLE")));
    assert_false(capabilities_knows(&c, slice_str("TS.ADD")));
    assert_false(capabilities_knows(&c, slice_str("COPY")));
    assert_false(capabilities_knows(&c, slice_str("EVAL")));
    assert_false(capabilities_knows(&c, slice_str("HPEXPIREAT")));
    assert_true(capabilities_knows(&c, slice_str("SET")));
    assert_true(capabilities_knows(&c, slice_str("LMPOP")));
    assert_true(capabilities_knows(&c, slice_str("J")));
    assert_true(capabilities_knows(&c, slice_str("")));
}

static void commands_of_7_0_are_known_by_version(void **state)
{
    (void)state;
    struct capabilities old = of("redis-6.2"), new = of("redis-7.0"), valkey = of("valkey-8.1");
    assert_false(capabilities_knows(&old, slice_str("lmpop")));
    assert_true(capabilities_knows(&new, slice_str("BZMPOP")));
    assert_true(capabilities_knows(&valkey, slice_str("ZMPOP")));
}

static void a_target_that_is_loading_is_asked_again(void **state)
{
    (void)state;
    struct capabilities c;
    assert_false(give(&c, slice_str("-LOADING Redis is loading the dataset in memory\r\n")));
    assert_int_equal(error.class, ERROR_RETRY);
    assert_non_null(strstr(error.text, "LOADING"));
    assert_false(give(&c, slice_str(NO NO "-BUSY Redis is busy running a script.\r\n")));
    assert_int_equal(error.class, ERROR_RETRY);
}

static void a_full_target_still_has_scripts(void **state)
{
    (void)state;
    struct capabilities c;
    assert_true(give(&c, slice_str(NO NO NO NO NO NO NO "-OOM command not allowed\r\n" NO)));
    assert_true(c.scripts);
}

static void limits_of_the_target_are_read(void **state)
{
    (void)state;
    struct capabilities c;
    assert_true(give(&c, slice_str(NO NO NO NO NO "*2\r\n$9\r\ndatabases\r\n$4\r\n1000\r\n"
                                                  "*2\r\n$1\r\np\r\n$10\r\n1073741824\r\n" NO NO)));
    assert_int_equal(c.databases, 1000);
    assert_int_equal(c.max_bulk_bytes, 1 << 30);
    assert_int_equal(c.query_bytes, 1 << 30);
    assert_true(capabilities_argument_bytes(&c) < 1 << 30); /* as its query buffer must hold it */
    assert_true(capabilities_argument_bytes(&c) > 512 << 20);
}

static void replies_of_any_other_kind_are_taken_as_unknown(void **state)
{
    (void)state;
    static const char wrong_elements[] =
        "*13\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n";
    static const char *const kinds[] = {
        ":1\r\n", NIL, "*0\r\n", "*-1\r\n", "+OK\r\n", "$0\r\n\r\n", "*2\r\n:1\r\n:2\r\n", wrong_elements};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct capabilities c;
        struct buf bytes = {0};
        for (int n = 0; n < CAPABILITIES_COMMANDS; n++)
            buf_printf(&bytes, "%s", kinds[i]);
        assert_true(give(&c, buf_slice(&bytes)));
        assert_false(c.json || c.cluster || c.replica || c.copy);
        assert_int_equal(c.databases, 16);
        assert_int_equal(c.keys, 0);
        refused(&c, EX_NOPERM, "INFO");
        buf_free(&bytes);
    }
}

static void odd_info_texts_do_no_harm(void **state)
{
    (void)state;
    static const char *const texts[] = {"redis_version:",
                                        "redis_version",
                                        "redis_version:7",
                                        ":",
                                        "\n\n\n",
                                        "db0:keys=",
                                        "db0:keys=99999999999999999999999",
                                        "db",
                                        "db0:keys=5",
                                        "role:",
                                        "role:slave",
                                        "redis_version:....",
                                        "redis_version:999999999999.1.1"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct capabilities c;
        struct buf bytes = {0};
        for (int n = 0; n < CAPABILITIES_COMMANDS; n++)
            buf_printf(&bytes, "$%zu\r\n%s\r\n", strlen(texts[i]), texts[i]);
        assert_true(give(&c, buf_slice(&bytes)));
        assert_int_equal(c.keys, strcmp(texts[i], "db0:keys=5") == 0 ? 5 : 0);
        assert_int_equal(c.replica, strcmp(texts[i], "role:slave") == 0);
        capabilities_check(&c, &error);
        buf_free(&bytes);
    }
}

static void the_probe_fits_its_room(void **state)
{
    (void)state;
    struct slice argv[CAPABILITIES_MAX_ARGS];
    for (int i = 0; i < CAPABILITIES_COMMANDS; i++) {
        size_t argc = capabilities_command(i, argv, CAPABILITIES_MAX_ARGS);
        assert_in_range(argc, 2, CAPABILITIES_MAX_ARGS);
        assert_int_equal(capabilities_command(i, argv, 1), 1);
    }
    assert_int_equal(capabilities_command(CAPABILITIES_COMMANDS, argv, CAPABILITIES_MAX_ARGS), 0);
    assert_int_equal(capabilities_command(-1, argv, CAPABILITIES_MAX_ARGS), 0);
}

struct probe {
    struct capabilities found;
    int answered;
    unsigned done;
};

static void on_probe(struct client *c, const redisReply *reply, void *arg)
{
    struct probe *p = arg;
    (void)c;
    assert_true(capabilities_reply(&p->found, p->answered++, reply, &error));
    p->done = p->answered == CAPABILITIES_COMMANDS;
}

static void the_installed_server_can_be_a_target(void **state)
{
    (void)state;
    struct redis redis;
    struct owner o = {0};
    struct probe p = {0};
    struct slice argv[CAPABILITIES_MAX_ARGS];
    static const char *const options[] = {"--databases", "20", NULL};
    redis_start(&redis, options);
    if (!redis.pid)
        skip();
    make_ready(&o, uri_of("redis://127.0.0.1:%u", redis.port));
    client_words(o.client, 5000, NULL, NULL, "SET", "k", "v", NULL);
    for (int i = 0; i < CAPABILITIES_COMMANDS; i++) {
        size_t argc = capabilities_command(i, argv, CAPABILITIES_MAX_ARGS);
        client_command(o.client, 5000, on_probe, &p, argc, argv);
    }
    assert_true(reaches(&p.done, 1));
    assert_int_equal(p.found.databases, 20);
    assert_int_equal(p.found.keys, 1);
    assert_true(p.found.scripts && p.found.copy && p.found.version >= 60200);
    if (!capabilities_check(&p.found, &error))
        fail_msg("%s", error.text);
    owner_done(&o);
    redis_stop(&redis);
}

static void a_promoted_server_has_the_data_of_its_master_unless_the_history_is_its_own(void **state)
{
    (void)state;
    static const char master[] = "role:master\r\nmaster_replid:a\r\nmaster_replid2:000\r\n";
    static const char first_replica[] = "role:master\r\nmaster_replid:b\r\nmaster_replid2:000\r\n";
    static const char own[] = "role:master\r\nmaster_replid:b\r\nmaster_replid2:a\r\n";
    static const char others[] = "role:master\r\nmaster_replid:b\r\nmaster_replid2:c\r\n";
    static const char replica[] = "role:slave\r\nmaster_replid:c\r\nmaster_replid2:000\r\n";
    assert_false(info_was_replica(slice_str(master), "a"));
    assert_false(info_was_replica(slice_str(first_replica), "a"));
    assert_false(info_was_replica(slice_str(own), "a"));
    assert_true(info_was_replica(slice_str(others), "a"));
    assert_true(info_was_replica(slice_str(replica), "a"));
    assert_false(info_was_replica(slice_str(others), ""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(versions_decide_which_layouts_restore_takes),
        TEST(a_dragonfly_is_no_target),
        TEST(a_cluster_is_told_and_its_replicas_lead_to_their_masters),
        TEST(masters_together_can_do_what_each_of_them_can),
        TEST(a_valkey_among_redises_counts_as_the_redis_it_came_from),
        TEST(a_replica_is_refused_and_its_master_named),
        TEST(a_promoted_server_has_the_data_of_its_master_unless_the_history_is_its_own),
        TEST(a_sentinel_is_refused),
        TEST(what_an_acl_hides_is_taken_from_the_version),
        TEST(a_user_who_may_not_even_run_info_is_told),
        TEST(servers_that_are_too_old_are_refused),
        TEST(modules_are_known_by_their_commands),
        TEST(a_module_is_known_by_its_name_and_not_by_one_command),
        TEST(commands_of_7_0_are_known_by_version),
        TEST(a_target_that_is_loading_is_asked_again),
        TEST(a_full_target_still_has_scripts),
        TEST(limits_of_the_target_are_read),
        TEST(replies_of_any_other_kind_are_taken_as_unknown),
        TEST(odd_info_texts_do_no_harm),
        TEST(the_probe_fits_its_room),
        TEST(the_installed_server_can_be_a_target),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
