/* For unit tests of what scripts do: a redis-server of our own on a socket file, gone when the test ends. */
#ifndef DF2REDIS_TEST_LOCAL_REDIS_H
#define DF2REDIS_TEST_LOCAL_REDIS_H

#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/mem.h"
#include "tests/support/wait_until.h"

enum { LOCAL_REDIS_START_MS = 300000 };

struct local_redis {
    char directory[32];
    char socket[64];
    pid_t pid;
    redisContext *c;
};

static inline bool local_redis_is_up_or_gone(void *arg)
{
    struct local_redis *r = arg;
    int status;
    if (waitpid(r->pid, &status, WNOHANG) == r->pid) {
        rmdir(r->directory);
        assert_int_equal(WEXITSTATUS(status), 127);
        r->pid = 0;
        return true;
    }
    r->c = redisConnectUnix(r->socket);
    if (r->c && !r->c->err)
        return true;
    redisFree(r->c);
    return false;
}

/* False when there is no redis-server here. */
static inline bool local_redis_start(struct local_redis *r)
{
    *r = (struct local_redis){.directory = "/tmp/df2redis-test-XXXXXX"};
    assert_non_null(mkdtemp(r->directory));
    snprintf(r->socket, sizeof r->socket, "%s/socket", r->directory);
    r->pid = fork();
    assert_true(r->pid >= 0);
    if (r->pid == 0) {
        int null = open("/dev/null", O_RDWR);
        dup2(null, STDOUT_FILENO);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        const char *named = getenv("DF2REDIS_TEST_REDIS"),
                   *program = named && *named ? named : "redis-server";
        execlp(program, program, "--port", "0", "--unixsocket", r->socket, "--save", "", "--dir",
               r->directory, (char *)NULL);
        _exit(127);
    }
    if (!wait_until(local_redis_is_up_or_gone, r, LOCAL_REDIS_START_MS))
        fail_msg("redis-server did not open %s", r->socket);
    return r->pid != 0;
}

static inline void local_redis_stop(struct local_redis *r)
{
    if (!r->pid)
        return;
    redisFree(r->c);
    kill(r->pid, SIGKILL);
    waitpid(r->pid, NULL, 0);
    unlink(r->socket);
    rmdir(r->directory);
}

/* One command in words; the reply is the caller's. */
static inline redisReply *local_redis_run(struct local_redis *r, const char *line)
{
    const char *argv[64];
    size_t lengths[64];
    int argc = 0;
    while (*line) {
        size_t len = strcspn(line, " ");
        assert_true(argc < 64);
        argv[argc] = line;
        lengths[argc++] = len;
        line += len;
        line += *line == ' ';
    }
    redisReply *reply = redisCommandArgv(r->c, argc, argv, lengths);
    assert_non_null(reply);
    return reply;
}

/* Raw RESP of whole commands; the first error among their replies, or "". */
static inline const char *local_redis_raw(struct local_redis *r, const struct buf *resp, size_t commands)
{
    static char error[256];
    error[0] = '\0';
    for (size_t done = 0; done < resp->len;) {
        ssize_t n = write(r->c->fd, resp->data + done, resp->len - done);
        assert_true(n > 0);
        done += (size_t)n;
    }
    for (size_t i = 0; i < commands; i++) {
        void *reply = NULL;
        assert_int_equal(redisGetReply(r->c, &reply), REDIS_OK);
        redisReply *answer = reply;
        if (answer->type == REDIS_REPLY_ERROR && !error[0])
            snprintf(error, sizeof error, "%s", answer->str);
        freeReplyObject(reply);
    }
    return error;
}

#endif
