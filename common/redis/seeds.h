/* The addresses at which the target may answer: the given one, or all addresses of its name in turn, since some may
 * belong to replicas; then the masters of the cluster as the supervisor last saw them, since the given node may have
 * died. */
#ifndef DF2REDIS_COMMON_REDIS_SEEDS_H
#define DF2REDIS_COMMON_REDIS_SEEDS_H

#include "common/base/uri.h"

struct seeds;

/* masters: "host:port" each, blanks between; may be NULL. All but host and port is as in `given`. */
struct seeds *seeds_new(const struct uri *given, const char *masters);
void seeds_free(struct seeds *s);
/* The current address, at first the given one. The pointer stays valid; seeds_next() changes its contents. */
const struct uri *seeds_uri(const struct seeds *s);
/* Moves to the next address; from the last one back to the first. */
void seeds_next(struct seeds *s);

#endif
