/* SELECT and GET for each database that the last HGETALL named, then HGETALL anew: the answers count if it still names
 * them with the same claim. */
#include "supervisor/target/database_watch.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/redis/marks.h"

static void forget_marked(struct database_watch *w)
{
    free(w->marked);
    w->marked = NULL;
    w->count = w->next = 0;
    w->claim[0] = '\0';
}

void database_watch_forget(struct database_watch *w)
{
    w->waits = false;
    w->asked = w->answered = w->judged = 0;
}

void database_watch_expect(struct database_watch *w, const uint32_t *databases, size_t count)
{
    uint32_t to;
    free(w->expected);
    w->expected = x_calloc(count ? count : 1, sizeof *w->expected);
    w->expected_count = 0;
    for (size_t i = 0; i < count; i++)
        if (settings_db_target(w->settings, databases[i], &to))
            w->expected[w->expected_count++] = to;
}

void database_watch_free(struct database_watch *w)
{
    forget_marked(w);
    free(w->expected);
    w->expected = NULL;
}

static void hash_key(const struct database_watch *w, char *out, size_t bytes, const char *suffix)
{
    snprintf(out, bytes, "df2redis:%s%s", w->settings->name, suffix);
}

static void number_text(char *out, size_t bytes, uint32_t number)
{
    snprintf(out, bytes, "%u", number);
}

/* ---- answers ---- */

static void on_selected(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct database_watch *w = arg;
    w->reads[w->answered].selected = reply->type == REDIS_REPLY_STATUS;
}

/* An error says nothing, but for that of a key of another type. */
static void on_mark(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct database_watch *w = arg;
    struct database_read *r = &w->reads[w->answered++];
    uint64_t number;
    bool text = reply->type == REDIS_REPLY_STRING;
    bool right = text && slice_to_u64(slice_of(reply->str, reply->len), &number) && number == r->database;
    bool other_type = reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "WRONGTYPE", 9) == 0;
    r->wrong = r->selected && !right && (text || other_type || reply->type == REDIS_REPLY_NIL);
    snprintf(r->found, sizeof r->found, "%.20s", text ? reply->str : other_type ? "another type" : "");
}

static const redisReply *field_of(const redisReply *hash, const char *name)
{
    for (size_t i = 0; i + 1 < hash->elements; i += 2)
        if (hash->element[i]->type == REDIS_REPLY_STRING && strcmp(hash->element[i]->str, name) == 0)
            return hash->element[i + 1];
    return NULL;
}

static bool names_database(const struct database_watch *w, uint32_t database)
{
    for (size_t i = 0; i < w->count; i++)
        if (w->marked[i] == database)
            return true;
    return false;
}

static void take_marked(struct database_watch *w, const redisReply *hash)
{
    const redisReply *claim = field_of(hash, MARK_RUN_FIELD);
    size_t next = w->next, prefix = sizeof MARK_DATABASE_FIELD - 1;
    forget_marked(w);
    if (!claim || claim->type != REDIS_REPLY_STRING || claim->len == 0 || claim->len >= sizeof w->claim)
        return;
    memcpy(w->claim, claim->str, claim->len + 1);
    w->marked = x_calloc(hash->elements / 2, sizeof *w->marked);
    for (size_t i = 0; i + 1 < hash->elements; i += 2) {
        const redisReply *name = hash->element[i], *value = hash->element[i + 1];
        uint64_t database;
        if (name->type == REDIS_REPLY_STRING && value->type == REDIS_REPLY_STRING && name->len > prefix &&
            memcmp(name->str, MARK_DATABASE_FIELD, prefix) == 0 && strcmp(value->str, w->claim) == 0 &&
            slice_to_u64(slice_of(name->str + prefix, name->len - prefix), &database) &&
            database <= UINT32_MAX)
            w->marked[w->count++] = (uint32_t)database;
    }
    w->next = next < w->count ? next : 0;
}

/* The databases that an earlier release has written to. */
static void mark_expected(struct database_watch *w, struct client *c)
{
    char key[256], own[24], database[24];
    hash_key(w, key, sizeof key, "");
    number_text(own, sizeof own, w->settings->target.db);
    for (size_t i = 0; *w->claim && i < w->expected_count; i++) {
        if (w->expected[i] == w->settings->target.db || names_database(w, w->expected[i]))
            continue;
        number_text(database, sizeof database, w->expected[i]);
        client_words(c, 0, NULL, NULL, "EVAL", mark_database_script, "1", key, own, database, NULL);
    }
    w->expected_count = *w->claim ? 0 : w->expected_count;
}

static void on_hash(struct client *c, const redisReply *reply, void *arg)
{
    struct database_watch *w = arg;
    char claim[sizeof w->claim];
    size_t answered = w->answered;
    database_watch_forget(w);
    if (reply->type != REDIS_REPLY_ARRAY)
        return;
    memcpy(claim, w->claim, sizeof claim);
    take_marked(w, reply);
    mark_expected(w, c);
    if (!*claim || strcmp(claim, w->claim) != 0)
        return;
    for (size_t i = 0; i < answered; i++)
        if (w->reads[i].wrong && names_database(w, w->reads[i].database)) {
            w->lost(w->arg, w->reads[i].database, w->reads[i].found);
            return;
        }
}

/* ---- questions ---- */

void database_watch_ask(struct database_watch *w, struct client *c, uint32_t limit_ms)
{
    char key[256], number[24];
    if (w->waits)
        return;
    w->waits = true;
    hash_key(w, key, sizeof key, MARK_DATABASE_SUFFIX);
    for (; w->asked < w->count && w->asked < DATABASE_WATCH_AT_ONCE; w->asked++) {
        uint32_t database = w->marked[w->next];
        w->next = (w->next + 1) % w->count;
        w->reads[w->asked] = (struct database_read){.database = database};
        number_text(number, sizeof number, database);
        client_words(c, limit_ms, on_selected, w, "SELECT", number, NULL);
        client_words(c, limit_ms, on_mark, w, "GET", key, NULL);
    }
    hash_key(w, key, sizeof key, "");
    number_text(number, sizeof number, w->settings->target.db);
    client_words(c, limit_ms, NULL, NULL, "SELECT", number, NULL);
    client_words(c, limit_ms, on_hash, w, "HGETALL", key, NULL);
}
