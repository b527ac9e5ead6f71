/* A type byte and a value: its length, found at once or byte by byte, and its elements. */
#include "tests/fuzz/fuzzing.h"

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
    return 0;
}
