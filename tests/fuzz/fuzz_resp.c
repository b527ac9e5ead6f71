/* Any bytes as a server's replies, however they are cut: hiredis's reader with our limits, and what we read
 * in the replies of a probe. The first byte says how many bytes are fed at a time. */
#include <stdlib.h>

#include "common/redis/capabilities.h"
#include "common/net/resp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Replies read, and whether it ended with an error. */
struct outcome {
    size_t replies;
    bool broken;
};

static void use(struct capabilities *c, size_t i, const redisReply *reply)
{
    if (strlen(resp_text(reply)) >= 200)
        abort();
    resp_error_is(reply, "NOAUTH");
    capabilities_reply(c, (int)(i % CAPABILITIES_COMMANDS), reply, NULL);
    capabilities_check(c, NULL);
    if (c->kind > SERVER_OTHER || (c->stream_type != 15 && c->stream_type != 19 && c->stream_type != 21))
        abort();
}

static struct outcome feed(struct slice bytes, size_t step)
{
    struct outcome o = {0};
    struct resp_reader reader;
    struct capabilities c = {.stream_type = 15};
    redisReply *reply;
    resp_reader_init(&reader);
    while (bytes.len > 0 && !o.broken) {
        size_t n = bytes.len < step ? bytes.len : step;
        int got = -1;
        if (!resp_reader_feed(&reader, slice_of(bytes.data, n), NULL))
            break;
        while ((got = resp_reader_next(&reader, &reply, NULL)) == 1) {
            use(&c, o.replies++, reply);
            freeReplyObject(reply);
        }
        o.broken = got < 0;
        bytes = slice_of(bytes.data + n, bytes.len - n);
    }
    resp_reader_free(&reader);
    return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct slice bytes = slice_of(data + 1, size - 1);
    struct outcome whole = feed(bytes, bytes.len), cut = feed(bytes, (size_t)data[0] + 1);
    if (whole.replies != cut.replies || whole.broken != cut.broken)
        abort();
    return 0;
}
