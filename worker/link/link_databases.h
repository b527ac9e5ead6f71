/* How many databases a target has, found by SELECT: what CONFIG GET says is tried, and where it may not be
 * asked the number is searched for. Nothing is ever sent behind a SELECT that the target may refuse: it would
 * run in the database before.
 *
 *   told 16      SELECT 15                                                     taken: 16
 *   not told     SELECT 15, then 16, 33, 67 … until one is refused; then halves of what is between */
#ifndef DF2REDIS_WORKER_LINK_LINK_DATABASES_H
#define DF2REDIS_WORKER_LINK_LINK_DATABASES_H

#include <stdbool.h>
#include <stdint.h>

struct database_search {
    uint32_t first;   /* as many as it says, or 16 … */
    bool told;        /* … and there are no more */
    uint32_t there;   /* at least so many: SELECT of the last of them was taken */
    uint32_t refused; /* at most so many; UINT32_MAX: not known */
};

void database_search_begin(struct database_search *s, uint32_t databases, bool told);
/* What SELECT is tried with next; false: `there` is their number. 0 of them: it takes no SELECT at all. */
bool database_search_next(const struct database_search *s, uint32_t *database);
void database_search_answer(struct database_search *s, uint32_t database, bool taken);

#endif
