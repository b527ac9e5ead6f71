/* Trouble: failures of the target, logged at the first one, then every ten seconds or when the error changes, and at
 * the end. Shared by all links of a FLOW. */
#ifndef DF2REDIS_WORKER_LINK_TROUBLE_H
#define DF2REDIS_WORKER_LINK_TROUBLE_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"

struct trouble {
    uint64_t since_ms; /* 0: no trouble */
    uint64_t warned_ms;
    char warned[40]; /* beginning of the last warning */
    /* Kept when the trouble is over: how many times in a row the target closed the connection while this was the
     * largest argument in flight. */
    size_t broke_at_bytes;
    unsigned broke_times;
    size_t argument_bytes; /* maximum concluded from that; 0: unknown */
};

/* who: "target", "target 10.0.0.1:7000". limit_ms: --target-retry; 0: no limit. If the trouble has lasted longer,
 * *error becomes ERROR_FATAL. */
void trouble_note(struct trouble *t, const char *who, uint32_t limit_ms, struct error *error);
/* A target with unknown limits closed the connection with this as the largest argument in flight: after five times in a
 * row arguments of this size count as too large. */
void trouble_broke(struct trouble *t, const char *who, size_t argument_bytes);
/* The target accepted an argument of this size. */
void trouble_took(struct trouble *t, size_t argument_bytes);
/* The target accepts writes. True: there was trouble before. */
bool trouble_over(struct trouble *t);

#endif
