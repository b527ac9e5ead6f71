/* Names with several addresses: one that refuses and one that never answers are passed over.
 *
 * getaddrinfo(3) is ours here: "two" is 127.0.0.2 and 127.0.0.1, "dead" 127.0.0.2 twice, "localhost" unknown; without a
 * name it is as "two". */
#include "tests/unit/common/net/client_testing.h"

#include <netdb.h>

static unsigned looked_up;

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
    static struct sockaddr_in addresses[2];
    static struct addrinfo list[2];
    if (hints->ai_flags & AI_NUMERICHOST)
        return EAI_NONAME;
    looked_up++;
    if (name && strcmp(name, "localhost") == 0)
        return EAI_NONAME;
    for (unsigned i = 0; i < 2; i++) {
        addresses[i] = (struct sockaddr_in){.sin_family = AF_INET,
                                            .sin_port = htons((uint16_t)strtoul(service, NULL, 10))};
        inet_pton(AF_INET, i == 1 && (!name || strcmp(name, "two") == 0) ? "127.0.0.1" : "127.0.0.2",
                  &addresses[i].sin_addr);
        list[i] = (struct addrinfo){.ai_family = AF_INET,
                                    .ai_socktype = SOCK_STREAM,
                                    .ai_addr = (struct sockaddr *)&addresses[i],
                                    .ai_addrlen = sizeof addresses[i],
                                    .ai_next = i == 0 ? &list[1] : NULL};
    }
    *out = list;
    return 0;
}

void freeaddrinfo(struct addrinfo *list)
{
    (void)list;
}

/* A listener on 127.0.0.2 whose queue is full: the kernel drops what else wants to connect. */
struct silent {
    int listener, queued[8];
};

static bool silent_start(struct silent *s, uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, "127.0.0.2", &address.sin_addr);
    memset(s->queued, -1, sizeof s->queued);
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s->listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(s->listener, 0), 0);
    for (unsigned i = 0; i < 8; i++) {
        struct pollfd p = {.events = POLLOUT};
        p.fd = s->queued[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        connect(p.fd, (struct sockaddr *)&address, sizeof address);
        if (poll(&p, 1, 100) == 0)
            return true;
    }
    return false;
}

static void silent_stop(struct silent *s)
{
    for (unsigned i = 0; i < 8; i++)
        if (s->queued[i] >= 0)
            close(s->queued[i]);
    close(s->listener);
}

static void an_address_that_refuses_is_passed_over(void **state)
{
    (void)state;
    uint16_t port;
    struct owner o = {0};
    int listener = listen_on_loopback(&port);
    looked_up = 0;
    make_ready(&o, uri_of("redis://two:%u", port));
    close(accept_one(listener));
    assert_int_equal(looked_up, 1);
    owner_done(&o);
    close(listener);
}

static void an_address_that_never_answers_is_passed_over(void **state)
{
    (void)state;
    uint16_t port;
    struct silent silent;
    struct owner o = {0};
    int listener = listen_on_loopback(&port);
    settings.connect_timeout_ms = 3000;
    if (!silent_start(&silent, port)) {
        silent_stop(&silent);
        skip();
    }
    uint64_t before = clock_monotonic_ms();
    make_ready(&o, uri_of("redis://two:%u", port));
    assert_in_range(clock_monotonic_ms() - before, 900, 2900);
    close(accept_one(listener));
    owner_done(&o);
    silent_stop(&silent);
    close(listener);
}

static void localhost_is_the_loopback_where_no_file_says_so(void **state)
{
    (void)state;
    uint16_t port;
    struct owner o = {0};
    int listener = listen_on_loopback(&port);
    make_ready(&o, uri_of("redis://localhost:%u", port));
    owner_done(&o);
    close(listener);
}

static void when_no_address_answers_the_connect_timeout_ends_it(void **state)
{
    (void)state;
    uint16_t port;
    struct silent silent;
    struct owner o = {0};
    keep_on_loopback(&port);
    settings.connect_timeout_ms = 300;
    if (!silent_start(&silent, port)) {
        silent_stop(&silent);
        skip();
    }
    owner_connect(&o, uri_of("redis://dead:%u", port), "source");
    assert_true(reaches(&o.failed, 1));
    assert_failed(&o, ERROR_RETRY, 0, "connecting took longer than 300 ms");
    owner_done(&o);
    silent_stop(&silent);
}

static void when_every_address_refuses_the_connection_is_refused(void **state)
{
    (void)state;
    uint16_t port;
    struct owner o = {0};
    keep_on_loopback(&port);
    owner_connect(&o, uri_of("redis://two:%u", port), "source");
    assert_true(reaches(&o.failed, 1));
    assert_failed(&o, ERROR_RETRY, 0, "connecting to redis://two:");
    owner_done(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_address_that_refuses_is_passed_over),
        TEST(an_address_that_never_answers_is_passed_over),
        TEST(localhost_is_the_loopback_where_no_file_says_so),
        TEST(when_no_address_answers_the_connect_timeout_ends_it),
        TEST(when_every_address_refuses_the_connection_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
