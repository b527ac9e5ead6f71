/* The end of a run, and of a session: up to where everything has to be applied, and whether it was. */
#ifndef DF2REDIS_SUPERVISOR_RUN_DRAIN_H
#define DF2REDIS_SUPERVISOR_RUN_DRAIN_H

#include <stdbool.h>
#include <stdint.h>

enum { DRAIN_UNKNOWN_BYTES = 320 };

struct drain {
    bool asking; /* for the source's LSNs; nothing is cut off before they are known */
    uint64_t asked_ms;
    uint64_t *lsns;                    /* per FLOW: entries before it are waited for; NULL: not known */
    uint64_t target_asked_ms;          /* once all is applied: has the target kept it? 0: not yet */
    char unknown[DRAIN_UNKNOWN_BYTES]; /* why not */
    uint64_t progress, progress_ms;    /* bytes received and applied, and when that changed last */
    uint64_t contact_ms, warned_ms;    /* of a target that is away while a session ends */
};

#endif
