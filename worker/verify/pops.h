/* Pops of several elements that arrive as the pop of one: LMPOP and BLMPOP with COUNT n are journaled as one
 * LPOP or RPOP, as is what really popped one.
 *
 * The journal does not tell them apart, the source's own statistics do: keys that were popped from in the way
 * of these commands are kept until INFO COMMANDSTATS says whether any LMPOP or BLMPOP was called at that
 * time; if so, they become suspects. Nothing is asked while there are no such pops. The keys lie in a set like
 * that of the suspects, in a file of its own: what a dead worker left there its successor asks about. */
#ifndef DF2REDIS_WORKER_VERIFY_POPS_H
#define DF2REDIS_WORKER_VERIFY_POPS_H

#include "worker/flow/flow.h"
#include "worker/rdb/entry.h"

struct pops;

/* fresh: what stands in the file is forgotten. */
struct pops *pops_new(struct flow *f, bool fresh, struct error *error);
void pops_free(struct pops *p);
void pops_remove_file(const char *directory, uint32_t flow);
/* Of any command of the journal. */
void pops_note(struct pops *p, const struct entry *e);
void pops_go_on(struct pops *p);
/* Some have not been judged, and there were such commands, or it is not known yet. */
bool pops_is_due(const struct pops *p);

#endif
