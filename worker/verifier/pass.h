/* A pass over the names of one database of one server: SCAN, a page of names after the other, several of them in work
 * at a time. Names of large values are only listed (SCAN … MINMSZ). */
#ifndef DF2REDIS_WORKER_VERIFIER_PASS_H
#define DF2REDIS_WORKER_VERIFIER_PASS_H

#include "worker/verifier/page.h"

enum { PASS_CURSOR_BYTES = 24 };

struct pass_config {
    struct event_base *base;
    const struct settings *settings;
    const struct uri *uri; /* of the server that is scanned */
    const char *client_name;
    uint32_t source_db, target_db;
    struct pipe *target;      /* of a pass over the target: of the same server; otherwise NULL */
    bool large_only;          /* over the source: `wanted` is told each name, and nothing else is asked */
    uint64_t keys_per_second; /* 0: no limit */
    bool
        rests; /* one page at a time, and as long a rest after it, at most 100 ms: for the servers' other clients */
    struct page_config page; /* arg and functions are of the owner, but for done and failed */
    void *arg;
    /* Whether the name is to be compared; sets *large if its value is not to be read here. */
    bool (*wanted)(void *arg, struct slice name, bool *large);
    /* Whether there is room for the results of a further page. */
    bool (*has_room)(void *arg);
    void (*scanned)(void *arg, uint64_t names);
    void (*done)(void *arg);
    void (*failed)(void *arg, const struct error *error);
};

struct pass;

/* cursor: "0", or where an earlier pass was. NULL and *error: it could not be begun. */
struct pass *pass_new(const struct pass_config *config, const char *cursor, struct error *error);
/* Not within one of its callbacks, nor of a pipe. */
void pass_free(struct pass *s);
/* Goes on; call at each tick. */
void pass_turn(struct pass *s);
/* Where to begin if it is broken off now: everything before is told. */
const char *pass_cursor(const struct pass *s);
bool pass_saw_moved(const struct pass *s);

#endif
