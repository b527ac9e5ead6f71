/* Does a FLOW stand still while its neighbours do not?
 *
 * The master says its LSN on every FLOW every few seconds, whether there are writes or not. A FLOW on which
 * nothing comes for a minute while others live may have lost its sender: nothing can be done about it from
 * here, but be said. */
#ifndef DF2REDIS_SUPERVISOR_RULES_STALLED_FLOW_H
#define DF2REDIS_SUPERVISOR_RULES_STALLED_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Looked at so often in each idle_limit_ms. */
enum { HEALTH_CHECKS = 2 };

/* received_ms: when each of the FLOWs last received something; 0: not looked at. Is FLOW `flow` one that has
 * had nothing for idle_limit_ms, while another has had something within half of that? */
bool health_stands_still(const uint64_t *received_ms, size_t count, size_t flow, uint64_t now_ms,
                         uint64_t idle_limit_ms);

#endif
