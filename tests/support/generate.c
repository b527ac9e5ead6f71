/* Data sets that are the same every time, as a FLOW has them.
 *
 * Values are half noise and half a phrase, so that LZ4 has something to find, but not everything. */
#include "tests/support/generate.h"

#include <stdlib.h>

#include "tests/support/testing.h"

enum { BLOB_BYTES = 65536, NODE_BYTES = 8192, PACKED_ITEMS = 64, LSN_EVERY = 10000 };

void generate_options_init(struct generate_options *g)
{
    *g = (struct generate_options){.flows = 1,
                                   .string_bytes = 100,
                                   .hash_fields = 20,
                                   .zset_members = 50,
                                   .list_items = 50,
                                   .set_members = 50,
                                   .journal_value_bytes = 100,
                                   .seed = 1};
}

bool generate_anything(const struct generate_options *g)
{
    return g->strings || g->hashes || g->zsets || g->lists || g->sets || g->journal_sets;
}

static void noise(struct buf *out, uint64_t seed, size_t bytes)
{
    static const char phrase[] = "the quick brown fox jumps over the lazy dog and runs on through the wood ";
    struct random r = {seed};
    size_t letters = bytes / 2;
    uint8_t *to = buf_reserve(out, bytes);
    for (size_t i = 0; i < letters; i++)
        to[i] = (uint8_t)('a' + random_below(&r, 26));
    for (size_t i = letters; i < bytes; i++)
        to[i] = (uint8_t)phrase[(i - letters) % (sizeof phrase - 1)];
    out->len += bytes;
}

void generate_string(struct buf *out, const struct generate_options *g, uint64_t n)
{
    noise(out, g->seed ^ n, (size_t)g->string_bytes);
}

void generate_field(struct buf *out, uint64_t n, uint64_t i)
{
    (void)n;
    buf_printf(out, "field:%llu", (unsigned long long)i);
}

void generate_value(struct buf *out, uint64_t n, uint64_t i)
{
    noise(out, n * 1000003 + i, 20);
}

void generate_member(struct buf *out, uint64_t n, uint64_t i)
{
    buf_printf(out, "member:%llu:%llu", (unsigned long long)n, (unsigned long long)i);
}

double generate_score(uint64_t n, uint64_t i)
{
    return (double)i + (double)(n % 8) / 16 + 0.03125;
}

void generate_item(struct buf *out, uint64_t n, uint64_t i)
{
    buf_printf(out, "item:%llu:%llu", (unsigned long long)n, (unsigned long long)i);
}

void generate_journal_value(struct buf *out, const struct generate_options *g, uint64_t n)
{
    noise(out, ~n, (size_t)g->journal_value_bytes);
}

/* What a FLOW is being made of. */
struct generation {
    const struct generate_options *options;
    struct stream_writer *writers;
    struct buf key, a, b, packed;
};

typedef void (*make_part)(struct buf *out, uint64_t n, uint64_t i);

static struct stream_writer *writer_for(struct generation *g, const char *kind, uint64_t n)
{
    buf_clear(&g->key);
    buf_printf(&g->key, "%s:%llu", kind, (unsigned long long)n);
    return &g->writers[n % g->options->flows];
}

static struct slice part(struct buf *scratch, make_part make, uint64_t n, uint64_t i)
{
    buf_clear(scratch);
    make(scratch, n, i);
    return buf_slice(scratch);
}

static void make_hash(struct generation *g, uint64_t n)
{
    struct stream_writer *w = writer_for(g, "hash", n);
    uint64_t fields = g->options->hash_fields;
    bool packed = fields <= PACKED_ITEMS && !g->options->unpacked;
    struct buf *out = writer_entry(w, packed ? 16 : 4, buf_slice(&g->key), 0);
    if (packed) {
        buf_clear(&g->packed);
        listpack_begin(&g->packed);
    } else {
        write_packed(out, fields);
    }
    for (uint64_t i = 0; i < fields; i++) {
        struct slice field = part(&g->a, generate_field, n, i), value = part(&g->b, generate_value, n, i);
        if (packed) {
            listpack_item(&g->packed, field);
            listpack_item(&g->packed, value);
        } else {
            write_string(out, field);
            write_string(out, value);
            writer_element_end(w);
        }
    }
    if (packed) {
        listpack_end(&g->packed, 0, (uint32_t)fields * 2);
        write_string(out, buf_slice(&g->packed));
    }
    writer_entry_end(w);
}

static void make_zset(struct generation *g, uint64_t n)
{
    struct stream_writer *w = writer_for(g, "zset", n);
    uint64_t members = g->options->zset_members;
    bool packed = members <= PACKED_ITEMS && !g->options->unpacked;
    struct buf *out = writer_entry(w, packed ? 17 : 5, buf_slice(&g->key), 0);
    if (packed) {
        buf_clear(&g->packed);
        listpack_begin(&g->packed);
    } else {
        write_packed(out, members);
    }
    for (uint64_t i = 0; i < members; i++) {
        struct slice member = part(&g->a, generate_member, n, i);
        double score = generate_score(n, i);
        if (packed) {
            buf_clear(&g->b);
            buf_printf(&g->b, "%.17g", score);
            listpack_item(&g->packed, member);
            listpack_item(&g->packed, buf_slice(&g->b));
        } else {
            write_string(out, member);
            buf_put(out, &score, sizeof score);
            writer_element_end(w);
        }
    }
    if (packed) {
        listpack_end(&g->packed, 0, (uint32_t)members * 2);
        write_string(out, buf_slice(&g->packed));
    }
    writer_entry_end(w);
}

/* One listpack of a list: items from *i on, about NODE_BYTES. */
static void make_node(struct generation *g, uint64_t n, uint64_t *i)
{
    uint32_t items = 0;
    buf_clear(&g->packed);
    listpack_begin(&g->packed);
    for (; *i < g->options->list_items && g->packed.len < NODE_BYTES - 64; (*i)++, items++)
        listpack_item(&g->packed, part(&g->a, generate_item, n, *i));
    listpack_end(&g->packed, 0, items);
}

/* quicklist2: the number of nodes comes first, so they are made twice. */
static void make_list(struct generation *g, uint64_t n)
{
    struct stream_writer *w = writer_for(g, "list", n);
    uint64_t nodes = 0;
    for (uint64_t i = 0; i < g->options->list_items; nodes++)
        make_node(g, n, &i);
    struct buf *out = writer_entry(w, 18, buf_slice(&g->key), 0);
    write_packed(out, nodes);
    for (uint64_t i = 0; i < g->options->list_items;) {
        make_node(g, n, &i);
        write_packed(out, 2);
        write_string(out, buf_slice(&g->packed));
        writer_element_end(w);
    }
    writer_entry_end(w);
}

static void make_set(struct generation *g, uint64_t n)
{
    struct stream_writer *w = writer_for(g, "set", n);
    struct buf *out = writer_entry(w, 2, buf_slice(&g->key), 0);
    write_packed(out, g->options->set_members);
    for (uint64_t i = 0; i < g->options->set_members; i++) {
        write_string(out, part(&g->a, generate_member, n, i));
        writer_element_end(w);
    }
    writer_entry_end(w);
}

static void make_string(struct generation *g, uint64_t n)
{
    struct stream_writer *w = writer_for(g, "string", n);
    buf_clear(&g->a);
    generate_string(&g->a, g->options, n);
    writer_string(w, buf_slice(&g->key), buf_slice(&g->a));
}

static void make_journal(struct generation *g)
{
    uint64_t keys = g->options->journal_keys ? g->options->journal_keys : g->options->journal_sets;
    for (uint64_t n = 0; n < g->options->journal_sets; n++) {
        struct stream_writer *w = writer_for(g, "journal", n % keys);
        buf_clear(&g->a);
        generate_journal_value(&g->a, g->options, n);
        struct slice argv[] = {slice_str("SET"), buf_slice(&g->key), buf_slice(&g->a)};
        writer_command(w, 0, 0, 3, argv);
        if (w->next_lsn % LSN_EVERY == 0)
            writer_lsn(w);
    }
}

struct scripted_session generate_session(const struct generate_options *options, uint64_t *plain_bytes)
{
    struct generation g = {.options = options, .writers = x_calloc(options->flows, sizeof *g.writers)};
    struct scripted_session session = scripted_session_new(options->flows);
    for (uint32_t f = 0; f < options->flows; f++) {
        writer_begin(&g.writers[f], options->plain ? 0 : BLOB_BYTES, session.flows[f].token);
        g.writers[f].chunk_bytes = (size_t)options->chunk_bytes;
    }
    const struct {
        void (*make)(struct generation *, uint64_t);
        uint64_t count;
    } kinds[] = {{make_string, options->strings},
                 {make_hash, options->hashes},
                 {make_zset, options->zsets},
                 {make_list, options->lists},
                 {make_set, options->sets}};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        for (uint64_t n = 0; n < kinds[k].count; n++)
            kinds[k].make(&g, n);
    uint64_t plain = 0;
    for (uint32_t f = 0; f < options->flows; f++) {
        writer_fullsync_end(&g.writers[f]);
        writer_stable(&g.writers[f], 1);
        plain += g.writers[f].plain_bytes;
    }
    make_journal(&g);
    for (uint32_t f = 0; f < options->flows; f++)
        session.flows[f] = writer_finish(&g.writers[f]);
    if (plain_bytes)
        *plain_bytes = plain;
    struct buf *scratch[] = {&g.key, &g.a, &g.b, &g.packed};
    for (size_t i = 0; i < 4; i++)
        buf_free(scratch[i]);
    free(g.writers);
    return session;
}
