/* The end of a process whose state is wrong. */
#include "common/log/invariant.h"

#include <stdlib.h>

#include "common/log/log.h"

static void (*before_abort)(void);

void invariant_before_abort(void (*last)(void))
{
    before_abort = last;
}

void invariant_broken(const char *number, const char *condition, const char *file, int line)
{
    void (*last)(void) = before_abort;
    before_abort = NULL; /* it may break one itself */
    log_write_always(LOG_LEVEL_ERROR,
                     "invariant %s is broken: %s (%s:%d): this process ends, and its successor goes on from "
                     "what the target has; please report this line",
                     number, condition, file, line);
    if (last)
        last();
    abort();
}
