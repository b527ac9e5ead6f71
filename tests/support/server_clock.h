/* A wall clock of its own for a server of a test, that can be set at any time (tests/preload/wrong_clock.c). */
#ifndef DF2REDIS_TESTS_SERVER_CLOCK_H
#define DF2REDIS_TESTS_SERVER_CLOCK_H

#include "tests/support/servers.h"

/* The clock of this server, right for now; close() it. A server that is started between load and unload has it. */
int server_clock_open(const struct server *server);
void server_clock_load(const struct server *server);
void server_clock_unload(void);
/* From now on it is wrong by so much. */
void server_clock_set(int clock, int64_t off_ms);

#endif
