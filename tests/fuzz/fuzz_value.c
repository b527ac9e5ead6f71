/* A type byte and a value: its length, found at once or byte by byte, its elements, and its digest. */
#include "tests/fuzz/fuzzing.h"
#include "worker/compare/digest.h"

/* As the payload of a DUMP, and as text. */
static void digest(struct slice typed, struct slice value)
{
    static struct digest_scratch *scratch;
    struct digest_options options = {.stream_counters = true, .entries_read = true, .now_ms = 1};
    struct digest d = {0}, again = {0};
    struct error error;
    struct buf payload = {0};
    scratch = scratch ? scratch : digest_scratch_new();
    buf_put(&payload, typed.data, typed.len);
    buf_put(&payload, "\x09\0\0\0\0\0\0\0\0\0", 10);
    if (digest_dump(&d, buf_slice(&payload), &options, scratch, &error) && d.kind != DIGEST_FOREIGN) {
        MUST(digest_dump(&again, buf_slice(&payload), &options, scratch, &error));
        MUST(digest_equal(&d, &again, 0));
    }
    buf_free(&payload);
    if (digest_json(&d, value, &error))
        MUST(digest_equal(&d, &d, 0));
    digest_free(&d);
    digest_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct value_skip whole = {0}, bytes = {0};
    struct error error;
    if (size < 1)
        return 0;
    uint8_t type = data[0];
    struct slice value = slice_of(data + 1, size - 1);
    enum value_status status = value_skip(&whole, type, value, &error), slow = VALUE_MORE;

    for (size_t n = 0; n <= value.len && slow == VALUE_MORE; n++)
        slow = value_skip(&bytes, type, slice_of(value.data, n), &error);
    MUST(slow == status);
    MUST(status == VALUE_BROKEN || whole.position == bytes.position);
    if (status == VALUE_MORE)
        MUST(whole.wanted > value.len);
    read_value(type, value);
    digest(slice_of(data, size), value);
    return 0;
}
