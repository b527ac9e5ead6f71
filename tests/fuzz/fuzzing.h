/* For fuzzers: everything an entry points to is read, so that a sanitizer sees what should not be. */
#ifndef DF2REDIS_TESTS_FUZZING_H
#define DF2REDIS_TESTS_FUZZING_H

#include <stdio.h>
#include <stdlib.h>

#include "worker/decode/decoder.h"
#include "worker/rdb/stream.h"
#include "worker/rdb/value.h"

#define FUZZING __attribute__((unused)) static
#define FUZZ_TOKEN "0123456789abcdef0123456789abcdef01234567"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold whatever the input. */
#define MUST(x) ((x) ? (void)0 : (fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #x), abort()))

FUZZING uint64_t read_bytes(uint64_t h, struct slice s)
{
    h = (h ^ s.len) * UINT64_C(0x9e3779b97f4a7c15);
    for (size_t i = 0; i < s.len; i++)
        h = (h ^ s.data[i]) * UINT64_C(0x100000001b3);
    return h;
}

FUZZING uint64_t read_number(uint64_t h, uint64_t v)
{
    return (h ^ v ^ v >> 31) * UINT64_C(0x9e3779b97f4a7c15);
}

FUZZING uint64_t read_element(uint64_t h, const struct element *e)
{
    uint64_t score;
    memcpy(&score, &e->score, sizeof score);
    h = read_bytes(read_bytes(h, e->a), e->b);
    return read_number(read_number(h, score), (uint64_t)e->expire_ms);
}

/* The entry but for its elements and its sequence numbers. */
FUZZING uint64_t read_entry(const struct entry *e)
{
    uint64_t h = read_number(e->kind, (uint64_t)e->db << 8 | e->type);
    h = read_bytes(read_bytes(h, e->key), e->value);
    h = read_number(read_number(h, (uint64_t)e->expire_ms), (uint64_t)e->id << 32 | e->mc_flags);
    h = read_number(read_number(h, e->lsn), e->txid << 8 | e->flags);
    for (size_t i = 0; i < e->argc; i++)
        h = read_bytes(h, e->argv[i]);
    return h;
}

/* Everything that may be done with a whole value. */
FUZZING void read_value(uint8_t type, struct slice value)
{
    static struct value_scratch scratch;
    struct value_reader r = {0};
    struct buf converted = {0};
    struct stream_node_reader *node = stream_node_reader_new();
    struct error error;
    enum element_class class;
    size_t count, consumed, wanted, groups = 0;
    struct stream_entry entry;
    struct stream_tail_visitor nobody = {0};

    while (!value_reader_done(&r) && groups++ < 100000) {
        if (value_reader_next(&r, type, value, 7, 4096, &scratch, &class, &count, &consumed, &wanted,
                              &error) != VALUE_OK)
            break;
        MUST(consumed <= value.len);
        for (size_t i = 0; i < count; i++) {
            const struct element *e = &scratch.elements[i];
            read_element(0, e);
            if (class == ELEMENT_STREAM_NODE && stream_node_begin(node, e->a, e->b, &error))
                while (stream_node_next(node, &entry, &error) == 1)
                    for (size_t f = 0; f < entry.field_count; f++)
                        read_bytes(0, entry.fields[f]);
            if (class == ELEMENT_STREAM_TAIL)
                stream_tail_visit(e->a, type, &nobody, &error);
        }
        value.data += consumed;
        value.len -= consumed;
    }
    stream_convert(value, type, RDB_STREAM_LISTPACKS, &converted, &error);
    stream_node_reader_free(node);
    buf_free(&converted);
}

/* Small limits, so that little input reaches all paths. */
FUZZING struct decoder_config fuzz_config(uint8_t choice)
{
    static const uint64_t limits[] = {0, 20, 200, 1 << 20};
    struct decoder_config c = {.restore_limit_bytes = limits[choice & 3],
                               .group_elements = choice & 4 ? 2 : 100,
                               .group_bytes = choice & 8 ? 30 : 5000,
                               .token = FUZZ_TOKEN,
                               .first_lsn = choice & 16 ? 100 : 0};
    return c;
}

#endif
