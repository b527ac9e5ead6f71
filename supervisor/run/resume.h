/* Where a session resumes the journal, and whether that is still the same journal.
 *
 * Same master id: DFLY FLOW … <lsn of the last command applied>. That entry is compared (journal_check.h).
 *
 * Another master id: DFLY FLOW … <last master id> <lsn>-<lsn>-…. The answer is PARTIAL if the master was a replica of
 * that one and was promoted. Its ring begins at the promotion, so the entry to compare may be older than the ring:
 * then a second session asks from after that entry. If much was written since the promotion, a third session asks
 * again: a ring that still begins there after further writes is not full and has lost nothing. It waits some seconds
 * for such writes. The same questions are asked of a promoted master that has been followed since then: the last
 * command applied may still be one of the master before.
 *
 * session_start.c calls these functions between the greeting and the phase commands. */
#ifndef DF2REDIS_SUPERVISOR_RUN_RESUME_H
#define DF2REDIS_SUPERVISOR_RUN_RESUME_H

#include "supervisor/run/run.h"

/* Returns true if this master expects SYNC after PARTIAL. */
bool resume_wants_sync(const struct run *run);
/* Returns true if the source's role never changed since the copy, or its journal, began: it has the same history. */
bool run_role_is_unchanged(const struct run *run);
/* Returns false, and notes the reason, if a full sync is needed. */
bool resume_plan(struct run *run, uint32_t flow_count);
/* Sets where this FLOW resumes. */
void resume_begin(struct run *run, struct flow *f);
/* A FLOW was answered FULL. Returns true, and the reason in *error, if another session asks once more. */
bool resume_ask_again(struct run *run, struct error *error);
/* All FLOWs were answered PARTIAL: the same, to verify entries that cannot be compared. */
bool resume_ask_to_be_sure(struct run *run, struct error *error);
/* Returns false, and the reason in *error, if that leaves a doubt: a full sync is needed. */
bool resume_is_sure(struct run *run, struct error *error);
/* All FLOWs were answered FULL (refused) or PARTIAL (granted): notes the reason of the sync. */
void resume_refused(struct run *run);
void resume_granted(struct run *run);

#endif
