/* The FLOW over TLS. The state of a TLS connection cannot be passed to another process, so the worker connects,
 * performs the FLOW's handshake, sends FLOW_OPENED to the supervisor, and sends the ACKs. If it dies the session
 * ends. */
#include "worker/source/source.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "common/base/clock.h"
#include "common/net/client.h"
#include "common/redis/marks.h"

enum { ACK_EVERY_MS = 1000, ACK_EVERY_ENTRIES = 1024, ANSWER_TIMEOUT_MS = 30000 };

static void on_tls_failed(struct client *c, const struct error *error, void *arg)
{
    struct source *s = arg;
    (void)c;
    flow_fail(s->flow, error);
}

static bool answer_is(const redisReply *reply, const char *word)
{
    return reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 && reply->element[0]->str &&
           reply->element[1]->str && strcmp(reply->element[0]->str, word) == 0 &&
           strlen(reply->element[1]->str) == sizeof((struct decoder_config *)0)->token - 1;
}

static void on_flow_answer(struct client *c, const redisReply *reply, void *arg)
{
    struct source *s = arg;
    struct error error;
    bool full = answer_is(reply, "FULL"), partial = answer_is(reply, "PARTIAL");
    if (partial && !s->tls_first_lsn) {
        error_fatal(&error, EX_PROTOCOL,
                    "the source answered DFLY FLOW %u with PARTIAL, but a full sync was requested",
                    s->flow->number);
        flow_fail(s->flow, &error);
        return;
    }
    if (!full && !partial) {
        error_set(&error, ERROR_RETRY, "the source answered DFLY FLOW %u with %.200s", s->flow->number,
                  reply->str ? reply->str : "neither FULL nor PARTIAL");
        flow_fail(s->flow, &error);
        return;
    }
    s->tls = client_take_transport(c);
    if (!s->tls) {
        error_set(&error, ERROR_RETRY,
                  "the source sent data after its answer to DFLY FLOW %u, before DFLY SYNC", s->flow->number);
        flow_fail(s->flow, &error);
        return;
    }
    memcpy(s->flow->decoder_config.token, reply->element[1]->str, sizeof s->flow->decoder_config.token);
    if (full) {
        s->flow->decoder_config.first_lsn = s->flow->decoder_config.asked_lsn = 0;
        s->flow->decoder_config.check = (struct journal_check){0};
        s->flow->decoder_config.in_blobs = false;
    }
    decoder_free(s->flow->decoder);
    s->flow->decoder = decoder_new(&s->flow->decoder_config);
    s->fd = s->tls->fd;

    struct message m = {.type = MESSAGE_FLOW_OPENED, .fd = -1, .flow_opened.full = full};
    memcpy(m.flow_opened.token, s->flow->decoder_config.token, sizeof m.flow_opened.token);
    flow_tell(s->flow, &m);
    s->tls_opened(s, full);
}

static void on_tls_ready(struct client *c, void *arg)
{
    struct source *s = arg;
    enum { WORDS_MAX = 8 };
    char flow[16];
    struct slice argv[WORDS_MAX], asked = buf_slice(&s->tls_asked), word;
    size_t argc = 0;
    snprintf(flow, sizeof flow, "%u", s->flow->number);
    const char *words[] = {"DFLY", "FLOW", s->flow->master_id, s->sync_id, flow};
    while (argc < sizeof words / sizeof *words) {
        argv[argc] = slice_str(words[argc]);
        argc++;
    }
    while (s->tls_first_lsn && argc < WORDS_MAX && mark_next_word(&asked, &word))
        argv[argc++] = word;
    client_command(c, ANSWER_TIMEOUT_MS, on_flow_answer, s, argc, argv);
}

void source_tls_open(struct source *s, source_tls_opened *opened)
{
    s->tls_opened = opened;
    struct error error;
    struct client_callbacks on = {s, on_tls_ready, on_tls_failed};
    s->tls_client =
        client_connect(s->flow->base, &s->flow->settings.source, &s->flow->settings, "source", &on, &error);
    if (!s->tls_client)
        flow_fail(s->flow, &error);
}

enum spool_read source_tls_read(struct source *s, size_t *got, struct error *error)
{
    size_t room;
    uint8_t *into = spool_write_begin(s->spool, &room, error);
    if (!into)
        return error->class == ERROR_RETRY ? SPOOL_READ_LIMIT : SPOOL_READ_ERROR;
    ssize_t n = s->tls->recv(s->tls, into, room);
    if (n == TRANSPORT_AGAIN || n <= 0) {
        if (n == TRANSPORT_FAILED)
            log_warning("the connection of FLOW %u broke: %s", s->flow->number, s->tls->error);
        spool_write_end(s->spool, 0, error);
        return n == TRANSPORT_AGAIN ? SPOOL_READ_AGAIN : SPOOL_READ_EOF;
    }
    *got = (size_t)n;
    return spool_write_end(s->spool, (size_t)n, error) ? SPOOL_READ_SOME : SPOOL_READ_ERROR;
}

void source_tls_acknowledge(struct source *s, bool urgent)
{
    if (!s->tls || !decoder_in_journal(s->flow->decoder))
        return;
    uint64_t lsn = cursor_get(&s->flow->cursor.marks->applied_lsn), now = clock_monotonic_ms();
    if (!lsn || (!urgent && lsn - s->acked_lsn < ACK_EVERY_ENTRIES && now - s->acked_at_ms < ACK_EVERY_MS))
        return;
    char text[24], line[96];
    size_t digits = format_u64(text, lsn);
    int n = snprintf(line, sizeof line, "*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$%zu\r\n%.*s\r\n", digits,
                     (int)digits, text);
    struct iovec part = {line, (size_t)n};
    /* A few bytes a second: if the socket does not accept all of them, the source has stopped reading. */
    ssize_t sent = s->tls->send(s->tls, &part, 1);
    if (sent > 0 && sent < n) {
        struct error error;
        error_set(&error, ERROR_RETRY, "the source does not read acknowledgements on FLOW %u",
                  s->flow->number);
        flow_fail(s->flow, &error);
    }
    if (sent != n)
        return;
    s->acked_lsn = lsn;
    s->acked_at_ms = now;
}

void source_tls_close(struct source *s)
{
    s->tls->close(s->tls);
    s->tls = NULL;
    s->fd = -1;
}
