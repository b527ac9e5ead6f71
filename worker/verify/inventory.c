/* The steps of the inventory, one question at a time. */
#include "worker/verify/inventory.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/ipc/divergence.h"
#include "common/ipc/statefile.h"
#include "common/net/client.h"
#include "common/net/resp.h"
#include "common/redis/releases.h"
#include "worker/keys/suspects.h"
#include "worker/translate/rewrite.h"

enum {
    ANSWER_TIMEOUT_MS = 20000,
    PAGE_MS = 50, /* minimum time per page of names */
    SUSPECTS_ENOUGH = 10000,
    AGAIN_MS = 2000, /* pause after a failure */
    DATABASES_MAX = 256,
};
#define PAGE_KEYS "1000"

enum step { STEP_IDLE, STEP_CONNECT, STEP_DATABASES, STEP_PAGE, STEP_OFFSETS, STEP_APPLIED, STEP_EXISTS };

/* A server with keys: the target, or a master of a cluster. */
struct holder {
    struct inventory *inventory;
    struct client *client;
    struct uri uri;
    struct buf asked; /* size_t: positions, in the names of the page, of the names that it is asked about */
    size_t answered;
};

struct inventory {
    struct flow *flow;
    const struct router *router;
    const struct translator *translator;
    struct flow_cursors *cursors;
    bool due;
    enum step step;
    struct client *source;
    bool source_ready;
    struct holder **holders;
    size_t holder_count;
    struct event *soon; /* for work that must not run within a callback of a client */
    struct error trouble;
    uint32_t databases[DATABASES_MAX]; /* of the source */
    size_t database_count, database;
    char asked[24], cursor[24]; /* SCAN cursors of the current page and of the next one */
    struct buf names;           /* of the page: uint32_t length, bytes */
    size_t name_count, answered;
    uint64_t *lsns;
    size_t lsn_count;
    uint64_t next_ms, seen, missing;
};

static char *inventory_path(const struct flow *f)
{
    return statefile_path(f->directory, "flow-%u.inventory", f->number);
}

void inventory_order(const struct flow *f, uint32_t source_release)
{
    struct error error;
    char *path = inventory_path(f);
    if (f->number == 0 && release_omits(source_release)) {
        int fd = statefile_open(f->directory, path, O_WRONLY | O_CREAT, &error);
        if (fd < 0)
            log_warning("%s: the target will not be checked for missing keys after the full sync",
                        error.text);
        else
            close(fd);
    } else {
        unlink(path);
    }
    free(path);
}

static void holder_free(struct holder *h)
{
    client_free(h->client);
    uri_free(&h->uri);
    buf_free(&h->asked);
    free(h);
}

static void inventory_rest(struct inventory *n)
{
    client_free(n->source);
    n->source = NULL;
    n->source_ready = false;
    for (size_t i = 0; i < n->holder_count; i++)
        holder_free(n->holders[i]);
    n->holder_count = 0;
    n->step = STEP_IDLE;
}

static void inventory_fail(struct inventory *n, const struct error *why)
{
    if (n->trouble.class)
        return;
    n->trouble = *why;
    event_active(n->soon, EV_TIMEOUT, 1);
}

/* Refusals that a later attempt would meet again. */
static bool answer_is_denied(const redisReply *reply)
{
    return resp_error_is(reply, "NOPERM") || resp_error_is(reply, "ERR unknown command") ||
           resp_error_is(reply, "ERR Unknown command");
}

static void inventory_fail_answer(struct inventory *n, const char *who, const redisReply *reply)
{
    struct error why;
    if (answer_is_denied(reply)) {
        error_fatal(&why, 0, "the %s answers %s", who, resp_text(reply));
        inventory_fail(n, &why);
        return;
    }
    error_set(&why, ERROR_RETRY, "the %s answers %s", who, resp_text(reply));
    inventory_fail(n, &why);
}

static void inventory_remove_file(struct inventory *n)
{
    char *path = inventory_path(n->flow);
    unlink(path);
    free(path);
    n->due = false;
}

static void on_soon(evutil_socket_t fd, short what, void *arg)
{
    struct inventory *n = arg;
    (void)fd, (void)what;
    if (n->trouble.class == ERROR_FATAL) {
        log_warning(
            "the target is not checked for missing keys, though this release of the source may omit keys "
            "from a full sync: %s",
            n->trouble.text);
        inventory_remove_file(n);
    } else {
        log_debug("checking the target for missing keys: %s", n->trouble.text);
    }
    n->trouble = (struct error){0};
    if (n->step >= STEP_PAGE) /* repeats the page */
        memcpy(n->cursor, n->asked, sizeof n->cursor);
    inventory_rest(n);
    n->next_ms = clock_monotonic_ms() + AGAIN_MS;
}

/* ---- connections ---- */

static void ask_databases(struct inventory *n);
static void ask_page(struct inventory *n);

static void on_client_ready(struct client *c, void *arg)
{
    struct inventory *n = arg;
    if (c != n->source)
        return;
    n->source_ready = true;
    if (n->database_count)
        ask_page(n); /* continues */
    else
        ask_databases(n);
}

/* The client is freed by inventory_rest(). */
static void on_client_failed(struct client *c, const struct error *error, void *arg)
{
    (void)c;
    inventory_fail(arg, error);
}

static struct client *connect_to(struct inventory *n, const struct uri *uri, const char *what)
{
    const struct client_callbacks callbacks = {n, on_client_ready, on_client_failed};
    struct error why;
    struct client *c = client_connect(n->flow->base, uri, &n->flow->settings, what, &callbacks, &why);
    if (c)
        client_words(c, ANSWER_TIMEOUT_MS, NULL, NULL, "CLIENT", "SETNAME", n->flow->heal_name, NULL);
    else
        inventory_fail(n, &why);
    return c;
}

/* The server that has the key, connected; NULL: failed, and reported. */
static struct holder *holder_for_key(struct inventory *n, struct slice key)
{
    const struct uri *uri = router_uri(n->router, key);
    for (size_t i = 0; i < n->holder_count; i++)
        if (n->holders[i]->uri.port == uri->port && strcmp(n->holders[i]->uri.host, uri->host) == 0)
            return n->holders[i];
    struct client *c = connect_to(n, uri, "target");
    if (!c)
        return NULL;
    struct holder *h = x_calloc(1, sizeof *h);
    h->inventory = n;
    h->client = c;
    uri_copy(&h->uri, uri);
    n->holders = x_realloc(n->holders, (n->holder_count + 1) * sizeof *n->holders);
    n->holders[n->holder_count++] = h;
    return h;
}

/* ---- the end ---- */

static void inventory_finish(struct inventory *n)
{
    inventory_remove_file(n);
    inventory_rest(n);
    if (n->missing)
        log_warning("%llu of the source's %llu keys are not on the target: they are compared, and healed",
                    (unsigned long long)n->missing, (unsigned long long)n->seen);
    else
        log_info("the target has all of the source's %llu keys", (unsigned long long)n->seen);
}

/* ---- EXISTS ---- */

static struct slice name_at(const struct inventory *n, size_t at)
{
    uint32_t len;
    memcpy(&len, n->names.data + at, sizeof len);
    return slice_of(n->names.data + at + sizeof len, len);
}

static void page_done(struct inventory *n)
{
    n->step = STEP_IDLE;
    cursor_set(&n->flow->cursor.marks->looked_for, n->seen);
    if (strcmp(n->cursor, "0") == 0 && ++n->database == n->database_count)
        inventory_finish(n);
    else if (n->flow->settings.migrate)
        inventory_go_on(n); /* ends without waiting for a tick */
}

/* The slot is migrating, or has moved: the comparison finds the key. */
static bool slot_is_moving(const redisReply *reply)
{
    return resp_error_is(reply, "MOVED") || resp_error_is(reply, "ASK");
}

static void on_exists(struct client *c, const redisReply *reply, void *arg)
{
    struct holder *h = arg;
    struct inventory *n = h->inventory;
    uint32_t db = 0;
    size_t at;
    (void)c;
    if (n->trouble.class || n->step != STEP_EXISTS)
        return;
    memcpy(&at, h->asked.data + h->answered++ * sizeof at, sizeof at);
    bool elsewhere = slot_is_moving(reply);
    if (reply->type != REDIS_REPLY_INTEGER && !elsewhere) {
        inventory_fail_answer(n, "target", reply);
        return;
    }
    settings_db_target(&n->flow->settings, n->databases[n->database], &db);
    if (elsewhere || reply->integer == 0) {
        n->missing += !elsewhere;
        flow_suspect(n->flow, db, name_at(n, at), DIVERGENCE_LOST_BY_SOURCE, INVENTORY_COMMAND);
    }
    if (++n->answered == n->name_count)
        page_done(n);
}

/* What follows a refused SELECT would be asked of another database. */
static void on_selected(struct client *c, const redisReply *reply, void *arg)
{
    struct inventory *n = arg;
    if (reply->type == REDIS_REPLY_ERROR)
        inventory_fail_answer(n, c == n->source ? "source" : "target", reply);
}

static void select_database(struct inventory *n)
{
    uint32_t db = 0;
    char text[24];
    settings_db_target(&n->flow->settings, n->databases[n->database], &db);
    struct slice select[] = {slice_str("SELECT"), slice_of(text, format_u64(text, db))};
    client_command(n->holders[0]->client, ANSWER_TIMEOUT_MS, on_selected, n, 2, select);
}

static void ask_exists(struct inventory *n)
{
    n->step = STEP_EXISTS;
    n->answered = 0;
    for (size_t i = 0; i < n->holder_count; i++) {
        buf_clear(&n->holders[i]->asked);
        n->holders[i]->answered = 0;
    }
    for (size_t at = 0; at < n->names.len;) {
        struct slice argv[] = {slice_str("EXISTS"), name_at(n, at)};
        struct holder *h = holder_for_key(n, argv[1]);
        if (!h)
            return;
        if (at == 0 && !router_is_cluster(n->router))
            select_database(n);
        buf_put(&h->asked, &at, sizeof at);
        client_command(h->client, ANSWER_TIMEOUT_MS, on_exists, h, 2, argv);
        at += sizeof(uint32_t) + argv[1].len;
    }
}

static void on_offsets(struct client *c, const redisReply *reply, void *arg)
{
    struct inventory *n = arg;
    (void)c;
    if (n->trouble.class || n->step != STEP_OFFSETS)
        return;
    if (reply->type != REDIS_REPLY_ARRAY || !reply->elements) {
        inventory_fail_answer(n, "source", reply);
        return;
    }
    n->lsns = x_realloc(n->lsns, reply->elements * sizeof *n->lsns);
    n->lsn_count = reply->elements;
    for (size_t i = 0; i < reply->elements; i++)
        n->lsns[i] = (uint64_t)reply->element[i]->integer;
    n->step = STEP_APPLIED;
    inventory_go_on(n);
}

/* ---- pages of names ---- */

static void store_names(struct inventory *n, const redisReply *names)
{
    buf_clear(&n->names);
    n->name_count = 0;
    n->seen += names->elements;
    for (size_t i = 0; i < names->elements; i++) {
        struct slice name = slice_of(names->element[i]->str, names->element[i]->len);
        if (!settings_key_wanted(&n->flow->settings, name) || settings_key_reserved(&n->flow->settings, name))
            continue;
        uint32_t len = (uint32_t)name.len;
        buf_put(&n->names, &len, sizeof len);
        buf_put(&n->names, name.data, name.len);
        n->name_count++;
    }
}

static void on_page(struct client *c, const redisReply *reply, void *arg)
{
    struct inventory *n = arg;
    (void)c;
    if (n->trouble.class || n->step != STEP_PAGE)
        return;
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
        reply->element[0]->type != REDIS_REPLY_STRING || reply->element[1]->type != REDIS_REPLY_ARRAY) {
        inventory_fail_answer(n, "source", reply);
        return;
    }
    snprintf(n->cursor, sizeof n->cursor, "%s", reply->element[0]->str);
    store_names(n, reply->element[1]);
    n->next_ms = clock_monotonic_ms() + (n->flow->settings.migrate ? 0 : PAGE_MS);
    if (!n->name_count) {
        page_done(n);
        return;
    }
    n->step = STEP_OFFSETS;
    client_words(n->source, ANSWER_TIMEOUT_MS, on_offsets, n, "DFLY", "REPLICAOFFSET", NULL);
}

static void ask_page(struct inventory *n)
{
    char text[24];
    n->step = STEP_PAGE;
    memcpy(n->asked, n->cursor, sizeof n->asked);
    struct slice select[] = {slice_str("SELECT"),
                             slice_of(text, format_u64(text, n->databases[n->database]))};
    client_command(n->source, ANSWER_TIMEOUT_MS, on_selected, n, 2, select);
    client_words(n->source, ANSWER_TIMEOUT_MS, on_page, n, "SCAN", n->cursor, "COUNT", PAGE_KEYS, NULL);
}

/* "db0:keys=1,expires=0,…" */
static void on_databases(struct client *c, const redisReply *reply, void *arg)
{
    struct inventory *n = arg;
    unsigned db;
    uint32_t to;
    (void)c;
    if (n->trouble.class || n->step != STEP_DATABASES)
        return;
    if (!reply->str || reply->type == REDIS_REPLY_ERROR) {
        inventory_fail_answer(n, "source", reply);
        return;
    }
    for (const char *at = reply->str; at; at = strchr(at, '\n')) {
        at += *at == '\n';
        if (sscanf(at, "db%u:keys=", &db) == 1 && n->database_count < DATABASES_MAX &&
            settings_db_target(&n->flow->settings, db, &to) && !rewrite_database_lacks(n->translator, to))
            n->databases[n->database_count++] = db;
    }
    n->database = 0;
    snprintf(n->cursor, sizeof n->cursor, "0");
    if (n->database_count)
        ask_page(n);
    else
        inventory_finish(n);
}

static void ask_databases(struct inventory *n)
{
    n->step = STEP_DATABASES;
    n->database_count = 0;
    client_words(n->source, ANSWER_TIMEOUT_MS, on_databases, n, "INFO", "KEYSPACE", NULL);
}

/* ---- public functions ---- */

static bool inventory_may_begin(const struct inventory *n)
{
    const struct flow *f = n->flow;
    return n->due && clock_monotonic_ms() >= n->next_ms && flow_at_rest(f) &&
           cursor_get(&f->cursor.marks->phase) == CURSOR_STABLE &&
           suspects_count(f->suspects) < SUSPECTS_ENOUGH;
}

void inventory_go_on(struct inventory *n)
{
    if (n->trouble.class)
        return;
    if (n->step == STEP_APPLIED && n->flow->ready &&
        flows_applied(n->cursors, n->flow->session, capabilities_contact(&n->flow->target), n->lsns,
                      n->lsn_count)) {
        ask_exists(n);
        return;
    }
    if (n->step != STEP_IDLE || !inventory_may_begin(n))
        return;
    n->step = STEP_CONNECT;
    if (n->source_ready)
        ask_page(n);
    else if (!n->source)
        n->source = connect_to(n, &n->flow->settings.source, "source");
}

bool inventory_is_due(const struct inventory *n)
{
    return n->due && flow_heals(n->flow);
}

struct inventory *inventory_new(struct flow *f, const struct router *router,
                                const struct translator *translator, struct flow_cursors *cursors)
{
    struct inventory *n = x_calloc(1, sizeof *n);
    char *path = inventory_path(f);
    n->flow = f;
    n->router = router;
    n->translator = translator;
    n->cursors = cursors;
    n->due = flow_heals(f) && access(path, F_OK) == 0;
    n->soon = event_new(f->base, -1, 0, on_soon, n);
    free(path);
    return n;
}

void inventory_free(struct inventory *n)
{
    if (!n)
        return;
    inventory_rest(n);
    free(n->holders);
    event_free(n->soon);
    buf_free(&n->names);
    free(n->lsns);
    free(n);
}
