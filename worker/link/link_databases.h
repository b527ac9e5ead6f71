/* The number of databases of a target, found by SELECT: the number from CONFIG GET is tried; if CONFIG GET is not
 * permitted, the number is searched for. No command is sent after a SELECT before its answer: if the SELECT is refused
 * the command would run in the previous database.
 *
 *   CONFIG GET: 16       SELECT 15                                               accepted: 16
 *   CONFIG GET refused   SELECT 15, then 16, 33, 67 … until one is refused; then by bisection */
#ifndef DF2REDIS_WORKER_LINK_LINK_DATABASES_H
#define DF2REDIS_WORKER_LINK_LINK_DATABASES_H

#include <stdbool.h>
#include <stdint.h>

struct database_search {
    uint32_t first;   /* number from CONFIG GET, or 16 … */
    bool told;        /* … it is from CONFIG GET, so the maximum */
    uint32_t there;   /* lower bound: SELECT of the last of them succeeded */
    uint32_t refused; /* upper bound; UINT32_MAX: unknown */
};

void database_search_begin(struct database_search *s, uint32_t databases, bool told);
/* The next database to SELECT; false: `there` is the number of databases. 0: every SELECT is refused. */
bool database_search_next(const struct database_search *s, uint32_t *database);
void database_search_answer(struct database_search *s, uint32_t database, bool taken);

#endif
