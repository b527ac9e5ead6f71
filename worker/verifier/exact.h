/* Exact comparisons of doubtful keys (comparison.h), several at a time, each over connections of its own.
 *
 *              ┌── AGAIN: written meanwhile; later, up to TRIES ──> undecided
 *   doubt ──> compared ── EQUAL ──> settled
 *              └── DIFFERENT: later once more ──> a difference, settled, or
 *                                                 repaired ── HEALED ──> compared until EQUAL
 *
 * Beside a run every comparison is exact; a difference is confirmed by a second one, as the run itself may just be
 * healing the key or correcting its time to live. Without a run a comparison is a reading of both sides, and a
 * difference is what several readings find, with growing pauses. */
#ifndef DF2REDIS_WORKER_VERIFIER_EXACT_H
#define DF2REDIS_WORKER_VERIFIER_EXACT_H

#include "worker/verifier/doubts.h"

enum exact_verdict {
    EXACT_EQUAL,
    EXACT_DIFFERENT,    /* and not to be repaired */
    EXACT_FOUND,        /* different, and its repair begins: a later verdict follows */
    EXACT_HEALED,       /* repaired, and found equal */
    EXACT_UNDECIDED,    /* written too often */
    EXACT_INCOMPARABLE, /* `text` says why */
    EXACT_UNREPAIRABLE, /* different; `text` says why it stays so */
};

struct exact_config {
    struct event_base *base;
    const struct settings *settings;
    const char *master_id, *client_name;
    const struct capabilities *target;
    struct doubts *doubts;
    bool beside_run, repair;
    unsigned at_a_time;
    void *arg;
    const struct uri *(*uri_of)(void *arg, struct slice key);
    bool (*applied)(void *arg, const uint64_t *lsns, size_t count);
    const char *(*process)(void *arg, struct slice key); /* comparison.h */
    /* The doubt ends after the call, but for EXACT_FOUND. */
    void (*settled)(void *arg, const struct doubt *k, enum exact_verdict verdict, const char *text);
};

struct exact;

struct exact *exact_new(const struct exact_config *config);
void exact_free(struct exact *x);
/* Begins what is due, and goes on with what waits for the FLOWs. */
void exact_turn(struct exact *x, uint64_t now_ms);
/* Whether anything is compared right now. */
bool exact_is_busy(const struct exact *x);
/* Why nothing can be compared, and since when; NULL: nothing is in the way. */
const char *exact_trouble(const struct exact *x, uint64_t *since_ms);
/* Aborts what is compared, and closes the connections. The doubts stay. */
void exact_rest(struct exact *x);

#endif
