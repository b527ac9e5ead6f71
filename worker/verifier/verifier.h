/* The second role of the worker program: compares a whole source with a whole target, for df2redis verify.
 *
 *   verifier.c       messages, ticks, the end
 *      ↓
 *   course.c         connections, and the passes one after the other ──→ servers.c   what both sides are
 *      ↓                   ↓
 *   outcome.c        pass.c → page.c → pipe.c    names, values, many at a time
 *   report, log            doubts ↓
 *                    exact.c → doubts.c          one by one, exactly (worker/compare)
 *   saved.c          the position in a file, so that a killed verification goes on
 *
 * 1. Names of the target: does the source have them, and which values are large?
 * 2. Names of large values of the source.
 * 3. Names of the source: payloads and times of both sides, compared as they come.
 *
 * What is not equal there was perhaps written meanwhile: the exact comparison decides. */
#ifndef DF2REDIS_WORKER_VERIFIER_VERIFIER_H
#define DF2REDIS_WORKER_VERIFIER_VERIFIER_H

#include "common/ipc/message.h"
#include "common/settings/settings.h"

/* What the program around it does. */
struct verifier_host {
    bool (*confine)(const struct settings *settings, const char *directory, struct error *error);
    void (*turn)(void); /* several times a second */
};

/* order: VERIFY with settings. channel: a socket to the command, non-blocking. Returns the exit code. */
int verifier_run(int channel, const struct message *order, const struct verifier_host *host);

#endif
