/* What a verification compares: source and target of an active run, with its settings, or those of the command line. */
#ifndef DF2REDIS_SUPERVISOR_VERIFY_SUBJECT_H
#define DF2REDIS_SUPERVISOR_VERIFY_SUBJECT_H

#include "supervisor/config/options.h"

struct subject {
    bool beside_run;
    uint64_t session; /* of the run, like the next two */
    uint32_t flow_count;
    char master_id[41];
    struct settings settings;
};

/* False: *error. */
bool subject_find(struct subject *s, const struct options *options, struct error *error);
/* Asks the run again. False: it does not answer. *changed: its session is another one. */
bool subject_refresh(struct subject *s, bool *changed);
void subject_free(struct subject *s);

#endif
