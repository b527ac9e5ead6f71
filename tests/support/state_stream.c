/* Streams and JSON documents as items.
 *
 *   entry    id, field, value …        each entry
 *   last id  id
 *   added    number, max deleted id    with details, where the server tells
 *   group    name, last delivered id
 *   pending  id, consumer, deliveries  each pending entry of the group before
 *   consumer name, pending             with details: each consumer, also those without pending entries */
#include "tests/support/state_stream.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/testing.h"

static struct slice text_of(const redisReply *r, char number[24])
{
    if (r && r->type == REDIS_REPLY_INTEGER) {
        snprintf(number, 24, "%lld", r->integer);
        return slice_str(number);
    }
    return r && r->str ? slice_of(r->str, (size_t)r->len) : slice_str("");
}

/* A map as an array of names and values. */
static const redisReply *field(const redisReply *map, const char *name)
{
    for (size_t i = 0; map && i + 1 < map->elements; i += 2)
        if (map->element[i]->str && strcmp(map->element[i]->str, name) == 0)
            return map->element[i + 1];
    return NULL;
}

static void add(struct state_value *v, const char *kind, const redisReply *a, const redisReply *b,
                const redisReply *c)
{
    char numbers[3][24];
    struct slice parts[4] = {slice_str(kind), text_of(a, numbers[0])};
    size_t n = 2;
    if (b)
        parts[n++] = text_of(b, numbers[1]);
    if (c)
        parts[n++] = text_of(c, numbers[2]);
    state_item_add(v, n, parts);
}

static void add_entries(struct state_value *v, const redisReply *entries)
{
    for (size_t i = 0; entries && i < entries->elements; i++) {
        if (entries->element[i]->elements < 2)
            die("a stream's entry has no words");
        const redisReply *words = entries->element[i]->element[1];
        struct slice *parts = x_calloc(words->elements + 2, sizeof *parts);
        char number[24];
        parts[0] = slice_str("entry");
        parts[1] = text_of(entries->element[i]->element[0], number);
        for (size_t w = 0; w < words->elements; w++)
            parts[w + 2] = text_of(words->element[w], number);
        state_item_add(v, words->elements + 2, parts);
        free(parts);
    }
}

static int by_name(const void *a, const void *b)
{
    const redisReply *const *x = a, *const *y = b;
    const redisReply *p = field(*x, "name"), *q = field(*y, "name");
    if (!p || !p->str || !q || !q->str)
        die("a stream's consumer has no name");
    size_t n = p->len < q->len ? (size_t)p->len : (size_t)q->len;
    int c = memcmp(p->str, q->str, n);
    return c ? c : (p->len > q->len) - (p->len < q->len);
}

static void add_consumers(struct state_value *v, const redisReply *consumers)
{
    if (!consumers || !consumers->elements)
        return;
    qsort(consumers->element, consumers->elements, sizeof *consumers->element, by_name);
    for (size_t i = 0; i < consumers->elements; i++)
        add(v, "consumer", field(consumers->element[i], "name"), field(consumers->element[i], "pel-count"),
            NULL);
}

void state_stream_items(struct state_value *v, const redisReply *info,
                        const struct state_read_options *options)
{
    add_entries(v, field(info, "entries"));
    add(v, "last id", field(info, "last-generated-id"), NULL, NULL);
    if (options->stream_details && !options->no_entries_added && field(info, "entries-added"))
        add(v, "added", field(info, "entries-added"), field(info, "max-deleted-entry-id"), NULL);
    const redisReply *groups = field(info, "groups");
    for (size_t g = 0; groups && g < groups->elements; g++) {
        const redisReply *group = groups->element[g];
        add(v, "group", field(group, "name"), field(group, "last-delivered-id"), NULL);
        const redisReply *pending = field(group, "pending");
        for (size_t i = 0; pending && i < pending->elements; i++) {
            const redisReply *p = pending->element[i];
            if (p->elements < 4)
                die("a pending entry has %zu words", p->elements);
            add(v, "pending", p->element[0], p->element[1], p->element[3]);
        }
        if (options->stream_details)
            add_consumers(v, field(group, "consumers"));
    }
}

static int by_member(const void *a, const void *b)
{
    const cJSON *const *x = a, *const *y = b;
    return strcmp((*x)->string, (*y)->string);
}

/* JSON says nothing of the order of an object's members, and servers keep their own. */
static void sort_members(cJSON *json)
{
    size_t n = (size_t)cJSON_GetArraySize(json);
    cJSON **members = x_calloc(n + 1, sizeof *members);
    for (size_t i = 0; i < n; i++) {
        members[i] = cJSON_DetachItemFromArray(json, 0);
        sort_members(members[i]);
    }
    if (cJSON_IsObject(json))
        qsort(members, n, sizeof *members, by_member);
    for (size_t i = 0; i < n; i++)
        cJSON_AddItemToArray(json, members[i]);
    free(members);
}

void state_item_json(struct state_value *v, struct slice text)
{
    char *copy = x_strndup((const char *)text.data, text.len);
    cJSON *json = cJSON_Parse(copy);
    if (json)
        sort_members(json);
    char *canonical = json ? cJSON_PrintUnformatted(json) : NULL;
    struct slice part = canonical ? slice_str(canonical) : text;
    state_item_add(v, 1, &part);
    cJSON_free(canonical);
    cJSON_Delete(json);
    free(copy);
}
