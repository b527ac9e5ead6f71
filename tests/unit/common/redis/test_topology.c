/* Slots of keys as the Redis Cluster specification has them; tables of nodes from CLUSTER SLOTS and
 * CLUSTER NODES. */
#include "common/redis/topology.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

static uint16_t slot_of(const char *key)
{
    return key_slot(slice_str(key));
}

/* Values of the specification and of CLUSTER KEYSLOT. */
static void keys_lie_in_the_slots_that_the_servers_say(void **state)
{
    (void)state;
    assert_int_equal(slot_of("123456789"), 12739);
    assert_int_equal(slot_of("foo"), 12182);
    assert_int_equal(slot_of(""), 0);
    assert_int_equal(key_slot(slice_of("a\0b", 3)), key_slot(slice_of("x{a\0b}y", 7)));
}

static void hash_tags_follow_the_first_braces_alone(void **state)
{
    (void)state;
    assert_int_equal(slot_of("{user1000}.following"), slot_of("user1000"));
    assert_int_equal(slot_of("{user1000}.followers"), slot_of("{user1000}.following"));
    assert_int_equal(slot_of("foo{{bar}}zap"), slot_of("{bar"));
    assert_int_equal(slot_of("foo{bar}{zap}"), slot_of("bar"));
    assert_int_not_equal(slot_of("foo{}{bar}"), slot_of("bar"));
    assert_int_not_equal(slot_of("foo{bar"), slot_of("bar"));
    assert_int_equal(slot_of("}{a}"), slot_of("a"));
}

static void every_slot_has_a_tag_and_a_key_of_marks(void **state)
{
    (void)state;
    for (unsigned s = 0; s < CLUSTER_SLOTS; s++) {
        char key[160];
        assert_in_range(strlen(slot_tag((uint16_t)s)), 1, 3);
        assert_int_equal(slot_of(slot_tag((uint16_t)s)), s);
        slot_mark_key(key, sizeof key, "default", (uint16_t)s);
        assert_int_equal(slot_of(key), s);
    }
}

/* ---- CLUSTER SLOTS ---- */

#define ID_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define ID_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define HOST "$9\r\n127.0.0.1\r\n"
#define NODE(host, port, id) "*4\r\n" host ":" port "\r\n$40\r\n" id "\r\n*0\r\n"

static redisReply *reply_of(const char *resp)
{
    redisReader *reader = redisReaderCreate();
    void *reply = NULL;
    assert_int_equal(redisReaderFeed(reader, resp, strlen(resp)), REDIS_OK);
    assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
    assert_non_null(reply);
    redisReaderFree(reader);
    return reply;
}

static bool parse(struct topology *t, const char *resp, struct error *error)
{
    struct uri asked = {.host = (char *)"asked.example", .port = 7000};
    redisReply *reply = reply_of(resp);
    bool ok = topology_parse(t, reply, &asked, error);
    freeReplyObject(reply);
    return ok;
}

static const char two_nodes[] =
    "*3\r\n"
    "*4\r\n:0\r\n:99\r\n" NODE(HOST, "7002", ID_B) NODE(HOST, "7005", ID_A) "*3\r\n:100\r\n:8000\r\n" NODE(
        HOST, "7001", ID_A) "*3\r\n:8001\r\n:16383\r\n" NODE(HOST, "7002", ID_B);

static void ranges_become_a_table_of_masters(void **state)
{
    (void)state;
    struct topology t = {0};
    struct error error;
    assert_true(parse(&t, two_nodes, &error));
    assert_int_equal(t.count, 2);
    assert_string_equal(t.nodes[0].id, ID_A);
    assert_int_equal(t.nodes[0].port, 7001);
    assert_int_equal(t.nodes[0].first_slot, 100);
    assert_int_equal(t.nodes[0].slots, 7901);
    assert_int_equal(t.nodes[1].first_slot, 0);
    assert_int_equal(t.nodes[0].replicas, 0);
    assert_int_equal(t.nodes[1].replicas, 1);
    assert_int_equal(t.owner[99], 1);
    assert_int_equal(t.owner[100], 0);
    assert_int_equal(t.owner[16383], 1);
    assert_true(topology_complete(&t, &error));
    topology_free(&t);
}

static void a_node_without_a_host_is_reached_as_the_one_that_was_asked(void **state)
{
    (void)state;
    static const char *const hosts[] = {"*1\r\n*3\r\n:0\r\n:1\r\n" NODE("$-1\r\n", "7001", ID_A),
                                        "*1\r\n*3\r\n:0\r\n:1\r\n" NODE("$0\r\n\r\n", "7001", ID_A),
                                        "*1\r\n*3\r\n:0\r\n:1\r\n" NODE("$1\r\n?\r\n", "7001", ID_A)};
    for (size_t i = 0; i < 3; i++) {
        struct topology t = {0};
        struct error error;
        struct uri given = {.host = (char *)"asked.example", .port = 7000, .tls = true}, uri = {0};
        assert_true(parse(&t, hosts[i], &error));
        topology_uri(&t, 0, &given, &uri);
        assert_string_equal(uri.host, "asked.example");
        assert_int_equal(uri.port, 7001);
        assert_true(uri.tls);
        assert_false(topology_complete(&t, &error));
        assert_int_equal(error.class, ERROR_RETRY);
        uri_free(&uri);
        topology_free(&t);
    }
}

static void a_slot_that_moved_is_another_topology(void **state)
{
    (void)state;
    static const char moved[] =
        "*2\r\n"
        "*3\r\n:0\r\n:100\r\n" NODE(HOST, "7002", ID_B) "*3\r\n:101\r\n:16383\r\n" NODE(HOST, "7001", ID_A);
    struct topology a = {0}, b = {0}, c = {0};
    struct error error;
    assert_true(parse(&a, two_nodes, &error));
    assert_true(parse(&b, two_nodes, &error));
    assert_true(parse(&c, moved, &error));
    assert_true(topology_same(&a, &b));
    assert_false(topology_same(&a, &c));
    assert_true(a.nodes[0].fingerprint == b.nodes[0].fingerprint);
    assert_false(a.nodes[0].fingerprint == c.nodes[0].fingerprint);
    topology_free(&a);
    topology_free(&b);
    topology_free(&c);
}

static void what_is_no_table_of_slots_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "-ERR This instance has cluster support disabled\r\n",
        "+OK\r\n",
        "*1\r\n:1\r\n",
        "*1\r\n*2\r\n:0\r\n:1\r\n",
        "*1\r\n*3\r\n:5\r\n:4\r\n" NODE(HOST, "7001", ID_A),
        "*1\r\n*3\r\n:0\r\n:16384\r\n" NODE(HOST, "7001", ID_A),
        "*1\r\n*3\r\n:-1\r\n:4\r\n" NODE(HOST, "7001", ID_A),
        "*1\r\n*3\r\n:0\r\n:4\r\n" NODE(HOST, "0", ID_A),
        "*1\r\n*3\r\n:0\r\n:4\r\n" NODE(HOST, "65536", ID_A),
        "*1\r\n*3\r\n:0\r\n:4\r\n*2\r\n" HOST ":7001\r\n",
    };
    struct topology t = {0};
    struct error error;
    assert_true(parse(&t, two_nodes, &error));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_false(parse(&t, wrong[i], &error));
        assert_int_equal(error.class, ERROR_RETRY);
        assert_int_equal(t.count, 2);
    }
    topology_free(&t);
}

static void a_cluster_without_slots_is_read_and_not_complete(void **state)
{
    (void)state;
    struct topology t = {0};
    struct error error;
    assert_true(parse(&t, "*0\r\n", &error));
    assert_int_equal(t.count, 0);
    assert_false(topology_complete(&t, &error));
    topology_free(&t);
}

/* ---- CLUSTER NODES ---- */

#define ID_C "cccccccccccccccccccccccccccccccccccccccc"
#define REST " - 0 1700000000000 3 connected"

static size_t add_idle(struct topology *t, const char *lines)
{
    struct uri asked = {.host = (char *)"asked.example", .port = 7000};
    redisReply reply = {.type = REDIS_REPLY_STRING, .str = (char *)(uintptr_t)lines, .len = strlen(lines)};
    size_t before = t->count;
    assert_true(topology_add_idle(t, &reply, &asked));
    return t->count - before;
}

/* Each slot's is found, whether the slots around it have the same or not. */
static void assert_owners(const struct topology *t)
{
    for (uint16_t slot = 0; slot < CLUSTER_SLOTS; slot++)
        assert_int_equal(topology_owner(t, slot), t->owner[slot]);
}

static void masters_without_slots_are_added(void **state)
{
    (void)state;
    struct topology t = {0};
    struct error error;
    assert_true(parse(&t, two_nodes, &error));
    uint64_t fingerprint = t.nodes[0].fingerprint;
    assert_int_equal(add_idle(&t, ID_A " 127.0.0.1:7001@17001 myself,master" REST " 100-8000 [100->-" ID_C
                                       "]\n" ID_C " ::1:7003@17003,host.example master" REST "\n"),
                     1);
    assert_string_equal(t.nodes[2].id, ID_C);
    assert_string_equal(t.nodes[2].host, "::1");
    assert_int_equal(t.nodes[2].port, 7003);
    assert_int_equal(t.nodes[2].slots, 0);
    assert_int_equal(t.nodes[0].slots, 7901);
    assert_true(t.nodes[0].fingerprint == fingerprint);
    assert_true(topology_complete(&t, &error));
    assert_int_equal(topology_find(&t, ID_C), 2);
    assert_int_equal(topology_find(&t, "c"), TOPOLOGY_NOBODY);
    assert_owners(&t);
    topology_give(&t, 100, 2);
    assert_int_equal(t.owner[100], 2);
    assert_owners(&t);
    assert_int_equal(t.nodes[2].first_slot, 100);
    assert_int_equal(t.nodes[2].slots, 1);
    assert_int_equal(t.nodes[0].first_slot, 101);
    assert_int_equal(t.nodes[0].slots, 7900);
    assert_false(t.nodes[0].fingerprint == fingerprint);
    topology_free(&t);
}

static void those_that_have_failed_are_known_as_such(void **state)
{
    (void)state;
    struct topology t = {0}, without = {0};
    struct error error;
    assert_true(parse(&t, two_nodes, &error));
    assert_true(parse(&without, two_nodes, &error));
    assert_int_equal(add_idle(&t, ID_C " 127.0.0.1:7003@17003 master,fail" REST "\n"), 1);
    assert_true(t.nodes[2].failed);
    assert_false(t.nodes[0].failed);
    assert_false(topology_same(&t, &without));
    assert_true(topology_serves_same(&t, &without));
    topology_give(&t, 5, 2);
    assert_false(topology_serves_same(&t, &without));
    topology_free(&t);
    topology_free(&without);
}

static void they_have_names_where_the_others_have(void **state)
{
    (void)state;
    static const char named[] = "*1\r\n*3\r\n:0\r\n:16383\r\n" NODE("$9\r\na.example\r\n", "7001", ID_A);
    static const char lines[] = ID_A " 10.0.0.1:7001@17001,a.example master" REST " 0-16383\n" ID_C
                                     " 10.0.0.3:7003@17003,c.example,shard-id=x master" REST "\n";
    struct topology t = {0}, u = {0};
    struct error error;
    assert_true(parse(&t, named, &error));
    assert_int_equal(add_idle(&t, lines), 1);
    assert_string_equal(t.nodes[1].host, "c.example");
    assert_true(parse(&u, two_nodes, &error));
    assert_int_equal(add_idle(&u, lines), 1);
    assert_string_equal(u.nodes[2].host, "10.0.0.3");
    topology_free(&t);
    topology_free(&u);
}

static void a_node_tells_whether_slots_are_or_come_to_it(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool takes;
    } cases[] = {
        {ID_A " 127.0.0.1:7001@17001 master" REST " 0-16383\n" ID_C " 127.0.0.1:7003@17003 myself,master" REST
              "\n",
         false},
        {ID_C " 127.0.0.1:7003@17003 myself,master" REST " 5\n", true},
        {ID_C " 127.0.0.1:7003@17003 myself,master" REST " [5-<-" ID_A "]\n", true},
        {ID_A " 127.0.0.1:7001@17001 master" REST " 0-16383\n", true}, /* it does not say */
        {"", true},
        {ID_C " 127.0.0.1:7003@17003 myself,master - 0\n", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        redisReply r = {
            .type = REDIS_REPLY_STRING, .str = (char *)cases[i].text, .len = strlen(cases[i].text)};
        assert_int_equal(topology_takes_slots(&r), cases[i].takes);
    }
    redisReply refused = {.type = REDIS_REPLY_ERROR, .str = (char *)"NOPERM", .len = 6};
    assert_true(topology_takes_slots(&refused));
}

static void hear(void *arg, uint16_t slot, bool importing, const char *id)
{
    buf_printf(arg, "%u %s %s\n", (unsigned)slot, importing ? "from" : "to", id);
}

static void slots_on_their_way_are_told(void **state)
{
    (void)state;
    static const char lines[] =
        ID_A " 127.0.0.1:7001@17001 myself,master" REST " 0-99 [5->-" ID_C "] [7-<-" ID_B "] [9->-" ID_B
             "] [16384->-" ID_B "] [->-" ID_B "]\n" ID_C " 127.0.0.1:7003@17003 master" REST "\n";
    redisReply reply = {.type = REDIS_REPLY_STRING, .str = (char *)(uintptr_t)lines, .len = strlen(lines)};
    redisReply refused = {.type = REDIS_REPLY_ERROR};
    struct buf heard = {0};
    topology_each_move(&reply, hear, &heard);
    topology_each_move(&refused, hear, &heard);
    buf_put_u8(&heard, 0);
    assert_string_equal((const char *)heard.data, "5 to " ID_C "\n7 from " ID_B "\n9 to " ID_B "\n");
    buf_free(&heard);
}

static void one_that_imports_a_slot_serves_none_yet(void **state)
{
    (void)state;
    struct topology t = {0};
    struct error error;
    assert_true(parse(&t, two_nodes, &error));
    assert_int_equal(add_idle(&t, ID_C " :7003@17003 myself,master" REST " [100-<-" ID_A "]"), 1);
    assert_string_equal(t.nodes[2].host, "asked.example");
    topology_free(&t);
}

static void what_is_no_idle_master_is_passed_over(void **state)
{
    (void)state;
    static const char *const others[] = {
        ID_C " 127.0.0.1:7003@17003 slave " ID_A " 0 1 3 connected\n",
        ID_C " :0@0 master,noaddr" REST "\n",
        ID_C " 127.0.0.1:7003@17003 handshake,master" REST "\n",
        ID_C " 127.0.0.1:7003@17003 master" REST " 5\n",
        ID_C " 127.0.0.1:0@17003 master" REST "\n",
        ID_C " 127.0.0.1@17003 master" REST "\n",
        ID_C ID_C " 127.0.0.1:7003@17003 master" REST "\n",
        ID_C " 127.0.0.1:7003@17003 master - 0\n",
        "\n\n \n",
        "",
    };
    struct topology t = {0};
    struct error error;
    assert_true(parse(&t, two_nodes, &error));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_int_equal(add_idle(&t, others[i]), 0);
    redisReply refused = {.type = REDIS_REPLY_ERROR};
    struct uri asked = {0};
    assert_false(topology_add_idle(&t, &refused, &asked));
    assert_int_equal(t.count, 2);
    topology_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_lie_in_the_slots_that_the_servers_say),
        cmocka_unit_test(hash_tags_follow_the_first_braces_alone),
        cmocka_unit_test(every_slot_has_a_tag_and_a_key_of_marks),
        cmocka_unit_test(ranges_become_a_table_of_masters),
        cmocka_unit_test(a_node_without_a_host_is_reached_as_the_one_that_was_asked),
        cmocka_unit_test(a_slot_that_moved_is_another_topology),
        cmocka_unit_test(what_is_no_table_of_slots_is_refused_and_changes_nothing),
        cmocka_unit_test(a_cluster_without_slots_is_read_and_not_complete),
        cmocka_unit_test(masters_without_slots_are_added),
        cmocka_unit_test(one_that_imports_a_slot_serves_none_yet),
        cmocka_unit_test(those_that_have_failed_are_known_as_such),
        cmocka_unit_test(they_have_names_where_the_others_have),
        cmocka_unit_test(a_node_tells_whether_slots_are_or_come_to_it),
        cmocka_unit_test(slots_on_their_way_are_told),
        cmocka_unit_test(what_is_no_idle_master_is_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
