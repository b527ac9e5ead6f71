/* Writes of every kind, by several clients at the same time: what each of them sends follows from the seed
 * alone. */
#ifndef DF2REDIS_TESTS_WORKLOAD_H
#define DF2REDIS_TESTS_WORKLOAD_H

#include "common/base/mem.h"

struct workload_options {
    uint16_t port;
    uint64_t seed;
    unsigned connections;
    uint32_t databases; /* 0 … databases - 1 are used */
    uint64_t commands;  /* of each connection; 0: until workload_stop */
    uint32_t keys;      /* of each kind and database */
    uint64_t rate;      /* commands a second of each connection; 0: as fast as it goes */
    bool short_ttls;    /* keys that expire within seconds, too */
    bool unportable;    /* also what a plain Redis 7.0 has no place for: JSON, filters, field and member TTLs,
                           STICK */
    bool lossy;         /* also what Dragonfly's own replica does not always get right */
    bool flushes;       /* now and then a FLUSHDB, very seldom a FLUSHALL */
    bool may_break;     /* the server may be killed: the clients end then */
};
void workload_options_init(struct workload_options *o, uint16_t port);

struct workload;
struct workload *workload_start(const struct workload_options *o);
/* Ends the clients; the number of commands that were answered without an error. */
uint64_t workload_stop(struct workload *w);
/* Waits until each connection has sent its commands, and ends them. */
uint64_t workload_finish(struct workload *w);
/* Answered so far, errors included. */
uint64_t workload_progress(struct workload *w);

#endif
