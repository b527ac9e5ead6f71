#include "worker/verify/healed.h"

#include <stdlib.h>

enum { KEYS_MAX = 32768, BYTES_MAX = 4 << 20 };

struct healed_key {
    struct healed_key *newer;
    uint64_t seq;
    uint32_t db;
    size_t len;
    uint8_t key[];
};

struct healed {
    struct healed_key *oldest, *newest;
    size_t count, bytes;
    uint64_t dropped_seq; /* of the newest key that was dropped; 0: none */
};

struct healed *healed_new(void)
{
    return x_calloc(1, sizeof(struct healed));
}

static void remove_oldest(struct healed *h)
{
    struct healed_key *k = h->oldest;
    h->oldest = k->newer;
    if (!h->oldest)
        h->newest = NULL;
    h->count--;
    h->bytes -= k->len;
    free(k);
}

void healed_free(struct healed *h)
{
    if (!h)
        return;
    while (h->oldest)
        remove_oldest(h);
    free(h);
}

void healed_add(struct healed *h, uint32_t db, struct slice key, uint64_t seq)
{
    struct healed_key *k = x_calloc(1, sizeof *k + key.len);
    k->db = db;
    k->seq = seq;
    k->len = key.len;
    if (key.len)
        memcpy(k->key, key.data, key.len);
    *(h->newest ? &h->newest->newer : &h->oldest) = k;
    h->newest = k;
    h->count++;
    h->bytes += k->len;
    while (h->count > KEYS_MAX || h->bytes > BYTES_MAX) {
        h->dropped_seq = h->oldest->seq + 1;
        remove_oldest(h);
    }
}

bool healed_take_since(struct healed *h, uint64_t seq,
                       void (*again)(void *arg, uint32_t db, struct slice key), void *arg)
{
    bool all = h->dropped_seq <= seq;
    for (; h->oldest; remove_oldest(h))
        if (h->oldest->seq >= seq)
            again(arg, h->oldest->db, slice_of(h->oldest->key, h->oldest->len));
    h->dropped_seq = 0;
    return all;
}
