/* The search for the number of databases. */
#include "worker/link/link_databases.h"

enum { MOST_DATABASES = INT32_MAX };

void database_search_begin(struct database_search *s, uint32_t databases, bool told)
{
    uint32_t first = databases < 1 ? 1 : databases > MOST_DATABASES ? MOST_DATABASES : databases;
    *s = (struct database_search){.first = first, .told = told, .refused = UINT32_MAX};
}

bool database_search_next(const struct database_search *s, uint32_t *database)
{
    if (s->there >= s->refused)
        return false;
    if (s->refused != UINT32_MAX)
        *database = s->there + (s->refused - s->there) / 2;
    else if (s->there < s->first)
        *database = s->first - 1;
    else if (s->there == s->first)
        *database = s->there;
    else
        *database = s->there <= MOST_DATABASES / 2 ? 2 * s->there - 1 : MOST_DATABASES - 1;
    return true;
}

void database_search_answer(struct database_search *s, uint32_t database, bool taken)
{
    if (!taken) {
        s->refused = database;
        return;
    }
    s->there = database + 1;
    if ((s->told && s->there == s->first) || s->there == MOST_DATABASES)
        s->refused = s->there;
}
