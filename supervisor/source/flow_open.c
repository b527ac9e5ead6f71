/* DFLY FLOW <master id> <sync id> <flow> [<lsn> | <last master id> <lsn>-<lsn>-…] → *2 +FULL|+PARTIAL +<40 hex digits> */
#include "supervisor/source/flow_open.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sysexits.h>

#include "common/net/client.h"
#include "common/redis/marks.h"

struct flow_open {
    const struct settings *settings;
    const struct greeting *greeting;
    struct flow_open_callbacks callbacks;
    struct client *client;
    uint32_t flow;
    struct buf asked; /* words */
    char source_name[256];
    bool over;
};

bool flow_answer_parse(const redisReply *reply, bool asked_lsn, uint32_t flow, const char *source_name,
                       struct flow_answer *out, struct error *error)
{
    char doing[64];
    snprintf(doing, sizeof doing, "DFLY FLOW %u", flow);
    *out = (struct flow_answer){0};
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2) {
        source_refusal(reply, doing, source_name, error);
        /* "invalid state", "syncid not found": this session is lost, the next one may work. */
        if (reply->type == REDIS_REPLY_ERROR && error->exit_code == EX_PROTOCOL)
            error->class = ERROR_RETRY;
        return false;
    }
    const redisReply *kind = reply->element[0], *token = reply->element[1];
    bool texts = (kind->type == REDIS_REPLY_STATUS || kind->type == REDIS_REPLY_STRING) &&
                 (token->type == REDIS_REPLY_STATUS || token->type == REDIS_REPLY_STRING);
    if (!texts || token->len != 40 || strspn(token->str, "0123456789abcdefABCDEF") != 40)
        return error_fatal(error, EX_PROTOCOL, "source %s answers %s without an EOF token", source_name,
                           doing);
    memcpy(out->token, token->str, 40);
    if (strcasecmp(kind->str, "FULL") == 0) {
        out->full = true;
        return true;
    }
    if (strcasecmp(kind->str, "PARTIAL") == 0 && asked_lsn)
        return true;
    return error_fatal(error, EX_PROTOCOL, "source %s answers %s with %.32s, which was not asked for",
                       source_name, doing, kind->str);
}

static void flow_open_fail(struct flow_open *f, const struct error *error)
{
    if (f->over)
        return;
    f->over = true;
    f->callbacks.failed(f->flow, error, f->callbacks.arg);
}

static void on_answer(struct client *c, const redisReply *reply, void *arg)
{
    struct flow_open *f = arg;
    struct flow_opened opened = {.fd = -1};
    struct error error = {0};
    if (f->over)
        return;
    if (!flow_answer_parse(reply, f->asked.len != 0, f->flow, f->source_name, &opened.answer, &error)) {
        flow_open_fail(f, &error);
        return;
    }
    opened.fd = client_detach(c, &opened.received_bytes);
    if (opened.fd < 0) {
        error_fatal(
            &error, EX_PROTOCOL,
            "source %s sends data on FLOW %u before it was asked to: nothing may follow the answer to "
            "DFLY FLOW",
            f->source_name, f->flow);
        flow_open_fail(f, &error);
        return;
    }
    f->over = true;
    f->callbacks.opened(f->flow, &opened, f->callbacks.arg);
}

static void on_ready(struct client *c, void *arg)
{
    struct flow_open *f = arg;
    enum { WORDS_MAX = 8 };
    char flow[16];
    struct slice words[WORDS_MAX], asked = buf_slice(&f->asked), word;
    size_t count = 0;
    snprintf(flow, sizeof flow, "%u", f->flow);
    words[count++] = slice_str("DFLY");
    words[count++] = slice_str("FLOW");
    words[count++] = slice_str(f->greeting->master_id);
    words[count++] = slice_str(f->greeting->sync_id);
    words[count++] = slice_str(flow);
    while (count < WORDS_MAX && mark_next_word(&asked, &word))
        words[count++] = word;
    client_command(c, f->settings->connect_timeout_ms, on_answer, f, count, words);
}

static void on_failed(struct client *c, const struct error *error, void *arg)
{
    (void)c;
    flow_open_fail(arg, error);
}

struct flow_open *flow_open_start(struct event_base *base, const struct settings *settings,
                                  const struct uri *uri, const struct greeting *greeting, uint32_t flow,
                                  struct slice asked, const struct flow_open_callbacks *callbacks,
                                  struct error *error)
{
    struct flow_open *f = x_calloc(1, sizeof *f);
    char what[32];
    snprintf(what, sizeof what, "FLOW %u", flow);
    f->settings = settings;
    f->greeting = greeting;
    f->callbacks = *callbacks;
    f->flow = flow;
    buf_put(&f->asked, asked.data, asked.len);
    uri_display(uri, f->source_name, sizeof f->source_name);
    struct client_callbacks client_callbacks = {.arg = f, .ready = on_ready, .failed = on_failed};
    f->client = client_connect(base, uri, settings, what, &client_callbacks, error);
    if (!f->client) {
        buf_free(&f->asked);
        free(f);
        return NULL;
    }
    return f;
}

void flow_open_free(struct flow_open *f)
{
    if (!f)
        return;
    client_free(f->client);
    buf_free(&f->asked);
    free(f);
}
