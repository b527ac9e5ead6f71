/* State of draining: up to which LSNs all is applied at the end of a run or a session, and the progress so far. */
#ifndef DF2REDIS_SUPERVISOR_RUN_DRAIN_H
#define DF2REDIS_SUPERVISOR_RUN_DRAIN_H

#include <stdbool.h>
#include <stdint.h>

enum { DRAIN_UNKNOWN_BYTES = 320 };

struct drain {
    bool asking; /* the source's LSNs are awaited; no FLOW is cut off before */
    uint64_t asked_ms;
    uint64_t *lsns;           /* per FLOW: entries before it are awaited; NULL: unknown */
    uint64_t target_asked_ms; /* when the target was asked for evictions, after all was applied; 0: not yet */
    char unknown[DRAIN_UNKNOWN_BYTES]; /* why the LSNs are unknown */
    uint64_t progress, progress_ms;    /* bytes received and applied, and the time of the last change */
    uint64_t contact_ms, warned_ms; /* last contact with the target, and last warning, while a session ends */
};

#endif
