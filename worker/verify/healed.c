/* A set of suspects.c, in a file of its own: `reason` is the position, `command` the session. */
#include "worker/verify/healed.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/log/log.h"
#include "worker/keys/suspects.h"

enum { KEYS_MAX = 32768 };

struct healed {
    struct suspects *keys;
    uint64_t session;
    uint64_t dropped_seq; /* after the newest key that was dropped; 0: none */
};

/* A key of an earlier session counts as rewritten at the beginning of this one. */
static uint64_t key_seq(const struct healed *h, const struct suspect *k)
{
    uint64_t seq, session;
    return slice_to_u64(slice_str(k->reason), &seq) && slice_to_u64(slice_str(k->command), &session) &&
                   session == h->session
               ? seq
               : 0;
}

static void drop(struct healed *h, uint64_t seq)
{
    if (seq >= h->dropped_seq)
        h->dropped_seq = seq + 1;
}

struct healed *healed_open(const char *kind, const char *directory, uint32_t flow, uint64_t session,
                           bool fresh, struct error *error)
{
    struct suspects *keys = suspects_open_as(kind, directory, flow, fresh, error);
    if (!keys)
        return NULL;
    struct healed *h = x_calloc(1, sizeof *h);
    h->keys = keys;
    h->session = session;
    if (suspects_count(keys) >= KEYS_MAX) /* the predecessor has dropped some that were older than these */
        drop(h, key_seq(h, suspects_oldest(keys)));
    return h;
}

void healed_close(struct healed *h)
{
    if (!h)
        return;
    suspects_close(h->keys);
    free(h);
}

void healed_add(struct healed *h, uint32_t db, struct slice key, uint64_t seq)
{
    char text[24], session[24];
    struct error error;
    snprintf(text, sizeof text, "%llu", (unsigned long long)seq);
    snprintf(session, sizeof session, "%llu", (unsigned long long)h->session);
    suspects_remove(h->keys, db, key);
    if (suspects_count(h->keys) >= KEYS_MAX) {
        struct suspect *oldest = suspects_oldest(h->keys);
        drop(h, key_seq(h, oldest));
        suspects_settle(h->keys, oldest, oldest->times);
    }
    if (suspects_add(h->keys, db, key, text, session, &error))
        return;
    drop(h, seq);
    log_debug("a rewritten key is not remembered: %s", error.text);
}

bool healed_take_since(struct healed *h, uint64_t seq,
                       void (*again)(void *arg, uint32_t db, struct slice key), void *arg)
{
    bool all = h->dropped_seq <= seq;
    for (const struct suspect *k = suspects_oldest(h->keys); k; k = k->newer)
        if (key_seq(h, k) >= seq)
            again(arg, k->db, k->key);
    suspects_remove_all(h->keys, NULL);
    h->dropped_seq = 0;
    return all;
}
