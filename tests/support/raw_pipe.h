/* The yardstick: the same commands, ready-made in memory, through one connection as fast as the server takes
 * them. */
#ifndef DF2REDIS_TESTS_RAW_PIPE_H
#define DF2REDIS_TESTS_RAW_PIPE_H

#include "tests/support/generate.h"

struct raw_pipe {
    struct buf commands;
    uint64_t count; /* one reply of one line each */
};

/* SET, HSET, ZADD, RPUSH, SADD of what generate_session makes, or SETs of its journal. */
void raw_pipe_snapshot(struct raw_pipe *p, const struct generate_options *g);
void raw_pipe_journal(struct raw_pipe *p, const struct generate_options *g);
/* Those of `all` whose key is wanted. */
void raw_pipe_share(struct raw_pipe *share, const struct raw_pipe *all,
                    bool (*wanted)(void *arg, struct slice key), void *arg);
void raw_pipe_free(struct raw_pipe *p);
/* May run in several threads. Seconds from the first byte sent to the last reply read; error replies end the
 * program. */
double raw_pipe_run(const struct raw_pipe *p, uint16_t port);

#endif
