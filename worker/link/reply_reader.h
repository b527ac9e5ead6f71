/* Parses the target's answers without storing them: hiredis's reader with object functions that allocate nothing.
 * Passes on the text of errors, and whether an answer is nil, 0, an empty array, or reports a missing field. */
#ifndef DF2REDIS_WORKER_LINK_REPLY_READER_H
#define DF2REDIS_WORKER_LINK_REPLY_READER_H

#include "common/base/error.h"
#include "common/base/mem.h"

enum reply_kind {
    REPLY_OTHER,
    REPLY_ZERO, /* integer 0 */
    REPLY_NIL,
    REPLY_ERROR,
    REPLY_EMPTY,  /* array */
    REPLY_ABSENT, /* an array with -2 in it: HPEXPIREAT of a missing field */
};

struct reply_handler {
    void *arg;
    /* A complete top-level answer. elements: of an array (EXEC), else 0. error: of REPLY_ERROR. */
    bool (*reply)(void *arg, enum reply_kind kind, size_t elements, struct slice error);
    /* Element i of a top-level array, before `reply` for the array. number: of an integer, else 0. For a nested array
     * called at its beginning, and again with REPLY_ABSENT. */
    void (*element)(void *arg, size_t i, enum reply_kind kind, long long number, struct slice error);
};

struct replies;
struct replies *replies_new(const struct reply_handler *handler);
void replies_free(struct replies *r);
/* False: not RESP (*error is set), or the handler returned false. */
bool replies_feed(struct replies *r, const void *data, size_t len, struct error *error);

/* Classes of error answers. */
enum refusal {
    REFUSAL_WAIT,    /* temporary: LOADING, OOM, READONLY, MISCONF, BUSY, MASTERDOWN, … and EXECABORT;
                        and Protocol error, which ends the connection */
    REFUSAL_FATAL,   /* needs an operator: NOAUTH, NOPERM, WRONGPASS */
    REFUSAL_BUSYKEY, /* RESTORE: the key exists */
    REFUSAL_MOVED,   /* MOVED, ASK, TRYAGAIN, CLUSTERDOWN: another node serves the slot, or none now */
    REFUSAL_COMMAND, /* concerns this command only; also NOPERM for a module's command */
};
enum refusal refusal_class(struct slice error);

#endif
