/* Objections and warnings before anything is written: gathered from target and source, then reported together. */
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

/* A text is added once. */
void findings_warn(struct findings *f, const char *format, ...) __attribute__((format(printf, 2, 3)));
void findings_refuse(struct findings *f, int exit_code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Logs all findings and empties the list. A single error goes into *error instead, if it fits; otherwise *error has the
 * number of errors. A missing right decides the exit code. False: no error, *error is untouched. */
bool findings_tell(struct findings *f, struct error *error);
void findings_free(struct findings *f);

#endif
