/* Two states, key by key. */
#include "tests/support/state.h"

#include <stdlib.h>

#include "tests/support/testing.h"

enum {
    BATCH = 500,
    SHOWN = 20,
    LEFT_SO_MS = 150,
    PUT_OFF_MS = 500, /* df2redis puts deadlines that are near off a little, until the source says DEL */
};

/* Which keys the actual server should hold. */
struct expected_key {
    uint32_t db;
    size_t at, len;
};

struct comparison {
    struct state_server *actual;
    struct state_rules *rules;
    struct state_report *report;
    struct buf names; /* of the expected keys */
    struct expected_key *keys;
    size_t count, capacity;
    struct state_value found[BATCH];
};

static void print_key(struct buf *out, uint32_t db, struct slice key)
{
    buf_printf(out, "db %u key '", db);
    for (size_t i = 0; i < key.len && i < 64; i++)
        buf_printf(out, key.data[i] >= 32 && key.data[i] < 127 ? "%c" : "\\x%02x", key.data[i]);
    buf_printf(out, "'");
}

static void differs(struct comparison *c, uint32_t db, struct slice key, const char *what, bool only_rounding)
{
    for (size_t i = 0; i < c->rules->exception_count; i++) {
        struct state_exception *e = &c->rules->exceptions[i];
        if (e->db == db && slice_eq(e->key, key) && (only_rounding || !e->only_rounding)) {
            e->occurred = true;
            c->report->excepted++;
            return;
        }
    }
    if (c->report->different++ < SHOWN) {
        print_key(&c->report->text, db, key);
        buf_printf(&c->report->text, ": %s\n", what);
    }
}

static void expect_key(struct comparison *c, uint32_t db, struct slice key)
{
    if (c->count == c->capacity) {
        c->capacity = c->capacity ? c->capacity * 2 : 1024;
        c->keys = x_realloc(c->keys, c->capacity * sizeof *c->keys);
    }
    c->keys[c->count++] = (struct expected_key){db, c->names.len, key.len};
    buf_put(&c->names, key.data, key.len);
}

static bool is_bookkeeping(struct slice key)
{
    static const char prefix[] = "df2redis:";
    return key.len >= sizeof prefix - 1 && memcmp(key.data, prefix, sizeof prefix - 1) == 0;
}

/* Types that live in a module: JSON where the target has it, the others nowhere but in Dragonfly. */
static bool is_unportable(const struct comparison *c, const char *type)
{
    if (c->actual->kind == STATE_DRAGONFLY)
        return false;
    return strcmp(type, "ReJSON-RL") == 0
               ? !c->actual->json
               : strncmp(type, "MBbloom", 7) == 0 || strcmp(type, "CMSk-TYPE") == 0 ||
                     strcmp(type, "TopK-TYPE") == 0;
}

static void compare_one(struct comparison *c, uint32_t db, struct slice key,
                        const struct state_value *expected, const struct state_value *actual)
{
    bool missing = strcmp(actual->type, "none") == 0;
    c->report->keys++;
    bool gone = strcmp(expected->type, "none") == 0, soon = false;
    if (gone && !missing)
        soon = actual->expire_ms && actual->expire_ms < clock_unix_ms() + PUT_OFF_MS;
    if (gone || (missing && expected->expire_ms && expected->expire_ms <= clock_unix_ms())) {
        c->report->expired++;
        if (!missing && !soon)
            differs(c, db, key, "is there, but has expired where it came from", false);
        return;
    }
    if (is_unportable(c, expected->type)) {
        c->report->unportable++;
        if (!missing)
            differs(c, db, key, "of a type that the target cannot hold, is there", false);
        return;
    }
    /* Redis 6.2 tells only how much is left, and when it was asked is not known to the millisecond. */
    int64_t reading_ms = c->actual->expiretime ? 0 : 1000;
    if (expected->expire_ms && expected->expire_ms < clock_unix_ms() + PUT_OFF_MS && reading_ms < LEFT_SO_MS)
        reading_ms = LEFT_SO_MS;
    const char *what = state_value_difference(expected, actual, c->rules->ttl_tolerance_ms + reading_ms,
                                              c->rules->field_ttl_tolerance_ms);
    if (*what)
        differs(c, db, key, what, state_value_same_but_rounding(expected, actual));
}

/* At most BATCH keys, all for the same database of the actual server. */
static void compare_batch(struct comparison *c, uint32_t db, const struct slice *keys, size_t count,
                          const struct state_value *const *expected)
{
    if (!count)
        return;
    state_select(c->actual, db);
    state_read(c->actual, &c->rules->read, keys, count, c->found);
    for (size_t i = 0; i < count; i++)
        compare_one(c, db, keys[i], expected[i], &c->found[i]);
}

static bool wanted(const struct state_rules *rules, uint32_t db, struct slice key, uint32_t *to_db)
{
    *to_db = db;
    return !is_bookkeeping(key) && (!rules->wanted || rules->wanted(rules->wanted_arg, db, key, to_db));
}

static int by_key(const void *a, const void *b, void *names)
{
    const struct expected_key *x = a, *y = b;
    const uint8_t *base = names;
    if (x->db != y->db)
        return x->db < y->db ? -1 : 1;
    int cmp = memcmp(base + x->at, base + y->at, x->len < y->len ? x->len : y->len);
    return cmp ? cmp : (x->len > y->len) - (x->len < y->len);
}

static bool is_expected(const struct comparison *c, uint32_t db, struct slice key)
{
    size_t low = 0, high = c->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct expected_key *k = &c->keys[middle];
        int cmp = k->db != db ? (k->db < db ? -1 : 1)
                              : memcmp(c->names.data + k->at, key.data, k->len < key.len ? k->len : key.len);
        if (cmp == 0)
            cmp = (k->len > key.len) - (k->len < key.len);
        if (cmp == 0)
            return true;
        low = cmp < 0 ? middle + 1 : low;
        high = cmp < 0 ? high : middle;
    }
    return false;
}

static bool goes_soon(struct state_server *s, struct slice key)
{
    redisReply *r = redisCommand(s->c, "PTTL %b", key.data, key.len);
    bool soon = r && r->type == REDIS_REPLY_INTEGER &&
                (r->integer == -2 || (r->integer >= 0 && r->integer < PUT_OFF_MS));
    freeReplyObject(r);
    return soon;
}

/* Keys that nobody expected. */
static void look_for_extras(struct comparison *c)
{
    if (c->count)
        qsort_r(c->keys, c->count, sizeof *c->keys, by_key, c->names.data);
    uint32_t databases = c->rules->databases ? c->rules->databases : 16;
    for (uint32_t db = 0; db < databases; db++) {
        struct buf bytes = {0};
        struct state_item *names;
        state_select(c->actual, db);
        size_t n = state_scan(c->actual, &bytes, &names);
        for (size_t i = 0; i < n; i++) {
            struct slice key = slice_of(bytes.data + names[i].at, names[i].len);
            if (!is_bookkeeping(key) && !is_expected(c, db, key) && !goes_soon(c->actual, key))
                differs(c, db, key, "is there, but was not expected", false);
        }
        free(names);
        buf_free(&bytes);
    }
}

static bool group_occurred(const struct state_rules *rules, unsigned group)
{
    for (size_t i = 0; group && i < rules->exception_count; i++)
        if (rules->exceptions[i].group == group && rules->exceptions[i].occurred)
            return true;
    return false;
}

static bool finish(struct comparison *c)
{
    look_for_extras(c);
    for (size_t i = 0; i < c->rules->exception_count; i++) {
        const struct state_exception *e = &c->rules->exceptions[i];
        if (!e->occurred && !e->only_rounding && !group_occurred(c->rules, e->group)) {
            c->report->different++;
            print_key(&c->report->text, e->db, e->key);
            buf_printf(&c->report->text, ": was to differ (%s), but does not: take the exception away\n",
                       e->why);
        }
    }
    buf_put_u8(&c->report->text, 0);
    for (size_t i = 0; i < BATCH; i++)
        state_value_free(&c->found[i]);
    free(c->keys);
    buf_free(&c->names);
    return c->report->different == 0;
}

static struct comparison *begin(struct state_server *actual, struct state_rules *rules,
                                struct state_report *report)
{
    struct comparison *c = x_calloc(1, sizeof *c);
    *report = (struct state_report){0};
    c->actual = actual;
    c->rules = rules;
    c->report = report;
    for (size_t i = 0; i < rules->exception_count; i++)
        rules->exceptions[i].occurred = false;
    return c;
}

bool state_compare_file(const char *path, struct state_server *actual, struct state_rules *rules,
                        struct state_report *report)
{
    struct comparison *c = begin(actual, rules, report);
    struct state_file file;
    state_file_load(&file, path);
    struct slice keys[BATCH];
    const struct state_value *values[BATCH];
    size_t n = 0;
    uint32_t batch_db = 0;
    for (size_t i = 0; i < file.count; i++) {
        uint32_t db;
        if (!wanted(rules, file.records[i].db, file.records[i].key, &db))
            continue;
        if (n == BATCH || (n && db != batch_db)) {
            compare_batch(c, batch_db, keys, n, values);
            n = 0;
        }
        batch_db = db;
        expect_key(c, db, file.records[i].key);
        keys[n] = file.records[i].key;
        values[n++] = &file.records[i].value;
    }
    compare_batch(c, batch_db, keys, n, values);
    bool equal = finish(c);
    state_file_free(&file);
    free(c);
    return equal;
}

/* One database of the expected server; its keys may go to several of the actual one. */
static void compare_database(struct comparison *c, struct state_server *expected, uint32_t db)
{
    struct buf bytes = {0};
    struct state_item *names;
    state_select(expected, db);
    size_t total = state_scan(expected, &bytes, &names);
    struct state_value *values = x_calloc(BATCH, sizeof *values);
    const struct state_value *pointers[BATCH];
    struct slice keys[BATCH];
    for (size_t i = 0, n = 0; i <= total; i++) {
        uint32_t to_db = 0;
        struct slice key = i < total ? slice_of(bytes.data + names[i].at, names[i].len) : slice_str("");
        bool take = i < total && wanted(c->rules, db, key, &to_db);
        if (take) {
            expect_key(c, to_db, key);
            keys[n] = key;
            pointers[n] = &values[n];
            n++;
        }
        /* A rule maps a database, not single keys, so a batch has one target. */
        if (n == BATCH || (i == total && n)) {
            state_read(expected, &c->rules->read, keys, n, values);
            wanted(c->rules, db, keys[0], &to_db);
            compare_batch(c, to_db, keys, n, pointers);
            n = 0;
        }
    }
    for (size_t i = 0; i < BATCH; i++)
        state_value_free(&values[i]);
    free(values);
    free(names);
    buf_free(&bytes);
}

static bool keeps_entries_added(const struct state_server *s)
{
    return s->kind != STATE_REDIS || s->version >= 70000;
}

bool state_compare_servers(struct state_server *expected, struct state_server *actual,
                           struct state_rules *rules, struct state_report *report)
{
    struct comparison *c = begin(actual, rules, report);
    uint32_t databases = rules->databases ? rules->databases : 16;
    /* Fields' times to live are compared where both sides have them. */
    bool field_ttls = rules->read.field_ttls;
    rules->read.field_ttls &= expected->field_ttls && actual->field_ttls;
    rules->read.no_entries_added = !keeps_entries_added(expected) || !keeps_entries_added(actual);
    for (uint32_t db = 0; db < databases; db++)
        compare_database(c, expected, db);
    rules->read.field_ttls = field_ttls;
    bool equal = finish(c);
    free(c);
    return equal;
}

void state_report_free(struct state_report *report)
{
    buf_free(&report->text);
}
