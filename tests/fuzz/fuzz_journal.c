/* Journal entries: their arguments lie within the input, and what is wanted is more than there is. */
#include "tests/fuzz/fuzzing.h"
#include "worker/decode/journal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct journal_args args = {0};
    struct journal_item item;
    struct error error;
    struct slice input = slice_of(data, size);

    while (input.len) {
        size_t used = 0, wanted = 0;
        enum value_status status = journal_read(&args, input, &item, &used, &wanted, &error);
        if (status == VALUE_MORE)
            MUST(wanted > input.len);
        if (status != VALUE_OK)
            break;
        MUST(used > 0 && used <= input.len);
        for (size_t i = 0; i < item.argc; i++) {
            MUST(item.argv[i].data >= input.data &&
                 item.argv[i].data + item.argv[i].len <= input.data + used);
            read_bytes(0, item.argv[i]);
        }
        input.data += used;
        input.len -= used;
    }
    journal_args_free(&args);
    return 0;
}
