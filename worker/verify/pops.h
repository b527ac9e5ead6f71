/* Pops of several elements that are journaled as a pop of one: LMPOP and BLMPOP with COUNT n are journaled as one LPOP
 * or RPOP, like a pop of one element.
 *
 * The journal does not distinguish them, but the source's statistics do: the keys of such pops are kept until INFO
 * COMMANDSTATS tells whether LMPOP or BLMPOP was called in that time; if so, they become suspects. The source is not
 * asked while there are no such pops. The keys are in a set like that of the suspects, in a separate file, so that a
 * restarted worker continues with them. */
#ifndef DF2REDIS_WORKER_VERIFY_POPS_H
#define DF2REDIS_WORKER_VERIFY_POPS_H

#include "worker/flow/flow.h"
#include "worker/rdb/entry.h"

struct pops;

/* fresh: empties the file. */
struct pops *pops_new(struct flow *f, bool fresh, struct error *error);
void pops_free(struct pops *p);
void pops_remove_file(const char *directory, uint32_t flow);
/* Call for every command of the journal. */
void pops_note(struct pops *p, const struct entry *e);
void pops_go_on(struct pops *p);
/* The run ends, and the source's last LSNs are known: it is asked once more, as it has counted by now what it journaled
 * up to them. */
void pops_end(struct pops *p);
/* Whether keys are left that are or may become suspects: LMPOP or BLMPOP was called, or the answer is pending. */
bool pops_is_due(const struct pops *p);

#endif
