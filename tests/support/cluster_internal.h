/* What the fixture's files share. */
#ifndef DF2REDIS_TESTS_CLUSTER_INTERNAL_H
#define DF2REDIS_TESTS_CLUSTER_INTERNAL_H

#include "tests/support/cluster.h"

/* Knows nobody yet. port 0: a free one. */
size_t cluster_start_member(struct cluster *c, uint16_t port);
/* Makes c->words those of this member. */
void cluster_words(struct cluster *c, size_t member);
/* Where the others reach it. */
uint16_t cluster_peer_port(const struct cluster *c, size_t member);
void cluster_meet(struct cluster *c, size_t member, size_t with);
void cluster_make_replica(struct cluster *c, size_t replica, size_t master);
/* One command that must not fail. */
void cluster_say(struct cluster *c, size_t member, const char *words);

#endif
