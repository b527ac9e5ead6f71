/* A decoder that is put back after an entry goes on as one that was not; a damaged restart record does no
 * harm. */
#include "tests/fuzz/fuzzing.h"

struct run {
    uint64_t hash, seq;
    enum decode_status status;
};

static uint64_t hash_of(const struct entry *e, uint64_t h)
{
    uint64_t own = read_entry(e);
    if (e->kind != ENTRY_ELEMENTS)
        return read_number(read_number(h, own), e->seq);
    for (size_t i = 0; i < e->element_count; i++)
        h = read_number(read_number(h, own), read_element(e->first_seq + i, &e->elements[i]));
    return h;
}

static struct decoder *put_back(struct decoder *d, const struct decoder_config *config)
{
    struct buf state = {0};
    struct error error;
    decoder_save(d, &state);
    decoder_free(d);
    d = decoder_new(config);
    MUST(decoder_restore(d, buf_slice(&state), &error));
    buf_free(&state);
    return d;
}

/* every: put back after so many entries; 0: never. */
static struct run run(const struct decoder_config *config, struct slice bytes, unsigned every)
{
    struct run r = {0};
    struct entry e;
    struct error error;
    struct decoder *d = decoder_new(config);
    for (unsigned entries = 0; entries < 2000;) {
        size_t at = (size_t)decoder_offset(d);
        r.status = decoder_next(d, slice_of(bytes.data + at, bytes.len - at), &e, &error);
        if (r.status != DECODE_ENTRY)
            break;
        r.hash = hash_of(&e, r.hash);
        r.seq = e.seq;
        entries += (unsigned)(e.seq - e.first_seq + 1);
        if (every && entries % every == 0)
            d = put_back(d, config);
    }
    decoder_free(d);
    return r;
}

/* The first bytes are a restart record, or what was made of one. */
static void run_damaged(const struct decoder_config *config, const uint8_t *data, size_t size)
{
    size_t state_bytes = size < 400 ? size : 200 + (size_t)data[0];
    struct decoder *d = decoder_new(config);
    struct error error;
    struct entry e;
    if (decoder_restore(d, slice_of(data, state_bytes), &error)) {
        uint64_t begin = decoder_offset(d);
        struct slice rest = slice_of(data + state_bytes, size - state_bytes);
        while (decoder_offset(d) - begin <= rest.len) {
            size_t at = (size_t)(decoder_offset(d) - begin);
            if (decoder_next(d, slice_of(rest.data + at, rest.len - at), &e, &error) != DECODE_ENTRY)
                break;
            hash_of(&e, 0);
        }
    }
    decoder_free(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct decoder_config config = fuzz_config(data[0]);
    if (data[0] & 64) {
        run_damaged(&config, data + 1, size - 1);
        return 0;
    }
    /* Groups end where the limit of entries does in both runs: one element at a time. */
    config.group_elements = 1;
    struct slice bytes = slice_of(data + 1, size - 1);
    struct run straight = run(&config, bytes, 0), restarted = run(&config, bytes, 1 + data[0] / 128u * 3);
    MUST(straight.status == restarted.status);
    MUST(straight.seq == restarted.seq && straight.hash == restarted.hash);
    return 0;
}
