/* A set of 64-bit identities, which are evenly distributed and not 0. It grows as needed, up to a limit. */
#ifndef DF2REDIS_SUPERVISOR_STATE_ID_SET_H
#define DF2REDIS_SUPERVISOR_STATE_ID_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* As many as divergences.log has lines when it is full; 16 MiB of memory. */
enum { ID_SET_LIMIT = 1 << 20 };

struct id_set {
    uint64_t *slots;
    size_t size, count; /* size: a power of two */
    size_t limit;       /* 0: ID_SET_LIMIT */
};

/* Returns false if the set has the id. A full set takes no further one: true each time. */
bool id_set_add(struct id_set *s, uint64_t id);
void id_set_clear(struct id_set *s);

#endif
