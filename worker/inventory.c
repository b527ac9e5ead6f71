/* The inventory's questions, one after the other. */
#include "worker/inventory.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/client.h"
#include "common/clock.h"
#include "common/resp.h"
#include "common/statefile.h"
#include "worker/divergence.h"
#include "worker/rewrite.h"
#include "worker/worker.h"

enum {
    FIRST_OMITTING = 13900, /* journal_omit_redundant_writes, on by default */
    LAST_OMITTING = 14001,
    ANSWER_TIMEOUT_MS = 20000,
    PAGE_MS = 50, /* a page of names takes at least so long */
    SUSPECTS_ENOUGH = 10000,
    AGAIN_MS = 2000, /* after trouble */
    DATABASES_MAX = 256,
};
#define PAGE_KEYS "1000"

enum step { STEP_IDLE, STEP_CONNECT, STEP_DATABASES, STEP_PAGE, STEP_OFFSETS, STEP_APPLIED, STEP_EXISTS };

struct side {
    struct client *client;
    bool ready;
};

struct inventory {
    struct worker *w;
    bool due;
    enum step step;
    struct side source, target;
    struct event *soon; /* what must not happen within a callback of a client */
    struct error trouble;
    uint32_t databases[DATABASES_MAX]; /* of the source */
    size_t database_count, database;
    char asked[24], cursor[24]; /* SCAN's: of the page at hand, and of the next one */
    struct buf names;           /* of the page: uint32_t length, bytes */
    size_t name_count, answered, at;
    uint64_t *lsns;
    size_t lsn_count;
    uint64_t next_ms, seen, missing;
};

static char *path_of(const struct worker *w)
{
    return statefile_path(w->directory, "flow-%u.inventory", w->flow);
}

void inventory_order(const struct worker *w, uint32_t source_release)
{
    struct error error;
    char *path = path_of(w);
    if (w->flow == 0 && source_release >= FIRST_OMITTING && source_release <= LAST_OMITTING) {
        int fd = statefile_open(w->directory, path, O_WRONLY | O_CREAT, &error);
        if (fd < 0)
            log_warning("%s: the source's keys are not looked for on the target after the full sync",
                        error.text);
        else
            close(fd);
    } else {
        unlink(path);
    }
    free(path);
}

static void close_side(struct side *s)
{
    client_free(s->client);
    *s = (struct side){0};
}

static void rest(struct inventory *n)
{
    close_side(&n->source);
    close_side(&n->target);
    n->step = STEP_IDLE;
}

static void fail(struct inventory *n, const struct error *why)
{
    if (n->trouble.class)
        return;
    n->trouble = *why;
    event_active(n->soon, EV_TIMEOUT, 1);
}

/* What is not permitted now is not later either. */
static bool is_denied(const redisReply *reply)
{
    return resp_error_is(reply, "NOPERM") || resp_error_is(reply, "ERR unknown command") ||
           resp_error_is(reply, "ERR Unknown command");
}

static void fail_answer(struct inventory *n, const char *who, const redisReply *reply)
{
    struct error why;
    if (is_denied(reply)) {
        error_fatal(&why, 0, "the %s answers %s", who, resp_text(reply));
        fail(n, &why);
        return;
    }
    error_set(&why, ERROR_RETRY, "the %s answers %s", who, resp_text(reply));
    fail(n, &why);
}

static void put_away(struct inventory *n)
{
    char *path = path_of(n->w);
    unlink(path);
    free(path);
    n->due = false;
}

static void on_soon(evutil_socket_t fd, short what, void *arg)
{
    struct inventory *n = arg;
    (void)fd, (void)what;
    if (n->trouble.class == ERROR_FATAL) {
        log_warning("the source's keys are not looked for on the target, though this release may have left "
                    "some out of "
                    "the full sync: %s",
                    n->trouble.text);
        put_away(n);
    } else {
        log_debug("the source's keys cannot be looked for on the target now: %s", n->trouble.text);
    }
    n->trouble = (struct error){0};
    if (n->step >= STEP_PAGE) /* the page once more */
        memcpy(n->cursor, n->asked, sizeof n->cursor);
    rest(n);
    n->next_ms = clock_monotonic_ms() + AGAIN_MS;
}

/* ---- connections ---- */

static void ask_databases(struct inventory *n);
static void ask_page(struct inventory *n);

static void on_ready(struct client *c, void *arg)
{
    struct inventory *n = arg;
    n->source.ready |= n->source.client == c;
    n->target.ready |= n->target.client == c;
    if (n->step != STEP_CONNECT || !n->source.ready || !n->target.ready)
        return;
    if (n->database_count)
        ask_page(n); /* where it was */
    else
        ask_databases(n);
}

static void on_failed(struct client *c, const struct error *error, void *arg)
{
    struct inventory *n = arg;
    struct side *s = n->source.client == c ? &n->source : &n->target;
    close_side(s);
    fail(n, error);
}

static bool connect_side(struct inventory *n, struct side *s, const struct uri *uri, const char *what)
{
    const struct client_callbacks callbacks = {n, on_ready, on_failed};
    struct error why;
    s->client = client_connect(n->w->base, uri, &n->w->settings, what, &callbacks, &why);
    if (!s->client) {
        fail(n, &why);
        return false;
    }
    client_words(s->client, ANSWER_TIMEOUT_MS, NULL, NULL, "CLIENT", "SETNAME", n->w->heal_name, NULL);
    return true;
}

/* ---- the end ---- */

static void finish(struct inventory *n)
{
    put_away(n);
    rest(n);
    if (n->missing)
        log_warning("%llu of the source's %llu keys are not on the target: they are compared, and healed",
                    (unsigned long long)n->missing, (unsigned long long)n->seen);
    else
        log_info("the source's %llu keys were looked for on the target: none is missing",
                 (unsigned long long)n->seen);
}

/* ---- is it there? ---- */

static struct slice next_name(struct inventory *n)
{
    uint32_t len;
    memcpy(&len, n->names.data + n->at, sizeof len);
    struct slice name = slice_of(n->names.data + n->at + sizeof len, len);
    n->at += sizeof len + len;
    return name;
}

static void page_done(struct inventory *n)
{
    n->step = STEP_IDLE;
    if (strcmp(n->cursor, "0") != 0)
        return;
    if (++n->database == n->database_count)
        finish(n);
}

static void on_exists(struct client *c, const redisReply *reply, void *arg)
{
    struct inventory *n = arg;
    uint32_t db = 0;
    (void)c;
    if (n->trouble.class || n->step != STEP_EXISTS)
        return;
    struct slice name = next_name(n);
    if (reply->type != REDIS_REPLY_INTEGER) {
        fail_answer(n, "target", reply);
        return;
    }
    settings_db_target(&n->w->settings, n->databases[n->database], &db);
    if (reply->integer == 0) {
        n->missing++;
        worker_suspect(n->w, db, name, DIVERGENCE_LOST_BY_SOURCE, INVENTORY_COMMAND);
    }
    if (++n->answered == n->name_count)
        page_done(n);
}

static void ask_exists(struct inventory *n)
{
    uint32_t db = 0;
    char text[24];
    n->step = STEP_EXISTS;
    settings_db_target(&n->w->settings, n->databases[n->database], &db);
    struct slice select[] = {slice_str("SELECT"), slice_of(text, format_u64(text, db))};
    client_command(n->target.client, ANSWER_TIMEOUT_MS, NULL, NULL, 2, select);
    n->at = n->answered = 0;
    for (size_t i = 0; i < n->name_count; i++) {
        struct slice argv[] = {slice_str("EXISTS"), next_name(n)};
        client_command(n->target.client, ANSWER_TIMEOUT_MS, on_exists, n, 2, argv);
    }
    n->at = 0;
}

static void on_offsets(struct client *c, const redisReply *reply, void *arg)
{
    struct inventory *n = arg;
    (void)c;
    if (n->trouble.class || n->step != STEP_OFFSETS)
        return;
    if (reply->type != REDIS_REPLY_ARRAY || !reply->elements) {
        fail_answer(n, "source", reply);
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

static void take_names(struct inventory *n, const redisReply *names)
{
    buf_clear(&n->names);
    n->name_count = 0;
    n->seen += names->elements;
    for (size_t i = 0; i < names->elements; i++) {
        struct slice name = slice_of(names->element[i]->str, names->element[i]->len);
        if (!settings_key_wanted(&n->w->settings, name) || settings_key_reserved(&n->w->settings, name))
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
        fail_answer(n, "source", reply);
        return;
    }
    snprintf(n->cursor, sizeof n->cursor, "%s", reply->element[0]->str);
    take_names(n, reply->element[1]);
    n->next_ms = clock_monotonic_ms() + (n->w->settings.migrate ? 0 : PAGE_MS);
    if (!n->name_count) {
        page_done(n);
        return;
    }
    n->step = STEP_OFFSETS;
    client_words(n->source.client, ANSWER_TIMEOUT_MS, on_offsets, n, "DFLY", "REPLICAOFFSET", NULL);
}

static void ask_page(struct inventory *n)
{
    char text[24];
    n->step = STEP_PAGE;
    memcpy(n->asked, n->cursor, sizeof n->asked);
    struct slice select[] = {slice_str("SELECT"),
                             slice_of(text, format_u64(text, n->databases[n->database]))};
    client_command(n->source.client, ANSWER_TIMEOUT_MS, NULL, NULL, 2, select);
    client_words(n->source.client, ANSWER_TIMEOUT_MS, on_page, n, "SCAN", n->cursor, "COUNT", PAGE_KEYS,
                 NULL);
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
        fail_answer(n, "source", reply);
        return;
    }
    for (const char *at = reply->str; at; at = strchr(at, '\n')) {
        at += *at == '\n';
        if (sscanf(at, "db%u:keys=", &db) == 1 && n->database_count < DATABASES_MAX &&
            settings_db_target(&n->w->settings, db, &to) && !rewrite_database_lacks(&n->w->translator, to))
            n->databases[n->database_count++] = db;
    }
    n->database = 0;
    snprintf(n->cursor, sizeof n->cursor, "0");
    if (n->database_count)
        ask_page(n);
    else
        finish(n);
}

static void ask_databases(struct inventory *n)
{
    n->step = STEP_DATABASES;
    n->database_count = 0;
    client_words(n->source.client, ANSWER_TIMEOUT_MS, on_databases, n, "INFO", "KEYSPACE", NULL);
}

/* ---- what others call ---- */

/* Only beside a single target: a cluster's nodes would have to be asked each for its own. */
static bool may_begin(const struct inventory *n)
{
    const struct worker *w = n->w;
    return n->due && clock_monotonic_ms() >= n->next_ms && w->ready && !w->failed && !w->drained &&
           !w->source_ended && w->global == GLOBAL_NONE && !router_is_cluster(w->router) &&
           cursor_get(&w->cursor.marks->phase) == CURSOR_STABLE &&
           suspects_count(w->suspects) < SUSPECTS_ENOUGH;
}

void inventory_go_on(struct inventory *n)
{
    struct worker *w = n->w;
    if (n->step == STEP_APPLIED && flows_applied(w, n->lsns, n->lsn_count)) {
        ask_exists(n);
        return;
    }
    if (n->step != STEP_IDLE || !may_begin(n))
        return;
    n->step = STEP_CONNECT;
    if (n->source.ready && n->target.ready)
        ask_page(n);
    else if (!n->source.client && !n->target.client &&
             connect_side(n, &n->source, &w->settings.source, "source"))
        connect_side(n, &n->target, &w->settings.target, "target");
}

bool inventory_is_due(const struct inventory *n)
{
    return n->due && heal_is_on(n->w) && !router_is_cluster(n->w->router);
}

struct inventory *inventory_new(struct worker *w)
{
    struct inventory *n = x_calloc(1, sizeof *n);
    char *path = path_of(w);
    n->w = w;
    n->due = heal_is_on(w) && access(path, F_OK) == 0;
    n->soon = event_new(w->base, -1, 0, on_soon, n);
    free(path);
    return n;
}

void inventory_free(struct inventory *n)
{
    if (!n)
        return;
    rest(n);
    event_free(n->soon);
    buf_free(&n->names);
    free(n->lsns);
    free(n);
}
