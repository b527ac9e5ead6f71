/* Connections that ask something: their number and their time are bounded. */
#include "tests/unit/supervisor/supervisor_testing.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "supervisor/observe/clients.h"

enum { LIMIT = 3, DEADLINE_MS = 1000, PATIENCE_MS = 120000 };

static struct event_base *base;
static struct clients *clients;
static struct sockaddr_un address;

/* "hold" is answered and held, anything else that ends with ! gets an answer of a megabyte. */
static void on_input(struct client *client, struct evbuffer *input, void *arg)
{
    (void)arg;
    static char large[1 << 20];
    size_t len = evbuffer_get_length(input);
    const char *text = (const char *)evbuffer_pullup(input, -1);
    if (len == 4 && memcmp(text, "hold", 4) == 0) {
        client_hold(client);
    } else if (len && text[len - 1] == '!') {
        evbuffer_add(client_output(client), large, sizeof large);
        client_answered(client);
    }
}

static int setup(void **state)
{
    if (make_dir(state) != 0)
        return -1;
    struct clients_config config = {.what = "the test",
                                    .limit = LIMIT,
                                    .deadline_ms = DEADLINE_MS,
                                    .request_bytes = 100,
                                    .on_input = on_input};
    address = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/sock", testing_dir);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    base = event_base_new();
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 16) != 0)
        return -1;
    clients = clients_open(base, fd, &config);
    return clients ? 0 : -1;
}

static int teardown(void **state)
{
    clients_close(clients);
    event_base_free(base);
    unlink(address.sun_path);
    return remove_dir(state);
}

static void turn(uint32_t ms)
{
    struct timeval t = {.tv_usec = (suseconds_t)ms * 1000};
    event_base_loopexit(base, &t);
    event_base_loop(base, 0);
    for (int i = 0; i < 4; i++) /* accepted, read, answered: whatever the time took */
        event_base_loop(base, EVLOOP_NONBLOCK);
}

static int join(const char *says)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(send(fd, says, strlen(says), MSG_NOSIGNAL), strlen(says));
    turn(5);
    return fd;
}

static bool ended(int fd)
{
    char byte;
    ssize_t n = recv(fd, &byte, 1, MSG_DONTWAIT);
    return n == 0 || (n < 0 && errno == ECONNRESET);
}

static bool ends_within(int fd, uint32_t ms)
{
    uint64_t end = clock_monotonic_ms() + ms;
    while (!ended(fd)) {
        if (clock_monotonic_ms() >= end)
            return false;
        turn(10);
    }
    return true;
}

/* One byte now and then does not put the end off. */
static void request_has_a_deadline_however_slowly_it_comes(void **state)
{
    (void)state;
    uint64_t begun = clock_monotonic_ms();
    int fd = join("x");
    while (!ended(fd)) {
        assert_true(clock_monotonic_ms() - begun < PATIENCE_MS);
        send(fd, "x", 1, MSG_NOSIGNAL);
        turn(20);
    }
    assert_true(clock_monotonic_ms() - begun >= DEADLINE_MS - 50);
    close(fd);
}

static void answer_that_is_not_read_has_a_deadline(void **state)
{
    (void)state;
    int fd = join("all!");
    uint64_t end = clock_monotonic_ms() + PATIENCE_MS;
    while (clients_count(clients)) {
        assert_true(clock_monotonic_ms() < end);
        turn(20);
    }
    close(fd);
}

static void at_the_limit_the_oldest_gives_way_and_held_ones_stay(void **state)
{
    (void)state;
    int held = join("hold"), first = join("a"), second = join("b");
    assert_int_equal(clients_count(clients), LIMIT);
    int third = join("c");
    assert_int_equal(clients_count(clients), LIMIT);
    assert_true(ended(first));
    assert_false(ended(second));
    assert_false(ended(held));
    assert_true(ends_within(second, PATIENCE_MS));
    assert_true(ends_within(third, PATIENCE_MS));
    assert_false(ended(held)); /* no deadline */
    int more[LIMIT - 1];
    for (int i = 0; i < LIMIT - 1; i++)
        more[i] = join("hold");
    int refused = join("x");
    assert_true(ended(refused));
    int fds[] = {held, first, second, third, refused};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
        close(fds[i]);
    for (int i = 0; i < LIMIT - 1; i++)
        close(more[i]);
}

static void too_long_a_request_ends_its_connection(void **state)
{
    (void)state;
    char text[201];
    memset(text, 'x', 200);
    text[200] = '\0';
    int fd = join(text);
    assert_int_equal(clients_count(clients), 0);
    close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(request_has_a_deadline_however_slowly_it_comes),
        TEST(answer_that_is_not_read_has_a_deadline),
        TEST(at_the_limit_the_oldest_gives_way_and_held_ones_stay),
        TEST(too_long_a_request_ends_its_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
