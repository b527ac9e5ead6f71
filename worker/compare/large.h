/* A value too large for one answer, read from one side piece by piece: which question follows which, and the
 * digest and the elements that the answers make. Knows no sockets.
 *
 *   string   STRLEN   GETRANGE, 16 MiB each
 *   list     LLEN     LRANGE
 *   set      SCARD    SSCAN
 *   zset     ZCARD    ZSCAN
 *   hash     HLEN     HSCAN, and HPEXPIRETIME of the fields of each page
 *
 * Whether the value was quiet meanwhile is for the caller to know (WATCH). SCAN shows each element of a quiet
 * value at least once: when it has shown as many as there are, each was there once. In memory is one page,
 * about a MiB (16 of a string) or one element, whichever is more, and the times of fields (DIGEST_TIMES_MAX). */
#ifndef DF2REDIS_WORKER_COMPARE_LARGE_H
#define DF2REDIS_WORKER_COMPARE_LARGE_H

#include <hiredis/hiredis.h>

#include "worker/compare/digest.h"
#include "worker/rdb/value.h"

enum { LARGE_PAGE_MAX = 1000, LARGE_ARGS_MAX = LARGE_PAGE_MAX * 4 + 8 };

struct large_walk {
    enum digest_kind kind;
    struct digest_pieces digest;
    bool field_times;
    int step;
    uint64_t bytes, window, card, seen; /* of the whole; elements of a page; all; had */
    char cursor[24], number[2][24];
    bool last; /* page */
    struct buf bytes_of_page;
    struct element *elements;
    size_t count, capacity;
};

/* What TYPE says; DIGEST_FOREIGN: it cannot be read in pieces. */
enum digest_kind large_kind(const char *type);
/* d: cleared and filled. bytes: what the value may take in memory. */
void large_begin(struct large_walk *w, struct digest *d, enum digest_kind kind, uint64_t bytes,
                 bool field_times, int64_t now_ms);
void large_free(struct large_walk *w); /* nothing, afterwards */
/* The arguments of the next question, at most LARGE_ARGS_MAX; 0: the value was read to its end, and the
 * digest is made. */
size_t large_question(struct large_walk *w, struct slice key, struct slice *argv);
/* *whole: a page is complete, and stands in w->elements, or, of a string, w->bytes_of_page, until the next
 * answer. False: an answer that is none. */
bool large_answer(struct large_walk *w, const redisReply *reply, bool *whole);
/* Once it has ended: was each element seen once? */
bool large_is_exact(const struct large_walk *w);
enum element_class large_class(const struct large_walk *w);

#endif
