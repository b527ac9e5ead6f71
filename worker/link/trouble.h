/* Trouble with the target: told once when it begins, again every ten seconds or when it is another one, and
 * when it is over. One for all links of a FLOW. */
#ifndef DF2REDIS_WORKER_LINK_TROUBLE_H
#define DF2REDIS_WORKER_LINK_TROUBLE_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"

struct trouble {
    uint64_t since_ms; /* 0: there is none */
    uint64_t warned_ms;
    char warned[40]; /* how the last warning began */
    /* Stays when the trouble is over: the target broke the connection so many times in a row while this was the
     * largest argument on its way to it. */
    size_t broke_at_bytes;
    unsigned broke_times;
    size_t argument_bytes; /* so it takes none above that; 0: not known */
};

/* who: "target", "target 10.0.0.1:7000". limit_ms: --target-retry; 0: for ever. When it has lasted longer,
 * *error becomes ERROR_FATAL. */
void trouble_note(struct trouble *t, const char *who, uint32_t limit_ms, struct error *error);
/* A target that does not tell its limits broke the connection, with this as the largest argument on its way:
 * after five times in a row larger ones are taken for too large. */
void trouble_broke(struct trouble *t, const char *who, size_t argument_bytes);
/* It took one of so many bytes. */
void trouble_took(struct trouble *t, size_t argument_bytes);
/* The target took writes again. True when there was trouble. */
bool trouble_over(struct trouble *t);

#endif
