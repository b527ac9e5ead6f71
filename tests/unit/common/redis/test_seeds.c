/* Where a cluster may answer, in turn. */
#include "common/redis/seeds.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static const struct uri given = {
    .host = (char *)"named.example", .password = (char *)"secret", .port = 6379, .tls = true};

static void assert_now(const struct seeds *s, const char *host, unsigned port)
{
    const struct uri *uri = seeds_uri(s);
    assert_string_equal(uri->host, host);
    assert_int_equal(uri->port, port);
    assert_string_equal(uri->password, "secret");
    assert_true(uri->tls);
}

static void the_given_address_alone_stays(void **state)
{
    (void)state;
    static const char *const none[] = {NULL, "", " ", "nonsense", "a:0", "a:65536", "a:", ":7000", "a:7x"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        struct seeds *s = seeds_new(&given, none[i]);
        for (int turn = 0; turn < 3; turn++) {
            assert_now(s, "named.example", 6379);
            seeds_next(s);
        }
        seeds_free(s);
    }
}

static void the_masters_follow_and_then_it_is_the_first_again(void **state)
{
    (void)state;
    struct seeds *s = seeds_new(&given, "10.0.0.1:7000 wrong ::1:7001");
    const struct uri *uri = seeds_uri(s);
    for (int turn = 0; turn < 3; turn++) {
        assert_now(s, "named.example", 6379);
        seeds_next(s);
        assert_now(s, "10.0.0.1", 7000);
        seeds_next(s);
        assert_now(s, "::1", 7001);
        seeds_next(s);
    }
    assert_ptr_equal(uri, seeds_uri(s));
    seeds_free(s);
}

static void a_socket_gives_way_to_addresses(void **state)
{
    (void)state;
    struct uri local = {.host = (char *)"/run/redis.sock", .unix_socket = true};
    struct seeds *s = seeds_new(&local, "10.0.0.1:7000");
    assert_true(seeds_uri(s)->unix_socket);
    seeds_next(s);
    assert_false(seeds_uri(s)->unix_socket);
    seeds_next(s);
    assert_true(seeds_uri(s)->unix_socket);
    seeds_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_given_address_alone_stays),
        cmocka_unit_test(the_masters_follow_and_then_it_is_the_first_again),
        cmocka_unit_test(a_socket_gives_way_to_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
