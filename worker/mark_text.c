/* Reading marks. */
#include "worker/mark_text.h"

#include <stdlib.h>

#include "common/topology.h"

bool mark_next_word(struct slice *text, struct slice *word)
{
    const uint8_t *blank = text->len ? memchr(text->data, ' ', text->len) : NULL;
    size_t n = blank ? (size_t)(blank - text->data) : text->len;
    *word = slice_of(text->data, n);
    n += blank ? 1 : 0;
    *text = slice_of(text->data + n, text->len - n);
    return word->len > 0;
}

static bool next_number(struct slice *text, uint64_t *n)
{
    struct slice word;
    return mark_next_word(text, &word) && slice_to_u64(word, n);
}

/* 40 characters, and a NUL behind them. */
static bool next_id(struct slice *text, char *id)
{
    struct slice word;
    if (!mark_next_word(text, &word) || word.len != 40)
        return false;
    memcpy(id, word.data, 40);
    id[40] = '\0';
    return true;
}

/* The part that all marks have; *text: what is left. */
static bool parse_common(struct slice *text, struct mark *out)
{
    struct mark m = {.present = true};
    if (!next_id(text, m.master_id) || !next_number(text, &m.session) || !next_number(text, &m.seq) ||
        !next_number(text, &m.lsn))
        return false;
    *out = m;
    return true;
}

bool mark_parse(struct slice text, struct mark *out)
{
    struct mark m;
    if (!parse_common(&text, &m) || text.len)
        return false;
    *out = m;
    return true;
}

static void parse_flushed(struct slice text, struct mark *out)
{
    uint64_t session, txid;
    if (next_number(&text, &session) && next_number(&text, &txid)) {
        out->flushed_session = session;
        out->flushed_txid = txid;
    }
}

/* Element i as text; empty when it is nil. */
static struct slice element(const redisReply *reply, size_t i)
{
    const redisReply *e = reply->element[i];
    return e->type == REDIS_REPLY_STRING ? slice_of(e->str, (size_t)e->len) : slice_of("", 0);
}

bool mark_read(const redisReply *reply, struct mark *out)
{
    *out = (struct mark){0};
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2)
        return false;
    struct slice text = element(reply, 0);
    if (text.len && !mark_parse(text, out))
        return false;
    parse_flushed(element(reply, 1), out);
    return true;
}

static bool parse_node(struct slice text, struct slot_mark *out)
{
    struct slice word;
    char hex[17];
    if (!parse_common(&text, &out->node) || !mark_next_word(&text, &word) || word.len >= sizeof hex)
        return false;
    memcpy(hex, word.data, word.len);
    hex[word.len] = '\0';
    out->fingerprint = strtoull(hex, NULL, 16);
    return next_id(&text, out->run_id) && next_id(&text, out->replid) && text.len == 0;
}

bool slot_mark_read(const redisReply *reply, struct slot_mark *out)
{
    *out = (struct slot_mark){0};
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 3)
        return false;
    struct slice own = element(reply, 0), node = element(reply, 1);
    if ((own.len && !mark_parse(own, &out->own)) || (node.len && !parse_node(node, out)))
        return false;
    parse_flushed(element(reply, 2), &out->own);
    return true;
}

void slot_mark_ask(struct client *c, const struct link_config *config, uint16_t slot, client_reply tell,
                   void *arg)
{
    char key[160];
    slot_mark_key(key, sizeof key, config->settings->name, slot);
    client_words(c, MARK_ANSWER_TIMEOUT_MS, tell, arg, "HMGET", key, config->mark_field, config->node_field,
                 MARK_FLUSHED_FIELD, NULL);
}
