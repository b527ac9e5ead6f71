/* A real redis-server for a test program: DF2REDIS_TEST_REDIS, or redis-server in PATH. It dies with the
 * program. */
#ifndef DF2REDIS_TESTS_UNIT_COMMON_NET_REDIS_TESTING_H
#define DF2REDIS_TESTS_UNIT_COMMON_NET_REDIS_TESTING_H

#include "tests/unit/common/net/transport_testing.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "common/base/clock.h"

struct redis {
    pid_t pid; /* 0: there is no redis-server to start */
    uint16_t port;
    char directory[64], socket[80];
};

static inline void redis_exec(const struct redis *r, const char *const *options)
{
    const char *argv[32], *program = getenv("DF2REDIS_TEST_REDIS");
    char port[8];
    size_t argc = 0;
    int null = open("/dev/null", O_WRONLY);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(null, STDOUT_FILENO);
    snprintf(port, sizeof port, "%u", r->port);
    const char *const fixed[] = {program ? program : "redis-server",
                                 "--port",
                                 port,
                                 "--bind",
                                 "127.0.0.1",
                                 "--save",
                                 "",
                                 "--dir",
                                 r->directory,
                                 "--unixsocket",
                                 r->socket};
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        argv[argc++] = fixed[i];
    while (options && *options && argc < 31)
        argv[argc++] = *options++;
    argv[argc] = NULL;
    execvp(argv[0], (char *const *)(uintptr_t)argv);
    _exit(127);
}

/* Does it answer on its port? (On its socket, too early: it may yet find the port taken.) */
static inline bool redis_answers(const struct redis *r)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(r->port)};
    struct timeval patience = {.tv_sec = 1};
    char byte;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    bool good = connect(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
                send(fd, "PING\r\n", 6, MSG_NOSIGNAL) == 6 && recv(fd, &byte, 1, 0) == 1 &&
                access(r->socket, F_OK) == 0;
    close(fd);
    return good;
}

/* One try: 1 it runs, 0 it ended (the port was taken), -1 there is no such program. */
static inline int redis_try(struct redis *r, const char *const *options)
{
    uint64_t deadline = clock_monotonic_ms() + DEADLINE_MS;
    int status = 0;
    keep_on_loopback(&r->port);
    r->pid = fork();
    assert_true(r->pid >= 0);
    if (r->pid == 0)
        redis_exec(r, options);
    while (!redis_answers(r)) {
        if (clock_monotonic_ms() > deadline)
            kill(r->pid, SIGKILL);
        if (waitpid(r->pid, &status, WNOHANG) == r->pid) {
            r->pid = 0;
            return WIFEXITED(status) && WEXITSTATUS(status) == 127 ? -1 : 0;
        }
        poll(NULL, 0, 10);
    }
    return 1;
}

/* options: more of them, NULL-terminated. pid stays 0 when there is no redis-server; one that cannot be
 * started ends the test. */
static inline void redis_start(struct redis *r, const char *const *options)
{
    int result = 0;
    *r = (struct redis){0};
    snprintf(r->directory, sizeof r->directory, "/tmp/df2redis-redis-XXXXXX");
    assert_non_null(mkdtemp(r->directory));
    snprintf(r->socket, sizeof r->socket, "%s/s", r->directory);
    for (unsigned i = 0; i < 5 && result == 0; i++)
        result = redis_try(r, options);
    if (result == 1)
        return;
    rmdir(r->directory);
    if (result == 0)
        fail_msg("redis-server does not start");
    print_message("there is no redis-server: DF2REDIS_TEST_REDIS may name one\n");
}

static inline void redis_stop(struct redis *r)
{
    if (!r->pid)
        return;
    kill(r->pid, SIGKILL);
    waitpid(r->pid, NULL, 0);
    unlink(r->socket);
    rmdir(r->directory);
    r->pid = 0;
}

#endif
