/* Real servers: started on free ports, waited for, stopped. */
#include "tests/support/servers.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/support/testing.h"

enum { START_DEADLINE_MS = 300000, MAX_ARGS = 64 };

static bool answers_ping(void *arg)
{
    struct server *s = arg;
    if (!process_running(&s->process))
        return true; /* no use waiting; the caller looks again */
    struct timeval timeout = {1, 0};
    redisContext *c = redisConnectWithTimeout("127.0.0.1", s->port, timeout);
    bool ok = false;
    if (c && !c->err) {
        redisSetTimeout(c, timeout);
        redisReply *r = redisCommand(c, "PING");
        ok = r && r->type != REDIS_REPLY_ERROR;
        if (r)
            freeReplyObject(r);
    }
    if (c)
        redisFree(c);
    return ok;
}

static bool start_and_wait(struct server *s, const char *const argv[])
{
    char *log = format_text("%s/output", s->dir);
    bool started = process_start(&s->process, log, argv);
    free(log);
    if (!started)
        die("%s cannot be started", argv[0]);
    bool up = wait_until(answers_ping, s, START_DEADLINE_MS) && process_running(&s->process);
    if (!up) {
        char *said = process_output(&s->process);
        fprintf(stderr, "%s did not come up on port %u; it said:\n%s\n", argv[0], s->port, said);
        free(said);
        process_stop(&s->process);
    }
    return up;
}

static void append_extra(const char *argv[MAX_ARGS], size_t n, const char *const *extra)
{
    for (; extra && *extra && n < MAX_ARGS - 1; extra++)
        argv[n++] = *extra;
    argv[n] = NULL;
}

static bool redis_try(struct server *s, const char *const *extra)
{
    const char *binary = getenv("DF2REDIS_TEST_REDIS");
    char port[8];
    snprintf(port, sizeof port, "%u", s->port);
    const char *argv[MAX_ARGS] = {binary && *binary ? binary : "redis-server",
                                  "--port",
                                  port,
                                  "--bind",
                                  "127.0.0.1",
                                  "--dir",
                                  s->dir,
                                  "--save",
                                  "",
                                  "--appendonly",
                                  "no",
                                  "--daemonize",
                                  "no"};
    append_extra(argv, 13, extra);
    return start_and_wait(s, argv);
}

static void begin(struct server *s, const char *what)
{
    *s = (struct server){.dir = temp_dir_make(what)};
}

static void set_port(struct server *s, uint16_t port)
{
    s->port = port;
    snprintf(s->uri, sizeof s->uri, "redis://127.0.0.1:%u", s->port);
}

void redis_start(struct server *s, const char *const *extra)
{
    begin(s, "redis");
    set_port(s, free_port());
    if (!redis_try(s, extra))
        die("no redis-server: set DF2REDIS_TEST_REDIS");
}

bool redis_start_on(struct server *s, uint16_t port, const char *const *extra)
{
    begin(s, "redis");
    set_port(s, port);
    if (redis_try(s, extra))
        return true;
    server_stop(s);
    return false;
}

bool redis_is_in_sync(void *server)
{
    const struct server *s = server;
    redisContext *c = server_connect(s->port);
    char *link = server_info(c, "replication", "master_link_status");
    bool up = link && strcmp(link, "up") == 0;
    free(link);
    redisFree(c);
    return up;
}

void redis_restart(struct server *s, const char *const *extra)
{
    process_stop(&s->process);
    if (!redis_try(s, extra))
        die("redis-server did not come back on port %u", s->port);
}

bool dragonfly_available(void)
{
    const char *binary = getenv("DF2REDIS_TEST_DRAGONFLY");
    return binary && access(binary, X_OK) == 0;
}

static bool dragonfly_try(struct server *s, unsigned shards, const char *const *extra)
{
    char *args[] = {
        format_text("--port=%u", s->port),
        format_text("--num_shards=%u", shards),
        format_text("--proactor_threads=%u", shards),
        format_text("--dir=%s", s->dir),
        format_text("--maxmemory=%uMB", shards * 512),
    };
    const char *argv[MAX_ARGS] = {getenv("DF2REDIS_TEST_DRAGONFLY"),
                                  args[0],
                                  args[1],
                                  args[2],
                                  args[3],
                                  args[4],
                                  "--bind=127.0.0.1",
                                  "--dbfilename=",
                                  "--logtostderr",
                                  "--version_check=false"};
    append_extra(argv, 10, extra);
    bool up = start_and_wait(s, argv);
    for (size_t i = 0; i < sizeof args / sizeof *args; i++)
        free(args[i]);
    return up;
}

void dragonfly_start(struct server *s, unsigned shards, const char *const *extra)
{
    begin(s, "dragonfly");
    set_port(s, free_port());
    if (!dragonfly_try(s, shards, extra))
        die("no Dragonfly: check DF2REDIS_TEST_DRAGONFLY");
}

void dragonfly_restart(struct server *s, unsigned shards, const char *const *extra)
{
    process_stop(&s->process);
    if (!dragonfly_try(s, shards, extra))
        die("Dragonfly did not come back on port %u", s->port);
}

void server_stop(struct server *s)
{
    process_stop(&s->process);
    temp_dir_remove(s->dir);
    s->dir = NULL;
}

redisContext *server_connect(uint16_t port)
{
    struct timeval timeout = {60, 0};
    redisContext *c = redisConnectWithTimeout("127.0.0.1", port, timeout);
    if (!c || c->err)
        die("no connection to port %u: %s", port, c ? c->errstr : "out of memory");
    return c;
}

redisReply *server_command(redisContext *c, const char *words)
{
    char *copy = x_strdup(words);
    const char *argv[MAX_ARGS];
    size_t lengths[MAX_ARGS];
    int argc = 0;
    char *rest = copy;
    for (char *word; (word = strsep(&rest, " ")) && argc < MAX_ARGS;) {
        argv[argc] = word;
        lengths[argc++] = strlen(word);
    }
    redisReply *r = redisCommandArgv(c, argc, argv, lengths);
    if (!r)
        die("%s on port %d: %s", words, c->tcp.port, c->errstr);
    free(copy);
    return r;
}

redisReply *server_commandf(redisContext *c, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    redisReply *r = redisvCommand(c, format, args);
    va_end(args);
    if (!r)
        die("%s on port %d: %s", format, c->tcp.port, c->errstr);
    return r;
}

long long server_integer(redisContext *c, const char *words)
{
    redisReply *r = server_command(c, words);
    if (r->type != REDIS_REPLY_INTEGER)
        die("%s on port %d: not an integer but %s", words, c->tcp.port, r->str ? r->str : "something else");
    long long v = r->integer;
    freeReplyObject(r);
    return v;
}

void server_ok(redisContext *c, const char *words)
{
    redisReply *r = server_command(c, words);
    if (r->type == REDIS_REPLY_ERROR)
        die("%s on port %d: %s", words, c->tcp.port, r->str);
    freeReplyObject(r);
}

void server_tell(uint16_t port, const char *words)
{
    redisContext *c = server_connect(port);
    server_ok(c, words);
    redisFree(c);
}

long long server_ask(uint16_t port, const char *words)
{
    redisContext *c = server_connect(port);
    long long v = server_integer(c, words);
    redisFree(c);
    return v;
}

uint64_t server_keys(redisContext *c)
{
    redisReply *r = server_command(c, "INFO keyspace");
    uint64_t total = 0;
    for (const char *at = r->str; at && (at = strstr(at, "keys=")); at += 5)
        total += strtoull(at + 5, NULL, 10);
    freeReplyObject(r);
    return total;
}

char *server_info(redisContext *c, const char *section, const char *field)
{
    char *words = format_text("INFO %s", section);
    redisReply *r = server_command(c, words);
    free(words);
    char *value = NULL;
    char *wanted = format_text("\n%s:", field);
    const char *at = r->str ? strstr(r->str, wanted) : NULL;
    if (at) {
        at += strlen(wanted);
        value = x_strndup(at, strcspn(at, "\r\n"));
    }
    free(wanted);
    freeReplyObject(r);
    return value;
}
