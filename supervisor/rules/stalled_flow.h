/* A FLOW that receives nothing while other FLOWs do.
 *
 * The master sends its LSN on every FLOW every few seconds, with or without writes. A FLOW without any bytes for a
 * minute beside live ones may have lost its sender. The run cannot cure that; it warns. */
#ifndef DF2REDIS_SUPERVISOR_RULES_STALLED_FLOW_H
#define DF2REDIS_SUPERVISOR_RULES_STALLED_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The number of checks in each idle_limit_ms. */
enum { HEALTH_CHECKS = 2 };

/* received_ms: the time of each FLOW's last bytes; 0: the FLOW is not checked. True: FLOW `flow` has received nothing
 * for idle_limit_ms, while another has received something within half of that. */
bool health_stands_still(const uint64_t *received_ms, size_t count, size_t flow, uint64_t now_ms,
                         uint64_t idle_limit_ms);

#endif
