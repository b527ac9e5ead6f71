/* A page of names from SCAN, and what both sides answer about them, over pipes:
 *
 *   of the source's names    DUMP and PEXPIRETIME of both sides: the values are compared
 *   of the target's names    EXISTS of the source, MEMORY USAGE of the target
 *
 * Equal payloads are equal values; others are compared by their digests. A key that is not found equal is doubtful: the
 * sides were read at different moments. */
#ifndef DF2REDIS_WORKER_VERIFIER_PAGE_H
#define DF2REDIS_WORKER_VERIFIER_PAGE_H

#include "worker/compare/comparison.h"
#include "worker/verifier/pipe.h"

enum {
    PAGE_VALUE_MAX_BYTES = 1 << 20, /* a larger payload is not compared here */
    PAGE_BYTES_MAX = 6 << 20,       /* of the payloads of one side; those beyond are not compared here */
};

struct page_result {
    uint32_t db; /* the target's */
    struct slice key;
    enum { PAGE_EQUAL, PAGE_DOUBTFUL, PAGE_LARGE } outcome;
    enum digest_kind type; /* of PAGE_EQUAL */
};

struct page;

struct page_config {
    const struct capabilities *target;
    struct pipe *source;
    struct digest_scratch *scratch;
    void *arg;
    /* The target's server that has the key. */
    struct pipe *(*pipe_of)(void *arg, struct slice key);
    /* Of each name, by page_tell(). In a page of the target's names PAGE_EQUAL says no more than that both
     * sides have the key, and PAGE_LARGE also that it is large. */
    void (*result)(void *arg, const struct page_result *r);
    /* All names are answered. */
    void (*done)(void *arg, struct page *page);
    /* The servers cannot be asked on: a refusal. */
    void (*failed)(void *arg, const struct error *error);
};

struct page *page_new(const struct page_config *config, uint32_t source_db, uint32_t target_db,
                      bool of_target);
void page_free(struct page *page);
/* Copies the name. large: it is not read, and its outcome is PAGE_LARGE. */
void page_add(struct page *page, struct slice name, bool large);
size_t page_count(const struct page *page);
/* Asks about all names; `done` follows, even if there is none. target: the only server to be asked, of a page of its
 * names; otherwise NULL. */
void page_ask(struct page *page, struct pipe *target);
bool page_is_done(const struct page *page);
/* Compares, and tells the results. */
void page_tell(struct page *page);
/* Bytes of payloads that came, of both sides. */
uint64_t page_bytes(const struct page *page);
/* Whether an answer was MOVED or ASK. */
bool page_saw_moved(const struct page *page);
/* Answers of a pipe; `owner` is the page. */
void page_answer(struct page *page, uint32_t tag, const struct pipe_answer *a);

#endif
