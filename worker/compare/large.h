/* A value too large for one answer, read from one server in pieces: the questions, and the digest and elements of the
 * answers. Uses no sockets.
 *
 *   string   STRLEN   GETRANGE, 16 MiB each
 *   list     LLEN     LRANGE
 *   set      SCARD    SSCAN
 *   zset     ZCARD    ZSCAN
 *   hash     HLEN     HSCAN, and HPEXPIRETIME of the fields of each page
 *
 * The caller checks by WATCH that the value was not written meanwhile. SCAN then returns each element at least once: if
 * it has returned as many as the value has, each was returned once. Memory: one page, about a MiB (16 for a string) or
 * one element, whichever is more, and the times of fields (DIGEST_TIMES_MAX). */
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
    uint64_t bytes, window, card,
        seen; /* bytes of the value; elements per page; elements in all; elements read */
    char cursor[24], number[2][24];
    bool last; /* the last page was read */
    struct buf bytes_of_page;
    struct element *elements;
    size_t count, capacity;
};

/* The kind for an answer of TYPE; DIGEST_FOREIGN: cannot be read in pieces. */
enum digest_kind large_kind(const char *type);
/* d: cleared, then filled. bytes: memory of the value. */
void large_begin(struct large_walk *w, struct digest *d, enum digest_kind kind, uint64_t bytes,
                 bool field_times, int64_t now_ms);
void large_free(struct large_walk *w); /* leaves it zero */
/* Arguments of the next question, at most LARGE_ARGS_MAX; returns their number. 0: the value is read, and the digest is
 * complete. */
size_t large_question(struct large_walk *w, struct slice key, struct slice *argv);
/* *whole: a page is complete: w->elements, or w->bytes_of_page for a string, valid until the next answer. False:
 * invalid answer. */
bool large_answer(struct large_walk *w, const redisReply *reply, bool *whole);
/* At the end: whether each element was read exactly once. */
bool large_is_exact(const struct large_walk *w);
enum element_class large_class(const struct large_walk *w);

#endif
