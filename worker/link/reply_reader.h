/* Reading the target's answers without keeping them: hiredis's reader with object functions that
 * allocate nothing. What matters of an answer is whether it is an error, and which, and whether it is nil, 0,
 * an empty array, or tells of a field that is not there. */
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
    REPLY_ABSENT, /* an array with -2 in it: HPEXPIREAT, of a field that is not there */
};

struct reply_handler {
    void *arg;
    /* A whole top-level answer. elements: of an array (EXEC), 0 otherwise. error: of REPLY_ERROR. */
    bool (*reply)(void *arg, enum reply_kind kind, size_t elements, struct slice error);
    /* Element i of a top-level array, before `reply` tells of the whole. number: an integer's, else 0. An array in
     * it is told of when it begins, and again as REPLY_ABSENT. */
    void (*element)(void *arg, size_t i, enum reply_kind kind, long long number, struct slice error);
};

struct replies;
struct replies *replies_new(const struct reply_handler *handler);
void replies_free(struct replies *r);
/* False: not RESP (text in *error), or the handler said false. */
bool replies_feed(struct replies *r, const void *data, size_t len, struct error *error);

/* How an error answer is to be taken. */
enum refusal {
    REFUSAL_WAIT,    /* temporary: LOADING, OOM, READONLY, MISCONF, BUSY, MASTERDOWN, … and EXECABORT;
                        and what ends the connection: Protocol error */
    REFUSAL_FATAL,   /* NOAUTH, NOPERM, WRONGPASS: nothing will go better by itself */
    REFUSAL_BUSYKEY, /* RESTORE: the key exists */
    REFUSAL_MOVED, /* MOVED, ASK, TRYAGAIN, CLUSTERDOWN: another node of the cluster, or none at the moment */
    REFUSAL_COMMAND, /* this command, not the ones around it */
};
enum refusal refusal_class(struct slice error);

#endif
