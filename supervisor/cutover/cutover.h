/* A cut-over: the clients move from the source to the target, and nothing that the source has acknowledged is lost.
 *
 * Carried out by the run's supervisor, ordered over its control socket. What calls what in this folder:
 *
 *   cutover.c ──→ steps.c        the table of states
 *      ├────────→ order.c        the order, as a line of the control socket
 *      ├────────→ conditions.c   what has to hold before writes are paused
 *      ├────────→ orders.c       the orders to the source
 *      └────────→ note.c         what the next start has to know
 *
 * Invariants: the source holds back writes for no longer than it was told at the beginning, whatever happens here. COMMAND
 * begins only when everything that the source has acknowledged is applied, and its success counts only while the pause
 * lasts. From then on nothing is undone.
 *
 * COMMAND is run by the command line, not here: it has the operator's rights, environment and terminal, while the run may
 * be another user without access to files; and the right to order a cut-over over the control socket is no right to run
 * programs as that user. */
#ifndef DF2REDIS_SUPERVISOR_CUTOVER_CUTOVER_H
#define DF2REDIS_SUPERVISOR_CUTOVER_CUTOVER_H

#include <cjson/cJSON.h>

#include "common/base/error.h"

struct cutover;
struct run;

/* The command line at the other end, told in lines of JSON:
 *
 *   {"say":TEXT}
 *   {"command":{"deadline_ms":N,"environment":[NAME=VALUE, ...]}}      run COMMAND, then call cutover_command_ended
 *   {"exit_code":N,"say":TEXT}                                         the last one
 */
struct cutover_listener {
    void *arg;
    void (*say)(const char *line, void *arg);
    void (*over)(bool run_ends, void *arg); /* after the last line */
};

struct cutover *cutover_new(struct run *run);
void cutover_free(struct cutover *c);

/* Before the run begins: false and *error if it was cut over, and its target belongs to the clients. A cut-over that was
 * interrupted is logged. */
bool cutover_may_run(struct cutover *c, struct error *error);

/* order: JSON (order.h). */
void cutover_begin(struct cutover *c, const char *order, const struct cutover_listener *listener);
/* text: what is wrong; NULL: it has ended well. */
void cutover_command_ended(struct cutover *c, const char *text);
/* The command line is gone; the listener is called no more. */
void cutover_abandoned(struct cutover *c);
/* After the end of the run's event loop: the last steps. Returns once they are over. */
void cutover_conclude(struct cutover *c);

/* Of the one that is under way, or the last one; NULL: there was none. */
cJSON *cutover_status(const struct cutover *c);

#endif
