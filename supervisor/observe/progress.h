/* On a terminal: one line per FLOW with a bar, rate and lag, redrawn in place below the log. */
#ifndef DF2REDIS_SUPERVISOR_OBSERVE_PROGRESS_H
#define DF2REDIS_SUPERVISOR_OBSERVE_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/mem.h"

struct run;

/* Does nothing without a terminal on standard error, with --progress off, or with a JSON log. */
void progress_start(struct run *run);
void progress_stop(struct run *run);
bool progress_active(void);
void progress_redraw(void);

/* One FLOW's line; pure. share: of the snapshot, 0 … 1; below 0: unknown. */
struct progress_line {
    uint32_t flow;
    const char *phase;
    double share;
    uint64_t received_bytes, rate_bytes, lag_bytes, lag_ms;
};
void progress_format(const struct progress_line *line, size_t columns, char *out, size_t out_bytes);

#endif
