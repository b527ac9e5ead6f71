/* A FLOW's bytes, in pieces that the first byte chooses: nothing may crash, hang or ask for what it has. */
#include "tests/fuzz/fuzzing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct decoder_config config = fuzz_config(data[0]);
    struct decoder *d = decoder_new(&config);
    struct entry e;
    struct error error;
    size_t piece = data[0] & 32 ? 1 + (size_t)data[0] % 7 : size, received;
    uint64_t seq = 0;
    data++;
    size--;
    received = piece < size ? piece : size;

    for (;;) {
        uint64_t at = decoder_offset(d);
        MUST(at <= received);
        /* A copy that ends where the input ends: reading on is seen. */
        size_t there = received - (size_t)at;
        uint8_t *copy = x_malloc(there);
        memcpy(copy, data + at, there);
        enum decode_status status = decoder_next(d, slice_of(copy, there), &e, &error);
        if (status == DECODE_ENTRY) {
            MUST(e.first_seq == seq + 1 && e.seq >= e.first_seq);
            seq = e.seq;
            read_entry(&e);
            for (size_t i = 0; e.kind == ENTRY_ELEMENTS && i < e.element_count; i++)
                read_element(0, &e.elements[i]);
            if (e.kind == ENTRY_VALUE)
                read_value(e.type, e.value);
        }
        if (status == DECODE_MORE)
            MUST(decoder_wanted(d) > received - decoder_offset(d));
        free(copy);
        if (status == DECODE_ERROR || status == DECODE_BREAK || (status == DECODE_MORE && received == size))
            break;
        if (status == DECODE_MORE)
            received = size - received < piece ? size : received + piece;
    }
    decoder_free(d);
    return 0;
}
