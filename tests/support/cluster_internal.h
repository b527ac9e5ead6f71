/* What the fixture's files share. */
#ifndef DF2REDIS_TESTS_CLUSTER_INTERNAL_H
#define DF2REDIS_TESTS_CLUSTER_INTERNAL_H

#include "tests/support/cluster.h"

/* Knows nobody yet. port 0: a free one. */
size_t redis_cluster_start_member(struct redis_cluster *c, uint16_t port);
/* Makes c->words those of this member. */
void redis_cluster_words(struct redis_cluster *c, size_t member);
/* Where the others reach it. */
uint16_t redis_cluster_peer_port(const struct redis_cluster *c, size_t member);
void redis_cluster_meet(struct redis_cluster *c, size_t member, size_t with);
/* As each running member tells the others; on stderr. */
void redis_cluster_print(struct redis_cluster *c);
void redis_cluster_make_replica(struct redis_cluster *c, size_t replica, size_t master);
/* As this member tells them. */
bool redis_cluster_slots_of(struct redis_cluster *c, size_t member, struct topology *t);
/* One command that must not fail. */
void redis_cluster_say(struct redis_cluster *c, size_t member, const char *words);

#endif
