/* Writing and reading marks. */
#include "common/redis/marks.h"

#include <stdio.h>
#include <stdlib.h>

const char mark_database_script[] =
    "redis.call('SELECT',ARGV[1]) local f='" MARK_DATABASE_FIELD "'..ARGV[2] "
    "local r=redis.call('HGET',KEYS[1],'" MARK_RUN_FIELD "') "
    "if r and redis.call('HGET',KEYS[1],f)~=r then "
    "redis.call('SELECT',ARGV[2]) redis.call('SET',KEYS[1]..'" MARK_DATABASE_SUFFIX "',ARGV[2]) "
    "redis.call('SELECT',ARGV[1]) redis.call('HSET',KEYS[1],f,r) end return 0";

bool mark_next_word(struct slice *text, struct slice *word)
{
    const uint8_t *blank = text->len ? memchr(text->data, ' ', text->len) : NULL;
    size_t n = blank ? (size_t)(blank - text->data) : text->len;
    *word = slice_of(text->data, n);
    n += blank ? 1 : 0;
    if (n) /* of no text at all there may be no pointer either */
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
    struct mark m = {
        .present = true, .flushed_session = out->flushed_session, .flushed_txid = out->flushed_txid};
    memcpy(m.flushed_master, out->flushed_master, sizeof m.flushed_master);
    if (!next_id(text, m.master_id) || !next_number(text, &m.session) || !next_number(text, &m.seq) ||
        !next_number(text, &m.lsn))
        return false;
    struct slice rest = *text, word;
    if (mark_next_word(&rest, &word) && journal_check_read(word, &m.check))
        *text = rest;
    else
        m.unchecked = true;
    *out = m;
    return true;
}

void mark_write(const struct mark *m, char out[MARK_TEXT_BYTES])
{
    char check[JOURNAL_CHECK_TEXT_BYTES];
    journal_check_write(&m->check, check);
    snprintf(out, MARK_TEXT_BYTES, "%s %llu %llu %llu %s", m->master_id, (unsigned long long)m->session,
             (unsigned long long)m->seq, (unsigned long long)m->lsn, check);
}

static void append_node(const char *text, const struct marked_node *node, char *out, size_t bytes)
{
    snprintf(out, bytes, "%s %llx %s %s", text, (unsigned long long)node->fingerprint, node->run_id,
             node->replid);
}

/* What append_node() appended. */
static bool next_node(struct slice *text, struct marked_node *out)
{
    struct marked_node n = {0};
    struct slice word;
    char hex[17], *end;
    if (!mark_next_word(text, &word) || word.len >= sizeof hex)
        return false;
    memcpy(hex, word.data, word.len);
    hex[word.len] = '\0';
    n.fingerprint = strtoull(hex, &end, 16);
    if (*end || !next_id(text, n.run_id) || !next_id(text, n.replid))
        return false;
    *out = n;
    return true;
}

void node_mark_write(const char *mark, const struct marked_node *node, char out[NODE_MARK_TEXT_BYTES])
{
    append_node(mark, node, out, NODE_MARK_TEXT_BYTES);
}

bool mark_parse(struct slice text, struct mark *out)
{
    struct mark m = *out;
    if (!parse_common(&text, &m) || text.len)
        return false;
    *out = m;
    return true;
}

bool node_mark_parse(struct slice text, struct slot_mark *out)
{
    struct slot_mark m = *out;
    if (!parse_common(&text, &m.node) || !next_node(&text, &m.marked) || text.len)
        return false;
    *out = m;
    return true;
}

void flushed_write(uint64_t session, uint64_t txid, const char *master_id, char out[FLUSHED_TEXT_BYTES])
{
    snprintf(out, FLUSHED_TEXT_BYTES, "%llu %llu %s", (unsigned long long)session, (unsigned long long)txid,
             master_id);
}

void node_flushed_write(const char *flushed, const struct marked_node *node, char out[FLUSHED_TEXT_BYTES])
{
    append_node(flushed, node, out, FLUSHED_TEXT_BYTES);
}

bool flushed_parse(struct slice text, struct mark *out, struct marked_node *node)
{
    uint64_t session, txid;
    if (node)
        *node = (struct marked_node){0};
    if (!next_number(&text, &session) || !next_number(&text, &txid))
        return false;
    out->flushed_session = session;
    out->flushed_txid = txid;
    if (!next_id(&text, out->flushed_master))
        out->flushed_master[0] = '\0';
    else if (node)
        next_node(&text, node);
    return true;
}
