/* A TCP proxy of the test: connections to it go on to a port that may change, and break when told to. Runs in
 * a thread. */
#ifndef DF2REDIS_TESTS_PROXY_H
#define DF2REDIS_TESTS_PROXY_H

#include "common/mem.h"

struct proxy;

struct proxy *proxy_start(uint16_t to_port);
void proxy_stop(struct proxy *p);
const char *proxy_uri(const struct proxy *p);

/* New connections go to another port; those that are there break. */
void proxy_to(struct proxy *p, uint16_t to_port);
/* Every connection breaks (RST). */
void proxy_cut(struct proxy *p);
/* From now on every connection breaks once so many bytes of the client's were passed on, wherever in a
 * command that is; 0: none does. */
void proxy_cut_after(struct proxy *p, uint64_t bytes);
/* Connections broken so far. */
uint64_t proxy_cuts(struct proxy *p);

#endif
