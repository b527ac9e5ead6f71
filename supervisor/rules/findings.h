/* Objections and warnings before anything is written: gathered from target and source, then reported together. Each
 * belongs to a probe: what was looked at. A start of a run reports what is wrong; df2redis check reports every probe. */
#ifndef DF2REDIS_SUPERVISOR_RULES_FINDINGS_H
#define DF2REDIS_SUPERVISOR_RULES_FINDINGS_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"

enum finding_severity { FINDING_WARNING, FINDING_ERROR };

struct finding {
    enum finding_severity severity;
    int exit_code; /* of an error: the one that the run would end with */
    char *text;    /* what was found, on what, and the way out */
    size_t probe;  /* index; FINDINGS_NO_PROBE */
};
struct probe {
    const char *name;
    bool known; /* false: it could not be looked at */
    char *text; /* what was seen; or, not known, the reason and the way out */
};
struct findings {
    struct finding *list;
    size_t count, errors;
    struct probe *probes; /* in the order of their beginning */
    size_t probe_count;
    size_t probe; /* index of the one that was begun last */
};
#define FINDINGS_NO_PROBE SIZE_MAX

/* Begins a probe, or goes on with the one of that name: what is added from now on is its. The text is what was seen; a
 * later one of the same probe is dropped. name: a literal. */
void findings_probe(struct findings *f, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same for one that cannot be judged: the reason, and what to do. */
void findings_unknown(struct findings *f, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A text is added once. */
void findings_warn(struct findings *f, const char *format, ...) __attribute__((format(printf, 2, 3)));
void findings_refuse(struct findings *f, int exit_code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Returns the exit code that the errors ask for: EX_NOPERM if a right is missing, otherwise that of the first; 0: none. */
int findings_exit_code(const struct findings *f);
/* Logs all findings and empties the list. A single error goes into *error instead, if it fits; otherwise *error has the
 * number of errors. False: no error, *error is untouched. */
bool findings_tell(struct findings *f, struct error *error);
void findings_free(struct findings *f);

#endif
