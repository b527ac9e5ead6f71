/* The marks of a standalone target's databases (common/redis/marks.h), read once a second. A mark that is gone, or that
 * names another database, although the hash of the marks names it before and after, was lost: the database was emptied
 * by another client (FLUSHDB, FLUSHALL), exchanged (SWAPDB), or its mark was evicted. */
#ifndef DF2REDIS_SUPERVISOR_TARGET_DATABASE_WATCH_H
#define DF2REDIS_SUPERVISOR_TARGET_DATABASE_WATCH_H

#include "common/net/client.h"
#include "common/settings/settings.h"

enum { DATABASE_WATCH_AT_ONCE = 64 }; /* more databases are read in turn */

struct database_watch {
    const struct settings *settings;
    void *arg;
    /* found: what is there instead of the mark; "": nothing. Called again each second, until the claim is another. */
    void (*lost)(void *arg, uint32_t database, const char *found);

    char claim[24];     /* the hash's field run; "": unknown, or there is none */
    uint32_t *marked;   /* databases that the hash names with this claim */
    size_t count, next; /* next: the first one to be read */
    uint32_t *expected; /* the run has written to them, perhaps with a release that marked none */
    size_t expected_count;
    struct database_read {
        uint32_t database;
        bool selected, wrong;
        char found[24];
    } reads[DATABASE_WATCH_AT_ONCE];
    size_t asked, answered, judged;
    bool waits; /* the last answer is due */
};

/* databases: those of the source with keys, whose copy goes on. */
void database_watch_expect(struct database_watch *w, const uint32_t *databases, size_t count);
/* Sends the questions, unless answers are due. */
void database_watch_ask(struct database_watch *w, struct client *c, uint32_t limit_ms);
/* The connection is lost, and its answers. */
void database_watch_forget(struct database_watch *w);
void database_watch_free(struct database_watch *w);

#endif
