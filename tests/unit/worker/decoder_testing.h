/* For tests of the decoder: a fingerprint of what it gave, feeding in pieces, and writing streams by hand.
 *
 * The fingerprint has one hash for each sequence number, with all fields of what it stands for, so that
 * groups of elements may be cut anywhere and still compare equal. */
#ifndef DF2REDIS_TESTS_UNIT_WORKER_DECODER_TESTING_H
#define DF2REDIS_TESTS_UNIT_WORKER_DECODER_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "worker/decode/decoder.h"
#include "worker/rdb/value.h"

#define TESTING __attribute__((unused)) static

#define TOKEN "0123456789abcdef0123456789abcdef01234567"

/* ---- fingerprints ---- */

struct told {
    uint64_t *hash; /* of seq i + 1 */
    size_t count, capacity;
    enum decode_status status; /* it ended with */
    uint64_t offset, next_lsn;
    char error[512];
};

TESTING void told_free(struct told *t)
{
    free(t->hash);
    *t = (struct told){0};
}

TESTING uint64_t mix(uint64_t h, const void *data, size_t len)
{
    const uint8_t *p = data;
    h = (h ^ len) * UINT64_C(0x9e3779b97f4a7c15);
    for (size_t i = 0; i < len; i++)
        h = (h ^ p[i]) * UINT64_C(0x100000001b3);
    return h ^ h >> 29;
}

TESTING uint64_t mix_number(uint64_t h, uint64_t v)
{
    return mix(h, &v, sizeof v);
}

TESTING void told_put(struct told *t, uint64_t seq, uint64_t hash)
{
    assert_true(seq == t->count + 1); /* each number once, without gaps */
    if (t->count == t->capacity) {
        t->capacity = t->capacity ? t->capacity * 2 : 1024;
        t->hash = x_realloc(t->hash, t->capacity * sizeof *t->hash);
    }
    t->hash[t->count++] = hash;
}

TESTING uint64_t entry_hash(const struct entry *e)
{
    uint64_t h = mix_number(1, e->kind);
    h = mix_number(h, e->in_snapshot);
    h = mix_number(h, e->db);
    h = mix(h, e->key.data, e->key.len);
    h = mix_number(h, (uint64_t)e->type << 8 | e->flags);
    h = mix_number(h, (uint64_t)e->mc_flags << 32 | e->id);
    h = mix_number(h, (uint64_t)e->expire_ms);
    return h;
}

TESTING void told_entry(struct told *t, const struct entry *e)
{
    uint64_t h = entry_hash(e);
    if (e->kind == ENTRY_ELEMENTS) {
        assert_true(e->element_count > 0);
        assert_true(e->seq - e->first_seq + 1 == e->element_count);
        for (size_t i = 0; i < e->element_count; i++) {
            const struct element *x = &e->elements[i];
            uint64_t own = mix_number(h, e->class);
            own = mix(own, x->a.data, x->a.len);
            own = mix(own, x->b.data, x->b.len);
            own = mix(own, &x->score, sizeof x->score);
            told_put(t, e->first_seq + i, mix_number(own, (uint64_t)x->expire_ms));
        }
        return;
    }
    assert_true(e->seq == e->first_seq);
    h = mix_number(h, e->offset);
    h = mix(h, e->value.data, e->value.len);
    h = mix_number(mix_number(h, e->total_elements), e->lsn);
    h = mix_number(mix_number(h, e->txid), e->argc);
    for (size_t i = 0; i < e->argc; i++)
        h = mix(h, e->argv[i].data, e->argv[i].len);
    told_put(t, e->seq, h);
}

TESTING void assert_told_same(const struct told *a, const struct told *b)
{
    for (size_t i = 0; i < a->count && i < b->count; i++)
        if (a->hash[i] != b->hash[i])
            fail_msg("seq %zu differs", i + 1);
    assert_int_equal(a->count, b->count);
    assert_int_equal(a->status, b->status);
    assert_true(a->offset == b->offset || a->status == DECODE_ERROR);
    assert_true(a->next_lsn == b->next_lsn);
    assert_string_equal(a->error, b->error);
}

/* ---- feeding ---- */

TESTING uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

TESTING struct decoder_config config_of(const char *token, uint64_t first_lsn)
{
    struct decoder_config c = {.restore_limit_bytes = 64 << 10,
                               .group_elements = 512,
                               .group_bytes = 64 << 10,
                               .first_lsn = first_lsn};
    snprintf(c.token, sizeof c.token, "%s", token);
    return c;
}

TESTING void told_end(struct told *t, const struct decoder *d, enum decode_status status,
                      const struct error *e)
{
    t->status = status;
    t->offset = decoder_offset(d);
    t->next_lsn = decoder_next_lsn(d);
    if (status == DECODE_ERROR || status == DECODE_BREAK)
        memcpy(t->error, e->text, sizeof e->text);
}

enum feeding { FEED_WHOLE, FEED_BYTES, FEED_PIECES, FEED_RESTARTS };

/* How many bytes have come when the decoder asked for more than `received`. */
TESTING size_t receive_more(enum feeding how, size_t received, size_t all, uint64_t *random)
{
    size_t more = all - received;
    if (how == FEED_BYTES)
        more = 1;
    else if (how == FEED_PIECES)
        more = 1 + (size_t)(next_random(random) % (next_random(random) % 8 ? 300 : 70000));
    return more > all - received ? all : received + more;
}

/* Decodes all of `bytes`. With FEED_PIECES the input is a new piece of memory for every call and the old one
 * is gone; with FEED_RESTARTS a new decoder goes on after every `restart_every`th entry. */
TESTING struct told decode_fed(const struct decoder_config *config, struct slice bytes, enum feeding how,
                               unsigned restart_every)
{
    struct told t = {0};
    struct error error = {0};
    struct entry e;
    struct decoder *d = decoder_new(config);
    struct buf state = {0};
    uint64_t random = 88172645463325252u + restart_every;
    size_t received = how == FEED_BYTES || how == FEED_PIECES ? 0 : bytes.len, entries = 0;
    uint8_t *copy = NULL;
    enum decode_status status;

    for (;;) {
        uint64_t at = decoder_offset(d);
        struct slice input = slice_of(bytes.data + at, received - (size_t)at);
        if (how == FEED_PIECES) {
            free(copy);
            copy = x_malloc(input.len);
            memcpy(copy, input.data, input.len);
            input.data = copy;
        }
        status = decoder_next(d, input, &e, &error);
        if (status == DECODE_ENTRY) {
            assert_true(e.seq == decoder_seq(d));
            told_entry(&t, &e);
            if (how == FEED_RESTARTS && ++entries % restart_every == 0) {
                buf_clear(&state);
                decoder_save(d, &state);
                decoder_free(d);
                d = decoder_new(config);
                assert_true(decoder_restore(d, buf_slice(&state), &error));
            }
        } else if (status == DECODE_MORE && received < bytes.len) {
            assert_true(decoder_wanted(d) > received - decoder_offset(d));
            received = receive_more(how, received, bytes.len, &random);
        } else {
            break;
        }
    }
    told_end(&t, d, status, &error);
    decoder_free(d);
    buf_free(&state);
    free(copy);
    return t;
}

/* The same however it is fed, and with other groups of elements. */
TESTING void assert_decodes_the_same(const struct decoder_config *config, struct slice bytes,
                                     unsigned restart_every)
{
    struct told whole = decode_fed(config, bytes, FEED_WHOLE, 1), other;
    struct decoder_config small = *config;
    small.group_elements = 3;
    small.group_bytes = 100;
    const struct decoder_config *configs[] = {config, &small};
    for (int how = FEED_WHOLE; how <= FEED_RESTARTS; how++)
        for (int c = 0; c < 2; c++) {
            other = decode_fed(configs[c], bytes, (enum feeding)how, restart_every);
            assert_told_same(&whole, &other);
            told_free(&other);
        }
    told_free(&whole);
}

/* ---- writing ---- */

TESTING void put_text(struct buf *b, const char *s)
{
    buf_put(b, s, strlen(s));
}

TESTING void put_string(struct buf *b, const char *s)
{
    rdb_length_write(b, strlen(s));
    put_text(b, s);
}

TESTING void put_slice(struct buf *b, struct slice s)
{
    rdb_length_write(b, s.len);
    buf_put(b, s.data, s.len);
}

TESTING void put_le(struct buf *b, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        buf_put_u8(b, (uint8_t)(i < 8 ? v >> 8 * i : 0));
}

TESTING void put_double(struct buf *b, double d)
{
    uint64_t bits;
    memcpy(&bits, &d, sizeof bits);
    put_le(b, bits, 8);
}

TESTING void put_header(struct buf *b)
{
    put_text(b, "REDIS0009");
}

/* Type and key. */
TESTING void put_entry(struct buf *b, uint8_t type, const char *key)
{
    buf_put_u8(b, type);
    put_string(b, key);
}

TESTING void put_chunk(struct buf *b, uint32_t id, const struct buf *payload)
{
    buf_put_u8(b, 224);
    put_le(b, id, 4);
    put_le(b, payload->len, 4);
    buf_put(b, payload->data, payload->len);
}

TESTING void put_eof(struct buf *b)
{
    buf_put_u8(b, 255);
    put_le(b, 0, 8);
    put_text(b, TOKEN);
}

/* A journal command of words separated by spaces. */
TESTING void put_command(struct buf *b, uint64_t txid, const char *words)
{
    const char *p = words;
    uint64_t argc = 1, sum = 0;
    for (const char *c = words; *c; c++)
        *c == ' ' ? argc++ : sum++;
    rdb_length_write(b, 10);
    rdb_length_write(b, txid);
    rdb_length_write(b, 1);
    rdb_length_write(b, argc);
    rdb_length_write(b, sum);
    for (uint64_t i = 0; i < argc; i++) {
        size_t len = strcspn(p, " ");
        put_slice(b, slice_of(p, len));
        p += len + (p[len] == ' ');
    }
}

/* A listpack of texts, up to 63 bytes each. NULL ends them. */
TESTING void put_listpack(struct buf *b, ...)
{
    struct buf lp = {0};
    unsigned count = 0;
    va_list args;
    put_le(&lp, 0, 6);
    va_start(args, b);
    for (const char *s; (s = va_arg(args, const char *)); count++) {
        buf_put_u8(&lp, (uint8_t)(0x80 | strlen(s)));
        put_text(&lp, s);
        buf_put_u8(&lp, (uint8_t)(strlen(s) + 1));
    }
    va_end(args);
    buf_put_u8(&lp, 0xff);
    lp.data[0] = (uint8_t)lp.len;
    lp.data[1] = (uint8_t)(lp.len >> 8);
    lp.data[4] = (uint8_t)count;
    put_slice(b, buf_slice(&lp));
    buf_free(&lp);
}

/* ---- expecting ---- */

struct source {
    struct buf bytes;
    struct decoder *d;
    struct entry e;
    struct error error;
};

TESTING enum decode_status next_of(struct source *s)
{
    uint64_t at = decoder_offset(s->d);
    return decoder_next(s->d, slice_of(s->bytes.data + at, s->bytes.len - (size_t)at), &s->e, &s->error);
}

TESTING void expect_entry(struct source *s, enum entry_kind kind)
{
    enum decode_status status = next_of(s);
    if (status == DECODE_ERROR)
        fail_msg("%s", s->error.text);
    assert_int_equal(status, DECODE_ENTRY);
    assert_int_equal(s->e.kind, kind);
}

TESTING void expect_text(struct slice s, const char *text)
{
    assert_int_equal(s.len, strlen(text));
    assert_memory_equal(s.data, text, s.len);
}

TESTING void expect_error(struct source *s, const char *part)
{
    assert_int_equal(next_of(s), DECODE_ERROR);
    assert_int_equal(s->error.class, ERROR_FATAL);
    if (!strstr(s->error.text, part))
        fail_msg("\"%s\" does not say \"%s\"", s->error.text, part);
    /* And it stays broken. */
    assert_int_equal(next_of(s), DECODE_ERROR);
}

/* ERROR_RETRY, again and again. */
TESTING void expect_break(struct source *s, const char *part)
{
    for (int i = 0; i < 2; i++) {
        assert_int_equal(next_of(s), DECODE_BREAK);
        assert_int_equal(s->error.class, ERROR_RETRY);
        if (!strstr(s->error.text, part))
            fail_msg("\"%s\" does not say \"%s\"", s->error.text, part);
    }
}

TESTING void source_begin(struct source *s, const struct decoder_config *config)
{
    struct decoder_config standard = config_of(TOKEN, 0);
    *s = (struct source){.d = decoder_new(config ? config : &standard)};
    if (!config || !config->first_lsn) /* with a snapshot */
        put_header(&s->bytes);
}

TESTING void source_end(struct source *s)
{
    decoder_free(s->d);
    buf_free(&s->bytes);
}

#endif
