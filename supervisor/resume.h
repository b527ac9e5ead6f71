/* Where the journal goes on, and whether it is the one that was followed.
 *
 *   the same master id    DFLY FLOW … <lsn of the last command applied>: that entry is compared
 * (journal_check.h) another one           DFLY FLOW … <last master id> <lsn>-<lsn>-…: PARTIAL, when it was a
 * replica of that master and was promoted; its ring begins there, so that the entry to compare may lie before
 * it: then once more, from behind it; and again, where it has been written to much since: its ring still begins
 * there, though it was written to in between, so that it has begun there, and nothing was forgotten
 *
 * All are called by opening.c, between the greeting and the phase commands. */
#ifndef DF2REDIS_SUPERVISOR_RESUME_H
#define DF2REDIS_SUPERVISOR_RESUME_H

#include "supervisor/run.h"

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
