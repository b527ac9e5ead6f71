/* Any bytes as a message, and as the settings in one: refused, or read back as the same bytes. */
#include <stdlib.h>

#include "common/ipc/message.h"
#include "common/settings/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Decoding and encoding again must give a fixed point, whatever was read. */
static void settings_again(struct slice bytes)
{
    struct settings first = {0}, second = {0};
    struct buf once = {0}, twice = {0};
    if (settings_decode(&first, bytes, NULL)) {
        settings_encode(&first, &once);
        if (!settings_decode(&second, buf_slice(&once), NULL))
            abort();
        settings_encode(&second, &twice);
        if (!slice_eq(buf_slice(&once), buf_slice(&twice)))
            abort();
    }
    settings_free(&first);
    settings_free(&second);
    buf_free(&once);
    buf_free(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct message m;
    struct buf again = {0};
    settings_again(slice_of(data, size));
    if (!message_decode(slice_of(data, size), &m, NULL))
        return 0;
    if (!message_encode(&m, &again, NULL) || !slice_eq(buf_slice(&again), slice_of(data, size)))
        abort();
    if (m.type == MESSAGE_START)
        settings_again(buf_slice(&m.start.settings));
    buf_free(&again);
    message_free(&m);
    return 0;
}
