/* Assertions that stay on in every build: what must hold lest data be lost or wrong in silence.
 *
 * A broken one is a fault of this program, so a condition is never about the word of a peer, a file or a person. It
 * ends the process, and the successor goes on from what the target says (crash-only). The numbers are those of the
 * lists in worker/pipeline/pipeline.h, supervisor/source/session.h and df2redis-design(7); tests/lint checks that they
 * agree. Conditions are cheap, and stand on no path that runs for every byte or entry. */
#ifndef DF2REDIS_COMMON_LOG_INVARIANT_H
#define DF2REDIS_COMMON_LOG_INVARIANT_H

#define INVARIANT(number, holds)                                                                             \
    do {                                                                                                     \
        if (__builtin_expect(!(holds), 0))                                                                   \
            invariant_broken(#number, #holds, __FILE__, __LINE__);                                           \
    } while (0)

/* Logs it and aborts. */
void invariant_broken(const char *number, const char *condition, const char *file, int line)
    __attribute__((noreturn, cold));
/* Called between the two: what is left to be written or noted by this process. NULL: nothing. */
void invariant_before_abort(void (*last)(void));

#endif
