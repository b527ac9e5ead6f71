/* What stands against a run, or should be known of it, before anything is written: gathered from target and
 * source, then told all at once. */
#ifndef DF2REDIS_SUPERVISOR_RULES_FINDINGS_H
#define DF2REDIS_SUPERVISOR_RULES_FINDINGS_H

#include <stddef.h>

#include "common/base/error.h"

enum finding_severity { FINDING_WARNING, FINDING_ERROR };

struct finding {
    enum finding_severity severity;
    int exit_code; /* of an error: EX_NOPERM or EX_CONFIG */
    char *text;    /* what was found, on what, and the way out */
};
struct findings {
    struct finding *list;
    size_t count, errors;
};

/* One that is there already is not added again. */
void findings_warn(struct findings *f, const char *format, ...) __attribute__((format(printf, 2, 3)));
void findings_refuse(struct findings *f, int exit_code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Into the log, and out of the list: warnings; errors too unless there is one alone, which *error has
 * then if it fits. Else *error says how many they are. False: there is no error, and *error is left alone. A missing right
 * decides the exit code. */
bool findings_tell(struct findings *f, struct error *error);
void findings_free(struct findings *f);

#endif
