/* Resuming an earlier run of the same name, from the state that it left:
 *
 *   run.json       source, target and scope of the copy; was the copy complete?
 *   flow-N.cursor  progress of its workers, unless the machine was booted since
 *   the target     hash df2redis:NAME: field run, the session that wrote there last; flow-N, the marks
 *
 * Only the target's own marks prove that it is the earlier run's target. Without them a first start follows, which the
 * keys of a complete copy survive: a migration leaves no marks, and --marks off writes none, so there run.json counts. */
#ifndef DF2REDIS_SUPERVISOR_RUN_EARLIER_RUN_H
#define DF2REDIS_SUPERVISOR_RUN_EARLIER_RUN_H

#include "supervisor/run/run.h"

enum resume_way {
    RESUME_NONE,        /* a first start */
    RESUME_FROM_SPOOLS, /* apply the spools, then ask for the rest of the journal */
    RESUME_FROM_MARKS,  /* spools are gone: ask for the journal from the target's marks on */
    RESUME_FULL_SYNC,   /* the earlier run's target, but a full sync is needed */
};

/* Returns the way to resume; *why: the reason in words; points, with RESUME_FROM_MARKS: where each FLOW resumes. Pure,
 * but for the cursors, which are read in `directory`. */
enum resume_way earlier_run_decide(const struct settings *settings, const struct run_record *record,
                                   const struct target_marks *marks, const struct capabilities *target,
                                   const char *directory, struct resume_point *points, char *why,
                                   size_t why_bytes);

/* Returns true if the record is about this target, marks or not. */
bool earlier_run_was_here(const struct settings *settings, const struct run_record *record,
                          const struct capabilities *target);

/* The same for this run, from its record, which the caller frees, as *points. Notes in *run whose keys the target has, and
 * the reason. */
enum resume_way run_examine_earlier(struct run *run, const struct target_marks *marks,
                                    struct run_record *record, struct resume_point **points);

#endif
