/* A target whose name has several addresses, of which some are replicas'. getaddrinfo(3) is ours: "two" is
 * 127.0.0.2 and 127.0.0.1, at each of which a redis-server of our own listens. */
#include "tests/unit/supervisor/supervisor_testing.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <netdb.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "supervisor/target/target.h"
#include "tests/support/wait_until.h"

enum { START_MS = 300000 };

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
    static struct sockaddr_in addresses[2];
    static struct addrinfo list[2];
    struct in_addr numeric;
    bool is_numeric = inet_pton(AF_INET, name, &numeric) == 1;
    if ((hints->ai_flags & AI_NUMERICHOST) && !is_numeric)
        return EAI_NONAME;
    for (unsigned i = 0; i < 2; i++) {
        addresses[i] = (struct sockaddr_in){
            .sin_family = AF_INET, .sin_port = htons((uint16_t)(service ? strtoul(service, NULL, 10) : 0))};
        inet_pton(AF_INET, i == 0 ? "127.0.0.2" : "127.0.0.1", &addresses[i].sin_addr);
        if (is_numeric)
            addresses[i].sin_addr = numeric;
        list[i] = (struct addrinfo){.ai_family = AF_INET,
                                    .ai_socktype = SOCK_STREAM,
                                    .ai_addr = (struct sockaddr *)&addresses[i],
                                    .ai_addrlen = sizeof addresses[i],
                                    .ai_next = i == 0 && !is_numeric ? &list[1] : NULL};
    }
    *out = list;
    return 0;
}

void freeaddrinfo(struct addrinfo *list)
{
    (void)list;
}

static pid_t servers[2];

static pid_t start_server(const char *address, const char *port)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int null = open("/dev/null", O_RDWR);
        dup2(null, STDOUT_FILENO);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        const char *named = getenv("DF2REDIS_TEST_REDIS"),
                   *program = named && *named ? named : "redis-server";
        execlp(program, program, "--bind", address, "--port", port, "--save", "", "--dir", testing_dir,
               (char *)NULL);
        _exit(127);
    }
    return pid;
}

static bool make_replica(const char *address, int port, bool replica)
{
    redisContext *c = redisConnect(address, port);
    redisReply *r = c && !c->err ? redisCommand(c, replica ? "REPLICAOF 127.0.0.3 1" : "PING") : NULL;
    bool done = r && r->type == REDIS_REPLY_STATUS;
    if (r)
        freeReplyObject(r);
    if (c)
        redisFree(c);
    return done;
}

struct starting {
    const char *address;
    int port;
    bool replica;
    pid_t *server;
};

static bool is_made_or_gone(void *arg)
{
    struct starting *one = arg;
    int status;
    if (make_replica(one->address, one->port, one->replica))
        return true;
    if (waitpid(*one->server, &status, WNOHANG) != *one->server)
        return false;
    *one->server = 0;
    return true;
}

/* On one port, which both addresses have free. */
static uint16_t start_both(bool first_is_replica, bool second_is_replica)
{
    static const char *const addresses[] = {"127.0.0.2", "127.0.0.1"};
    const bool replicas[] = {first_is_replica, second_is_replica};
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_ANY)};
    socklen_t bytes = sizeof any;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&any, sizeof any), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&any, &bytes), 0);
    close(fd);
    char port[8];
    snprintf(port, sizeof port, "%u", ntohs(any.sin_port));
    for (unsigned i = 0; i < 2; i++) {
        servers[i] = start_server(addresses[i], port);
        struct starting one = {addresses[i], ntohs(any.sin_port), replicas[i], &servers[i]};
        assert_true(wait_until(is_made_or_gone, &one, START_MS));
        if (!servers[i]) {
            print_message("no redis-server here, or no 127.0.0.2: skipped\n");
            skip();
        }
    }
    return ntohs(any.sin_port);
}

static int stop_both(void **state)
{
    for (unsigned i = 0; i < 2; i++)
        if (servers[i] > 0) {
            kill(servers[i], SIGKILL);
            waitpid(servers[i], NULL, 0);
            servers[i] = 0;
        }
    return remove_dir(state);
}

struct asked {
    struct event_base *base;
    bool done;
    bool replica;
    struct error error;
};

static void on_done(const struct capabilities *c, void *arg)
{
    struct asked *a = arg;
    a->done = true;
    a->replica = c->replica;
    event_base_loopbreak(a->base);
}

static void on_failed(const struct error *error, void *arg)
{
    struct asked *a = arg;
    a->error = *error;
    event_base_loopbreak(a->base);
}

static struct asked ask(uint16_t port)
{
    struct settings s;
    struct error error = {0};
    char uri[40];
    struct asked a = {.base = event_base_new()};
    struct target_callbacks callbacks = {.arg = &a, .done = on_done, .failed = on_failed};
    settings_init(&s);
    snprintf(uri, sizeof uri, "redis://two:%u", port);
    assert_true(settings_set(&s, "target", uri, NULL));
    struct target_job *job = target_start(a.base, &s, TARGET_ASK, 0, NULL, &callbacks, &error);
    assert_non_null(job);
    event_base_dispatch(a.base);
    target_free(job);
    event_base_free(a.base);
    settings_free(&s);
    return a;
}

static void master_behind_a_replica_is_found(void **state)
{
    (void)state;
    struct asked a = ask(start_both(true, false));
    assert_true(a.done);
    assert_false(a.replica);
}

static void replicas_alone_are_refused_with_their_addresses(void **state)
{
    (void)state;
    struct asked a = ask(start_both(true, true));
    assert_false(a.done);
    assert_int_equal(a.error.class, ERROR_FATAL);
    assert_int_equal(a.error.exit_code, EX_CONFIG);
    assert_non_null(strstr(a.error.text, "none of the 2 addresses of target redis://two:"));
}

static void absent_one_beside_a_replica_is_told(void **state)
{
    (void)state;
    uint16_t port = start_both(true, false);
    kill(servers[1], SIGKILL);
    waitpid(servers[1], NULL, 0);
    servers[1] = 0;
    struct asked a = ask(port);
    assert_false(a.done);
    assert_int_equal(a.error.class, ERROR_RETRY);
    assert_non_null(strstr(a.error.text, "127.0.0.1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(master_behind_a_replica_is_found, make_dir, stop_both),
        cmocka_unit_test_setup_teardown(replicas_alone_are_refused_with_their_addresses, make_dir, stop_both),
        cmocka_unit_test_setup_teardown(absent_one_beside_a_replica_is_told, make_dir, stop_both),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
