/* The addresses of a target's name, in turn. getaddrinfo(3) is ours: "three" is 127.0.0.1 to 127.0.0.3. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "common/redis/seeds.h"

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
    static struct sockaddr_in addresses[3];
    static struct addrinfo list[3];
    (void)service, (void)hints;
    size_t count = strcmp(name, "three") == 0 ? 3 : 1;
    for (size_t i = 0; i < count; i++) {
        char text[16];
        snprintf(text, sizeof text, "127.0.0.%zu", i + 1);
        addresses[i] = (struct sockaddr_in){.sin_family = AF_INET};
        inet_pton(AF_INET, text, &addresses[i].sin_addr);
        list[i] = (struct addrinfo){.ai_family = AF_INET,
                                    .ai_socktype = SOCK_STREAM,
                                    .ai_addr = (struct sockaddr *)&addresses[i],
                                    .ai_addrlen = sizeof addresses[i],
                                    .ai_next = i + 1 < count ? &list[i + 1] : NULL};
    }
    *out = list;
    return 0;
}

void freeaddrinfo(struct addrinfo *list)
{
    (void)list;
}

static void assert_now(const struct seeds *s, const char *host, const char *address)
{
    const struct uri *uri = seeds_uri(s);
    assert_string_equal(uri->host, host);
    if (address)
        assert_string_equal(uri->address, address);
    else
        assert_null(uri->address);
}

static void each_address_has_its_turn(void **state)
{
    (void)state;
    struct uri given = {.host = (char *)"three", .port = 7000};
    struct seeds *s = seeds_new(&given, NULL);
    assert_now(s, "three", NULL);
    for (int round = 0; round < 2; round++) {
        seeds_next(s);
        assert_now(s, "three", "127.0.0.1");
        seeds_next(s);
        assert_now(s, "three", "127.0.0.2");
        seeds_next(s);
        assert_now(s, "three", "127.0.0.3");
    }
    seeds_free(s);
}

static void masters_stand_between_them(void **state)
{
    (void)state;
    struct uri given = {.host = (char *)"three", .port = 7000};
    struct seeds *s = seeds_new(&given, "10.0.0.1:7001");
    seeds_next(s);
    assert_now(s, "10.0.0.1", NULL);
    seeds_next(s);
    assert_now(s, "three", "127.0.0.1");
    seeds_next(s);
    assert_now(s, "10.0.0.1", NULL);
    seeds_next(s);
    assert_now(s, "three", "127.0.0.2");
    seeds_free(s);
}

static void one_address_stays_as_it_is_named(void **state)
{
    (void)state;
    struct uri given = {.host = (char *)"one", .port = 7000};
    struct seeds *s = seeds_new(&given, NULL);
    seeds_next(s);
    assert_now(s, "one", NULL);
    seeds_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_address_has_its_turn),
        cmocka_unit_test(masters_stand_between_them),
        cmocka_unit_test(one_address_stays_as_it_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
