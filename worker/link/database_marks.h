/* The marks of the databases (common/redis/marks.h): each is written before a connection's first command in its
 * database, in the same batch. A flush by another client deletes it, and the supervisor's watch finds it missing.
 *
 * The hash of the FLOWs' marks names the databases that have one. So a mark that was there once is never written again
 * after it was lost, whatever process is started anew. */
#ifndef DF2REDIS_WORKER_LINK_DATABASE_MARKS_H
#define DF2REDIS_WORKER_LINK_DATABASE_MARKS_H

#include "common/base/mem.h"
#include "common/settings/settings.h"

struct database_marks {
    const struct settings *settings; /* NULL: no marks are written */
    const char *hash;                /* "df2redis:<name>" */
    const bool *claimed;             /* the target has the run's claim */
    uint8_t *written;                /* one bit a database */
    size_t bytes;
};

void database_marks_free(struct database_marks *m);
/* A new connection: nothing is known to be written. */
void database_marks_forget(struct database_marks *m);
/* Whether the mark of db goes before its next command; then it counts as written. */
bool database_marks_take(struct database_marks *m, uint32_t db);
/* Appends the command, as RESP. The database that is selected after it is unknown. */
void database_marks_write(const struct database_marks *m, uint32_t db, struct buf *out);

/* A script that removes the marks of all databases; KEYS[1]: the hash, ARGV[1]: its database. */
extern const char database_marks_removal[];

#endif
