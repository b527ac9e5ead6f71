/* Trouble with the target: told once when it begins, again every ten seconds or when it is another one, and
 * when it is over. One for all links of a FLOW. */
#ifndef DF2REDIS_TROUBLE_H
#define DF2REDIS_TROUBLE_H

#include <stdint.h>

#include "common/error.h"

struct trouble {
    uint64_t since_ms; /* 0: there is none */
    uint64_t warned_ms;
    char warned[40]; /* how the last warning began */
};

/* who: "target", "target 10.0.0.1:7000". limit_ms: --target-retry; 0: for ever. When it has lasted longer,
 * *error becomes ERROR_FATAL. */
void trouble_note(struct trouble *t, const char *who, uint32_t limit_ms, struct error *error);
/* The target took writes again. True when there was trouble. */
bool trouble_over(struct trouble *t);

#endif
