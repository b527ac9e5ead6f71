/* What the run before this one left behind, and how this one goes on from there.
 *
 *   run.json       whose journal it followed into which target, and whether the copy was complete
 *   flow-N.cursor  how far its workers had come, unless the machine was started again since
 *   the target     hash df2redis:NAME: field run, the session that wrote there last; flow-N, the marks
 *
 * The target alone tells that it is the one we left: without its word it is nobody's, and a first start
 * follows. */
#ifndef DF2REDIS_SUPERVISOR_RUN_EARLIER_RUN_H
#define DF2REDIS_SUPERVISOR_RUN_EARLIER_RUN_H

#include "supervisor/run/run.h"

enum previous_way {
    PREVIOUS_NONE,   /* a first start */
    PREVIOUS_SETTLE, /* apply what the spools hold, then ask for the rest of the journal */
    PREVIOUS_MARKS,  /* the spools are gone: ask for the journal from the target's marks on */
    PREVIOUS_FULL,   /* ours, but a full sync is needed */
};

/* *why: in words. points (PREVIOUS_MARKS): of each FLOW. Pure but for the cursors, which are read in
 * `directory`. */
enum previous_way previous_judge(const struct settings *settings, const struct run_record *record,
                                 const struct target_marks *marks, const struct capabilities *target,
                                 const char *directory, struct resume_point *points, char *why,
                                 size_t why_bytes);

#endif
