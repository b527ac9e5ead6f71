/* Parses marks from replies. */
#include "worker/link/mark_text.h"

#include "common/redis/topology.h"

/* Element i as text; empty if nil. */
static struct slice element(const redisReply *reply, size_t i)
{
    const redisReply *e = reply->element[i];
    return e->type == REDIS_REPLY_STRING ? slice_of(e->str, (size_t)e->len) : slice_of("", 0);
}

bool mark_read(const redisReply *reply, struct mark *out)
{
    *out = (struct mark){0};
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 3)
        return false;
    struct slice text = element(reply, 0);
    if (text.len && !mark_parse(text, out))
        return false;
    out->claimed = element(reply, 2).len > 0;
    flushed_parse(element(reply, 1), out, NULL);
    return true;
}

bool slot_mark_read(const redisReply *reply, struct slot_mark *out)
{
    *out = (struct slot_mark){0};
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 4)
        return false;
    struct slice own = element(reply, 0), node = element(reply, 1);
    if ((own.len && !mark_parse(own, &out->own)) || (node.len && !node_mark_parse(node, out)))
        return false;
    out->own.claimed = element(reply, 3).len > 0;
    flushed_parse(element(reply, 2), &out->own, &out->flushed_on);
    return true;
}

void slot_mark_ask(struct client *c, const struct link_config *config, uint16_t slot, client_reply tell,
                   void *arg)
{
    char key[SLOT_KEY_BYTES];
    slot_mark_key(key, sizeof key, config->settings->name, slot);
    client_words(c, MARK_ANSWER_TIMEOUT_MS, tell, arg, "HMGET", key, config->mark_field, config->node_field,
                 MARK_FLUSHED_FIELD, MARK_RUN_FIELD, NULL);
}
