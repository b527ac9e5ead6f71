/* Where the journal goes on, and whether it is the one that was followed.
 *
 * Of the same master id, DFLY FLOW … <lsn of the last command applied>: that entry is compared
 * (journal_check.h).
 *
 * Of another one, DFLY FLOW … <last master id> <lsn>-<lsn>-…: PARTIAL, when it was a replica of that master and
 * was promoted. Its ring begins there, so the entry to compare may lie before it: then it is asked once more,
 * from behind that entry. Where it was written to much since, a third time: a ring that begins there, and still
 * does after it was written to, is not full and has forgotten nothing.
 *
 * All are called by session_start.c, between the greeting and the phase commands. */
#ifndef DF2REDIS_SUPERVISOR_RUN_RESUME_H
#define DF2REDIS_SUPERVISOR_RUN_RESUME_H

#include "supervisor/run/run.h"

/* Does this master want SYNC after PARTIAL? */
bool resume_wants_sync(const struct run *run);
/* False: a full sync is to be asked for; the reason is noted. */
bool resume_plan(struct run *run, uint32_t flow_count);
/* What this FLOW is asked for. */
void resume_begin(struct run *run, struct flow *f);
/* Some FLOW was answered FULL: are they to be asked once more? Then *error says why the session ends. */
bool resume_ask_again(struct run *run, struct error *error);
/* All were answered PARTIAL: the same, to be sure of what cannot be compared. */
bool resume_ask_to_be_sure(struct run *run, struct error *error);
/* And is it sure now? False: a full sync; *error says why. */
bool resume_is_sure(struct run *run, struct error *error);
/* All were answered FULL, or PARTIAL. */
void resume_refused(struct run *run);
void resume_granted(struct run *run);

#endif
