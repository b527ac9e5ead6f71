/* Real servers for tests: Redis or Valkey as the target, Dragonfly as the source.
 *
 * DF2REDIS_TEST_REDIS names the target's binary (default: redis-server in PATH),
 * DF2REDIS_TEST_DRAGONFLY Dragonfly's (no default: tests that need it are skipped). */
#ifndef DF2REDIS_TESTS_SERVERS_H
#define DF2REDIS_TESTS_SERVERS_H

#include <hiredis/hiredis.h>

#include "tests/support/process.h"

struct server {
    struct process process;
    uint16_t port;
    char *dir; /* its files; removed with it */
    char uri[48];
};

/* Empty, on a free port of 127.0.0.1, persisting nothing, answering PING. extra: more options, ends with
 * NULL, may be NULL. Ends the test program when it cannot be started. */
void redis_start(struct server *s, const char *const *extra);
/* On this port, with a directory of its own. False: it did not come up there (somebody else has the port). */
bool redis_start_on(struct server *s, uint16_t port, const char *const *extra);
/* The same again on the same port, without data: a target that lost everything. */
/* server: a struct server *. Whether it is a replica that has its master's data. For wait_until(). */
bool redis_is_in_sync(void *server);
void redis_restart(struct server *s, const char *const *extra);

bool dragonfly_available(void);
void dragonfly_start(struct server *s, unsigned shards, const char *const *extra);
/* Another one in its place, empty. */
void dragonfly_restart(struct server *s, unsigned shards, const char *const *extra);

void server_stop(struct server *s);

/* A connection; ends the test program when there is none. */
redisContext *server_connect(uint16_t port);
/* One command of words, which may hold no spaces; its reply, freed by the caller; errors of the connection
 * end the test program, error replies do not. */
redisReply *server_command(redisContext *c, const char *words);
/* The same in hiredis's own format: what stands for a %s or %b may hold spaces. */
redisReply *server_commandf(redisContext *c, const char *format, ...);
/* The same for its integer, and for commands that must not fail. */
long long server_integer(redisContext *c, const char *words);
void server_ok(redisContext *c, const char *words);
/* Both over a connection of their own. */
void server_tell(uint16_t port, const char *words);
long long server_ask(uint16_t port, const char *words);
/* Keys in all databases. */
uint64_t server_keys(redisContext *c);
/* A field of INFO as text, freed by the caller; NULL when there is none. */
char *server_info(redisContext *c, const char *section, const char *field);

#endif
