/* How many names are asked for, and when the next page begins.
 *
 * Dragonfly stops reading from a connection that has 10,000 requests in its queue (--pipeline_queue_limit): those in
 * flight are far fewer, so that its other clients have their turn. */
#include "worker/verifier/pass.h"

#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "common/base/clock.h"
#include "common/net/client.h"
#include "common/net/resp.h"

enum {
    PAGES = 4,       /* in work */
    NAMES_MIN = 8,   /* of a page, about: SCAN … COUNT */
    NAMES_MAX = 500, /* about 4000 requests in flight */
    NAMES_MAX_ALONE = PAGES * NAMES_MAX,
    REST_MAX_MS = 100,
    LARGE_NAMES = 2000,
    PAGE_BYTES = 1 << 20, /* wanted of a page */
    ANSWER_TIMEOUT_MS = 60000,
    BURST_MS = 100, /* of the rate */
};
#define LARGE_BYTES "1048576"
_Static_assert(PAGE_VALUE_MAX_BYTES == 1048576, "LARGE_BYTES is the same");

struct work {
    struct page *page;
    char asked[PASS_CURSOR_BYTES]; /* the cursor that it begins at */
    uint64_t names;
};

struct pass {
    struct pass_config config;
    struct client *client;
    struct event *soon; /* for work that must not run within a callback of a client or a pipe */
    bool ready, asking, ended, told, moved;
    char asked[PASS_CURSOR_BYTES], cursor[PASS_CURSOR_BYTES];
    struct work works[PAGES]; /* the oldest first */
    size_t count;
    uint64_t value_bytes; /* of a key, a moving average */
    uint64_t tokens_ms;
    uint64_t asked_ms, rest_ms; /* of the newest page; end of the rest after it */
    int64_t tokens;             /* names that the rate still allows */
};

static void on_soon(evutil_socket_t fd, short what, void *arg);

/* ---- pages ---- */

static void on_page_done(void *arg, struct page *page)
{
    struct pass *s = arg;
    (void)page;
    event_active(s->soon, EV_TIMEOUT, 1);
}

static void on_page_failed(void *arg, const struct error *error)
{
    struct pass *s = arg;
    s->config.failed(s->config.arg, error);
}

static void on_page_result(void *arg, const struct page_result *r)
{
    struct pass *s = arg;
    s->config.page.result(s->config.page.arg, r);
}

static struct pipe *pipe_of_name(void *arg, struct slice key)
{
    struct pass *s = arg;
    return s->config.page.pipe_of(s->config.page.arg, key);
}

static void note_page(struct pass *s, const struct page *page)
{
    size_t n = page_count(page);
    s->moved |= page_saw_moved(page);
    if (n && !s->config.target)
        s->value_bytes = (s->value_bytes * 3 + page_bytes(page) / n / 2) / 4;
}

static void begin_rest(struct pass *s)
{
    uint64_t now = clock_monotonic_ms(), took = now - s->asked_ms;
    s->rest_ms = now + (took < REST_MAX_MS ? took : REST_MAX_MS);
}

static bool is_rested(const struct pass *s)
{
    return !s->config.rests || (!s->count && clock_monotonic_ms() >= s->rest_ms);
}

/* Tells and frees the pages that are done, in the order of their names: so a position has all before it. */
static void free_done(struct pass *s)
{
    size_t done = 0;
    while (done < s->count && page_is_done(s->works[done].page)) {
        page_tell(s->works[done].page);
        s->config.scanned(s->config.arg, s->works[done].names);
        note_page(s, s->works[done].page);
        page_free(s->works[done++].page);
    }
    s->count -= done;
    if (done)
        begin_rest(s);
    memmove(s->works, s->works + done, s->count * sizeof *s->works);
}

/* ---- names ---- */

static void take_names(struct pass *s, const redisReply *names)
{
    struct page_config config = s->config.page;
    config.arg = s;
    config.pipe_of = pipe_of_name;
    config.result = on_page_result;
    config.done = on_page_done;
    config.failed = on_page_failed;
    struct page *page = page_new(&config, s->config.source_db, s->config.target_db, s->config.target != NULL);
    for (size_t i = 0; i < names->elements; i++) {
        struct slice name = slice_of(names->element[i]->str, names->element[i]->len);
        bool large = false;
        if (s->config.wanted(s->config.arg, name, &large))
            page_add(page, name, large);
    }
    struct work *w = &s->works[s->count++];
    w->page = page;
    memcpy(w->asked, s->asked, sizeof w->asked);
    w->names = names->elements;
    page_ask(page, s->config.target);
}

static void take_large(struct pass *s, const redisReply *names)
{
    for (size_t i = 0; i < names->elements; i++) {
        bool large = true;
        s->config.wanted(s->config.arg, slice_of(names->element[i]->str, names->element[i]->len), &large);
    }
    begin_rest(s);
    event_active(s->soon, EV_TIMEOUT, 1);
}

static void pass_refused(struct pass *s, const char *command, const redisReply *reply)
{
    struct error error;
    const char *side = s->config.target ? "target" : "source";
    if (resp_error_is(reply, "NOPERM"))
        error_fatal(&error, EX_NOPERM,
                    "the %s answers %s with %s: allow its user what df2redis check --acl prints", side,
                    command, resp_text(reply));
    else
        error_set(&error, ERROR_RETRY, "the %s answers %s with %s", side, command, resp_text(reply));
    s->config.failed(s->config.arg, &error);
}

static void on_names(struct client *c, const redisReply *reply, void *arg)
{
    struct pass *s = arg;
    (void)c;
    s->asking = false;
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 || !reply->element[0]->str ||
        reply->element[1]->type != REDIS_REPLY_ARRAY) {
        pass_refused(s, "SCAN", reply);
        return;
    }
    snprintf(s->cursor, sizeof s->cursor, "%s", reply->element[0]->str);
    s->ended = strcmp(s->cursor, "0") == 0;
    uint64_t names = reply->element[1]->elements;
    s->tokens -= (int64_t)names;
    if (s->config.large_only) {
        take_large(s, reply->element[1]);
        return;
    }
    take_names(s, reply->element[1]);
}

static void on_select(struct client *c, const redisReply *reply, void *arg)
{
    struct pass *s = arg;
    (void)c;
    if (reply->type != REDIS_REPLY_ERROR)
        return;
    pass_refused(s, "SELECT", reply);
}

static void ask_names(struct pass *s)
{
    char count[24];
    uint64_t limit = s->config.rests ? NAMES_MAX_ALONE : NAMES_MAX;
    uint64_t most = s->value_bytes ? PAGE_BYTES / s->value_bytes : limit;
    most = most < NAMES_MIN ? NAMES_MIN : most > limit ? limit : most;
    if (s->config.large_only)
        most = LARGE_NAMES;
    count[format_u64(count, most)] = '\0';
    s->asking = true;
    s->asked_ms = clock_monotonic_ms();
    memcpy(s->asked, s->cursor, sizeof s->asked);
    if (s->config.large_only)
        client_words(s->client, ANSWER_TIMEOUT_MS, on_names, s, "SCAN", s->cursor, "COUNT", count, "MINMSZ",
                     LARGE_BYTES, NULL);
    else
        client_words(s->client, ANSWER_TIMEOUT_MS, on_names, s, "SCAN", s->cursor, "COUNT", count, NULL);
}

/* False: the rate does not allow a further page now. */
static bool take_tokens(struct pass *s)
{
    uint64_t now = clock_monotonic_ms(), rate = s->config.keys_per_second;
    int64_t burst = (int64_t)(rate * BURST_MS / 1000) + 1;
    if (!rate || s->config.large_only)
        return true;
    int64_t more = (int64_t)((now - s->tokens_ms) * rate / 1000);
    if (more) {
        s->tokens = s->tokens + more < burst ? s->tokens + more : burst;
        s->tokens_ms = now;
    }
    return s->tokens > 0;
}

static void go_on(struct pass *s)
{
    free_done(s);
    if (!s->ready || s->told)
        return;
    if (s->ended && !s->asking) {
        if (!s->count) {
            s->told = true;
            s->config.done(s->config.arg);
        }
        return;
    }
    if (!s->asking && s->count < PAGES && is_rested(s) && s->config.has_room(s->config.arg) && take_tokens(s))
        ask_names(s);
}

static void on_soon(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    go_on(arg);
}

void pass_turn(struct pass *s)
{
    go_on(s);
}

const char *pass_cursor(const struct pass *s)
{
    if (s->count)
        return s->works[0].asked;
    return s->asking ? s->asked : s->cursor;
}

bool pass_saw_moved(const struct pass *s)
{
    return s->moved;
}

/* ---- the connection ---- */

static void on_ready(struct client *c, void *arg)
{
    struct pass *s = arg;
    char text[24];
    uint32_t db = s->config.target ? s->config.target_db : s->config.source_db;
    client_words(c, ANSWER_TIMEOUT_MS, NULL, NULL, "CLIENT", "SETNAME", s->config.client_name, NULL);
    if (db != s->config.uri->db) {
        struct slice argv[] = {slice_str("SELECT"), slice_of(text, format_u64(text, db))};
        client_command(c, ANSWER_TIMEOUT_MS, on_select, s, 2, argv);
    }
    s->ready = true;
    event_active(s->soon, EV_TIMEOUT, 1);
}

/* The client is freed with the pass. */
static void on_failed(struct client *c, const struct error *error, void *arg)
{
    struct pass *s = arg;
    (void)c;
    s->ready = false;
    s->config.failed(s->config.arg, error);
}

struct pass *pass_new(const struct pass_config *config, const char *cursor, struct error *error)
{
    struct pass *s = x_calloc(1, sizeof *s);
    const struct client_callbacks on = {s, on_ready, on_failed};
    s->config = *config;
    snprintf(s->cursor, sizeof s->cursor, "%s", cursor);
    s->tokens_ms = clock_monotonic_ms();
    s->value_bytes = config->target ? 0 : PAGE_BYTES / 128; /* of the target's names no values are read */
    s->soon = event_new(config->base, -1, 0, on_soon, s);
    s->client = client_connect(config->base, config->uri, config->settings,
                               config->target ? "target" : "source", &on, error);
    if (s->client)
        return s;
    pass_free(s);
    return NULL;
}

void pass_free(struct pass *s)
{
    if (!s)
        return;
    client_free(s->client);
    event_free(s->soon);
    for (size_t i = 0; i < s->count; i++)
        page_free(s->works[i].page);
    free(s);
}
