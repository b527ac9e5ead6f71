/* The questions of df2redis check to both servers, over connections of its own. They write nothing. */
#ifndef DF2REDIS_SUPERVISOR_CHECK_ASK_H
#define DF2REDIS_SUPERVISOR_CHECK_ASK_H

#include <event2/event.h>

#include "common/redis/topology.h"
#include "supervisor/check/facts.h"

struct ask_source;
struct ask_target;

/* Asks the source at this address for clock, LSNs and a sample of the keys in these databases (1 … of them). Calls done
 * from the event loop, once, also if it fails; *out has what was answered until then. */
struct ask_source *ask_source_start(struct event_base *base, const struct settings *settings,
                                    const struct uri *uri, const uint32_t *databases, size_t database_count,
                                    struct source_more *out, void (*done)(void *arg), void *arg);
void ask_source_free(struct ask_source *a);

/* Asks every master of the target: those of a cluster's topology, or the one of the settings. */
struct ask_target *ask_target_start(struct event_base *base, const struct settings *settings,
                                    const struct topology *masters, struct target_more *out,
                                    void (*done)(void *arg), void *arg);
void ask_target_free(struct ask_target *a);

/* Looks at the machine: may block, where a file system hangs. */
void look_here(const struct settings *settings, struct here_facts *out);

#endif
