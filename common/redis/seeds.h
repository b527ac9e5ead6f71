/* Where the target may answer: its address, or those of its name one after the other, since some may be
 * replicas'; and the masters that a cluster had when the supervisor last looked. The address may be of a node
 * that has died since. */
#ifndef DF2REDIS_COMMON_REDIS_SEEDS_H
#define DF2REDIS_COMMON_REDIS_SEEDS_H

#include "common/base/uri.h"

struct seeds;

/* masters: "host:port" each, blanks between; may be NULL. All but host and port is as in `given`. */
struct seeds *seeds_new(const struct uri *given, const char *masters);
void seeds_free(struct seeds *s);
/* The one whose turn it is, at first the one that was given. The pointer stays, what it shows changes. */
const struct uri *seeds_uri(const struct seeds *s);
/* It did not answer: the next one, and after the last the first again. */
void seeds_next(struct seeds *s);

#endif
