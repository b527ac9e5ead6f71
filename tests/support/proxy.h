/* A TCP proxy of the test: connections to it go on to a port that may change, and break when told to. Runs in
 * a thread. */
#ifndef DF2REDIS_TESTS_PROXY_H
#define DF2REDIS_TESTS_PROXY_H

#include "common/base/mem.h"

struct proxy;

struct proxy *proxy_start(uint16_t to_port);
void proxy_stop(struct proxy *p);
const char *proxy_uri(const struct proxy *p);

/* New connections go to another port; those that are there break. */
void proxy_to(struct proxy *p, uint16_t to_port);
/* New connections go to another port; those that are there stay. */
void proxy_lead(struct proxy *p, uint16_t to_port);
/* Every connection breaks (RST). */
void proxy_cut(struct proxy *p);
/* From now on every connection breaks once so many bytes of the client's were passed on, wherever in a
 * command that is; 0: none does. */
void proxy_cut_after(struct proxy *p, uint64_t bytes);
/* What the server sends arrives so much later; 0: at once. At most so many bytes pass in each direction a second,
 * all connections together; 0: as many as there are. */
void proxy_slow(struct proxy *p, uint32_t delay_ms, uint64_t bytes_per_s);
/* A word on its way, whole in one piece, is replaced: bytes from → to, in both directions; both stay the caller's. At
 * most 8 words; proxy_as_it_is ends all. */
void proxy_replace(struct proxy *p, const char *from, const char *to);
void proxy_as_it_is(struct proxy *p);
/* Connections on which a FLOW of a Dragonfly was asked for lie in a black hole: they stay, and nothing passes
 * in either direction. */
void proxy_hold_flows(struct proxy *p, bool hold);
/* How many times a client of a Dragonfly asked for a full sync (DFLY SYNC). */
uint64_t proxy_full_syncs(struct proxy *p);
/* Connections broken so far. */
uint64_t proxy_cuts(struct proxy *p);

#endif
