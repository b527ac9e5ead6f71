/* Times to live sent to the target, the checks of later commands at their acknowledgement, and the correction of
 * postponed times. */
#include "worker/verify/expiry.h"

#include <stdlib.h>

#include "common/base/clock.h"
#include "common/ipc/divergence.h"
#include "worker/translate/commands.h"
#include "worker/translate/rewrite.h"

enum {
    CLOSE_MS = 20,  /* transit, and skew of synchronized clocks */
    EXACT_MS = 150, /* a postponement that ends within it is not corrected */
    LATE_MS = 1000, /* delay of an entry from which on unknown deadlines may have passed before it */
    IN_STEP_MS = 200,
    RIGHT_AT_ONCE = 500, /* in one round */
    KEEP_BYTES = 1 << 20,
};

/* A command on a key with a time to live, until it is acknowledged. */
struct check {
    uint64_t seq;
    int64_t at_ms;
    const char *command;
    uint32_t db, key_bytes;
};

struct expiry {
    struct flow *flow;
    struct translator *translator;
    struct router *router;
    struct deadlines *deadlines;
    struct put_off_list *put_off; /* in the file of `deadlines` */
    struct buf checks; /* struct check and key, of unacknowledged entries; those before `checked` are done */
    size_t checked;
    int64_t oldest_ms; /* earliest receipt of the entries translated since the last acknowledgement */
    uint64_t right_to; /* corrections up to this position of the list are in flight; 0: none */
    bool unknown_told;
};

static const struct slice no_field = {0};

static bool expiry_is_on(const struct expiry *x)
{
    return !router_is_null(x->router);
}

/* Only while they do is any key a suspect. */
static bool keys_expire(const struct expiry *x)
{
    return !x->flow->target.import_mode;
}

static int64_t target_now_ms(const struct expiry *x)
{
    return clock_unix_ms() + x->flow->target.clock_ahead_ms;
}

static uint64_t entry_seq(const struct expiry *x)
{
    return decoder_seq(x->flow->decoder);
}

static void set_deadline(struct expiry *x, uint32_t db, struct slice key, struct slice field, int64_t at_ms)
{
    deadlines_set(x->deadlines, deadlines_hash(db, key, field), entry_seq(x), at_ms,
                  x->translator->arrived_ms);
}

static void suspect_key(struct expiry *x, uint32_t db, struct slice key, const char *command)
{
    log_debug("%s %s ran after the key may have expired on the target", command, log_key(key));
    if (flow_heals(x->flow))
        flow_suspect(x->flow, db, key, DIVERGENCE_EXPIRED, command);
    else
        flow_report(x->flow, &(struct report){DIVERGENCE_EXPIRED, command, db, key, 1, NULL});
}

/* Keys that may have expired, and are not known. */
static void report_unknown(struct expiry *x)
{
    if (flow_heals(x->flow)) {
        flow_compare_all(
            x->flow,
            "the target was behind, and more keys have a time to live than are tracked: some may have "
            "expired there that the source renewed",
            &x->unknown_told);
        return;
    }
    if (!x->unknown_told)
        flow_report(x->flow,
                    &(struct report){.reason = DIVERGENCE_EXPIRED, .command = "keys not kept track of"});
    x->unknown_told = true;
}

/* The target's copy may have had an earlier time, which has passed. */
static void suspect_renewed(struct expiry *x, uint32_t db, struct slice key, const char *command)
{
    if (flow_heals(x->flow))
        suspect_key(x, db, key, command);
    else
        report_unknown(x);
}

void expiry_told(void *expiry, struct slice key, struct slice field, int64_t source_ms, int64_t target_ms)
{
    struct expiry *x = expiry;
    uint32_t db = x->translator->db;
    if (!expiry_is_on(x))
        return;
    /* An entry that runs again: the time it set before may have passed since. */
    bool again = entry_seq(x) <= x->flow->seen_seq;
    set_deadline(x, db, key, field, again && source_ms < target_ms ? source_ms : target_ms);
    struct put_off p = {.db = db,
                        .source_ms = source_ms,
                        .target_ms = target_ms,
                        .key = key,
                        .field = field,
                        .doubted = source_ms <= x->translator->arrived_ms + CLOSE_MS};
    /* A difference that ends within EXACT_MS is not corrected. */
    bool matters = target_ms > source_ms && target_ms > clock_unix_ms() + EXACT_MS;
    if (!matters)
        put_off_forget(x->put_off, deadlines_hash(db, key, field));
    else if (!put_off_add(x->put_off, &p))
        suspect_key(x, db, key, "PEXPIREAT");
}

/* Entries translated since are not on the target yet, so the earlier of both times counts. */
void expiry_healed(struct expiry *x, uint32_t db, struct slice key, int64_t at_ms)
{
    if (!expiry_is_on(x) || !at_ms)
        return;
    int64_t told_ms = deadlines_get(x->deadlines, deadlines_hash(db, key, no_field));
    if (!told_ms || at_ms < told_ms)
        set_deadline(x, db, key, no_field, at_ms);
}

/* ---- checks ---- */

static void add_check(struct expiry *x, uint64_t seq, uint32_t db, struct slice key, int64_t at_ms,
                      const char *command)
{
    struct check check = {seq, at_ms, command, db, (uint32_t)key.len};
    buf_put(&x->checks, &check, sizeof check);
    buf_put(&x->checks, key.data, key.len);
}

static bool deadline_has_passed(const struct expiry *x, int64_t at_ms)
{
    return keys_expire(x) && at_ms <= target_now_ms(x) + CLOSE_MS;
}

/* done: the target has the command already. */
static void check_time(struct expiry *x, const struct command *c, const struct entry *e, uint32_t db,
                       struct slice key, int64_t at_ms, bool done)
{
    if (!done)
        add_check(x, e->seq, db, key, at_ms, c->name);
    else if (deadline_has_passed(x, at_ms))
        suspect_key(x, db, key, c->name);
}

/* Whether the command sets the time to live of a key, or of a part of it, and leaves the value. */
static bool command_renews_key(const struct command *c)
{
    static const char *const names[] = {"PEXPIREAT", "PERSIST", "EXPIRE",      "EXPIREAT", "PEXPIRE",
                                        "GETEX",     "HEXPIRE", "FIELDEXPIRE", "HGETEX"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(c->name, names[i]) == 0)
            return true;
    return false;
}

/* A time that had passed when it was set deletes the key on the source, and no DEL follows. If it is only postponed, a
 * later command finds the old value on the target, and none on the source: it counts as passed. */
static int64_t time_for_command(const struct expiry *x, const struct command *c, uint64_t hash, int64_t at_ms)
{
    return put_off_doubted(x->put_off, hash) && !command_renews_key(c) ? 1 : at_ms;
}

/* Adds a check if the result of the command depends on the value of the key. Returns the time of the key; 0: none. */
static int64_t check_key(struct expiry *x, const struct command *c, const struct entry *e, uint32_t db,
                         struct slice key, struct slice field, bool done)
{
    uint64_t hash = deadlines_hash(db, key, field);
    int64_t at_ms = deadlines_get(x->deadlines, hash);
    if (!at_ms)
        return 0;
    int64_t counts_ms = time_for_command(x, c, hash, at_ms);
    check_time(x, c, e, db, key, counts_ms, done);
    if (deadline_has_passed(x, at_ms)) /* one check is enough */
        deadlines_set(x->deadlines, hash, e->seq, 0, x->translator->arrived_ms);
    return counts_ms;
}

/* A command may write to any of its keys what it made of the one that has the time. */
static void check_all_keys(struct expiry *x, const struct command *c, const struct entry *e, uint32_t db,
                           const size_t *positions, size_t n, int64_t at_ms, bool done)
{
    size_t stored = command_store_position(c, e);
    for (size_t i = 0; n > 1 && i < n; i++)
        check_time(x, c, e, db, e->argv[positions[i]], at_ms, done);
    if (stored)
        check_time(x, c, e, db, e->argv[stored], at_ms, done);
}

static void note_replaced(struct expiry *x, const struct entry *e, uint32_t db, struct slice key,
                          struct slice field)
{
    uint64_t hash = deadlines_hash(db, key, field);
    put_off_forget(x->put_off, hash);
    if (deadlines_get(x->deadlines, hash))
        deadlines_set(x->deadlines, hash, e->seq, 0, x->translator->arrived_ms);
}

static bool command_keeps_ttl(const struct entry *e)
{
    for (size_t i = 3; i < e->argc; i++)
        if (slice_is(e->argv[i], "KEEPTTL"))
            return true;
    return false;
}

/* Whether the command replaces the value of the key. */
static bool command_replaces_key(const struct command *c, const struct entry *e, size_t key_number)
{
    static const char *const whole[] = {"DEL",   "UNLINK", "GETDEL", "SETEX",  "PSETEX",
                                        "SETNX", "GETSET", "MSET",   "MSETNX", "RESTORE"};
    if (strcmp(c->name, "SET") == 0)
        return !command_keeps_ttl(e);
    if (c->filter == FILTER_STORE)
        return key_number == 0;
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
        if (strcmp(c->name, whole[i]) == 0)
            return true;
    return false;
}

/* Where RENAME, COPY and MOVE bring the value. */
struct destination {
    uint32_t db; /* the target's */
    struct slice key;
    bool elsewhere; /* in another database */
};

/* False: none of these commands, or the database is not copied. */
static bool find_destination(const struct expiry *x, const struct command *c, const struct entry *e,
                             uint32_t db, struct destination *to)
{
    bool copies = strcmp(c->name, "COPY") == 0, moves = strcmp(c->name, "MOVE") == 0;
    size_t at = moves ? 2 : 0;
    uint64_t number;
    if (e->argc < 3 || (!copies && !moves && strncmp(c->name, "RENAME", 6) != 0))
        return false;
    for (size_t i = 3; copies && i + 1 < e->argc; i++)
        at = slice_is(e->argv[i], "DB") ? i + 1 : at;
    *to = (struct destination){db, e->argv[moves ? 1 : 2], at > 0};
    return !at || (slice_to_u64(e->argv[at], &number) && number <= UINT32_MAX &&
                   settings_db_target(&x->flow->settings, (uint32_t)number, &to->db));
}

/* The time to live follows the value. MOVE is journaled also if it moved nothing: both keys keep theirs then. */
static void note_moved(struct expiry *x, const struct command *c, const struct entry *e, uint32_t db)
{
    bool renames = strncmp(c->name, "RENAME", 6) == 0, moves = strcmp(c->name, "MOVE") == 0;
    struct destination at;
    if (!find_destination(x, c, e, db, &at))
        return;
    uint64_t from = deadlines_hash(db, e->argv[1], no_field), to = deadlines_hash(at.db, at.key, no_field);
    int64_t at_ms = deadlines_get(x->deadlines, from), had_ms = deadlines_get(x->deadlines, to);
    if (moves && had_ms && (!at_ms || had_ms < at_ms))
        at_ms = had_ms;
    if (at_ms || had_ms)
        deadlines_set(x->deadlines, to, e->seq, at_ms, x->translator->arrived_ms);
    if (at_ms && renames)
        deadlines_set(x->deadlines, from, e->seq, 0, x->translator->arrived_ms);
}

/* The result of HINCRBY and HSETNX depends on the value of a field; that of HSET and HDEL does not. */
static void check_fields(struct expiry *x, const struct command *c, const struct entry *e, uint32_t db,
                         bool done)
{
    if ((c->name[0] != 'H' && c->name[0] != 'F') || e->argc < 3)
        return;
    if (strncmp(c->name, "HINCRBY", 7) == 0 || strcmp(c->name, "HSETNX") == 0) {
        check_key(x, c, e, db, e->argv[1], e->argv[2], done);
        return;
    }
    if (strcmp(c->name, "HEXPIRE") == 0 || strcmp(c->name, "HGETEX") == 0 ||
        strcmp(c->name, "FIELDEXPIRE") == 0) {
        for (size_t i = 3; i < e->argc; i++)
            check_key(x, c, e, db, e->argv[1], e->argv[i], done);
        return;
    }
    bool sets = strcmp(c->name, "HSET") == 0 || strcmp(c->name, "HMSET") == 0,
         deletes = strcmp(c->name, "HDEL") == 0;
    for (size_t i = 2; (sets || deletes) && i < e->argc; i += sets ? 2 : 1)
        note_replaced(x, e, db, e->argv[1], e->argv[i]);
}

/* For a command that the target has, which is not translated: the times to live that it set. */
static void note_done_command(struct expiry *x, const struct command *c, const struct entry *e, uint32_t db)
{
    int64_t at_ms = 0, now_ms = clock_unix_ms();
    for (size_t i = 3; strcmp(c->name, "SET") == 0 && i + 1 < e->argc; i++)
        if (slice_is(e->argv[i], "PXAT"))
            slice_to_i64(e->argv[i + 1], &at_ms);
    if (strcmp(c->name, "PEXPIREAT") == 0)
        slice_to_i64(e->argv[2], &at_ms);
    if (at_ms > 0)
        set_deadline(x, db, e->argv[1], no_field, at_ms > now_ms ? at_ms : now_ms + REWRITE_GRACE_MS);
}

static void check_command(struct expiry *x, const struct entry *e, bool done)
{
    size_t positions[64];
    uint32_t db;
    const struct command *c = e->argc ? command_find(e->argv[0]) : NULL;
    if (!c || !settings_db_target(&x->flow->settings, e->db, &db))
        return;
    size_t n = command_keys(c, e, positions, sizeof positions / sizeof *positions);
    if (n > sizeof positions / sizeof *positions)
        n = sizeof positions / sizeof *positions;
    int64_t first_ms = 0;
    for (size_t i = 0; i < n; i++) {
        struct slice key = e->argv[positions[i]];
        int64_t at_ms = 0;
        if (command_replaces_key(c, e, i))
            note_replaced(x, e, db, key, no_field);
        else
            at_ms = check_key(x, c, e, db, key, no_field, done);
        if (at_ms && (!first_ms || at_ms < first_ms))
            first_ms = at_ms;
    }
    struct destination to;
    if (first_ms)
        check_all_keys(x, c, e, db, positions, n, first_ms, done);
    if (first_ms && find_destination(x, c, e, db, &to) && to.elsewhere)
        check_time(x, c, e, to.db, to.key, first_ms, done);
    if (!done && n && keys_expire(x) && e->seq <= deadlines_lost(x->deadlines) && command_renews_key(c))
        suspect_renewed(x, db, e->argv[positions[0]], c->name);
    check_fields(x, c, e, db, done);
    note_moved(x, c, e, db);
    if (done && e->argc > 2)
        note_done_command(x, c, e, db);
    if (strcmp(c->name, "PERSIST") == 0)
        note_replaced(x, e, db, e->argv[1], no_field);
}

void expiry_entry(struct expiry *x, const struct entry *e, bool done)
{
    uint32_t db;
    if (!expiry_is_on(x))
        return;
    x->oldest_ms = x->oldest_ms ? x->oldest_ms : x->translator->arrived_ms;
    if (deadlines_none(x->deadlines))
        return;
    if (e->kind == ENTRY_COMMAND)
        check_command(x, e, done);
    else if ((e->kind == ENTRY_STRING || e->kind == ENTRY_VALUE || e->kind == ENTRY_BEGIN) &&
             settings_db_target(&x->flow->settings, e->db, &db))
        note_replaced(x, e, db, e->key, no_field);
}

/* With more keys than the table has room for, the expired ones are unknown. */
static void check_unknown(struct expiry *x)
{
    int64_t now_ms = target_now_ms(x);
    if (!keys_expire(x) || !x->oldest_ms || now_ms - x->oldest_ms < LATE_MS ||
        !deadlines_unknown(x->deadlines, x->oldest_ms, now_ms))
        return;
    if (!x->unknown_told)
        log_warning("the target is behind by %lld ms, and more keys have a time to live than are tracked",
                    (long long)(now_ms - x->oldest_ms));
    report_unknown(x);
}

void expiry_acknowledged(struct expiry *x, uint64_t seq)
{
    size_t at = x->checked;
    struct check check;
    if (!expiry_is_on(x))
        return;
    while (x->checks.len - at >= sizeof check) {
        memcpy(&check, x->checks.data + at, sizeof check);
        if (check.seq > seq)
            break;
        struct slice key = slice_of(x->checks.data + at + sizeof check, check.key_bytes);
        if (deadline_has_passed(x, check.at_ms))
            suspect_key(x, check.db, key, check.command);
        at += sizeof check + check.key_bytes;
    }
    x->checked = at;
    if (at == x->checks.len) {
        buf_clear(&x->checks);
        x->checked = 0;
    } else if (at > KEEP_BYTES) {
        memmove(x->checks.data, x->checks.data + at, x->checks.len - at);
        x->checks.len -= at;
        x->checked = 0;
    }
    check_unknown(x);
    x->oldest_ms = 0;
    if (!x->flow->settings.marks)
        deadlines_keep(x->deadlines, seq);
}

void expiry_mark_sent(struct expiry *x, uint64_t seq)
{
    deadlines_announce(x->deadlines, seq);
}

void expiry_marked(struct expiry *x, uint64_t seq)
{
    deadlines_keep(x->deadlines, seq);
}

void expiry_rewound(struct expiry *x)
{
    deadlines_forget(x->deadlines);
    buf_clear(&x->checks);
    x->checked = 0;
    x->oldest_ms = 0;
    x->right_to = 0;
}

void expiry_lost(struct expiry *x, uint64_t seq)
{
    if (seq > deadlines_lost(x->deadlines))
        deadlines_set_lost(x->deadlines, seq);
}

/* ---- postponed times ---- */

/* Corrects the time only if it is still the postponed one; a later command wins. (The table of deadlines does not tell:
 * after a restart it may have an earlier time.) ARGV: postponed, correct. */
static const char key_script[] = "local p=redis.call('PTTL',KEYS[1])\n"
                                 "local t=redis.call('TIME')\n"
                                 "local at=t[1]*1000+math.floor(t[2]/1000)+p\n"
                                 "if p>=0 and math.abs(at-ARGV[1])<=25 then\n"
                                 "redis.call('PEXPIREAT',KEYS[1],ARGV[2]) end";
static const char field_script[] = "local p=redis.call('HPTTL',KEYS[1],'FIELDS',1,ARGV[3])\n"
                                   "p=type(p)=='table' and p[1] or p\n"
                                   "local t=redis.call('TIME')\n"
                                   "if type(p)~='number' then return end\n"
                                   "local at=t[1]*1000+math.floor(t[2]/1000)+p\n"
                                   "if p>=0 and math.abs(at-ARGV[1])<=25 then\n"
                                   "redis.call('HPEXPIREAT',KEYS[1],ARGV[2],'FIELDS',1,ARGV[3]) end";

static void send_correct_time(struct expiry *x, const struct put_off *p)
{
    struct translator *t = x->translator;
    bool field = p->field.data != NULL;
    if (!t->target->scripts) {
        suspect_key(x, p->db, p->key, "PEXPIREAT");
        return;
    }
    t->db = p->db;
    rewrite_probe(t, p->key, OUTPUT_IDEMPOTENT, false);
    output_begin(t->out, p->db, p->key, field ? 7 : 6, OUTPUT_IDEMPOTENT);
    output_text(t->out, "EVAL");
    output_text(t->out, field ? field_script : key_script);
    output_text(t->out, "1");
    output_arg(t->out, p->key);
    output_i64(t->out, p->target_ms);
    output_i64(t->out, p->source_ms);
    if (field)
        output_arg(t->out, p->field);
    output_end(t->out);
    if (p->last)
        deadlines_set(x->deadlines, deadlines_hash(p->db, p->key, p->field), entry_seq(x), p->source_ms, 0);
}

static bool flow_in_step(const struct expiry *x)
{
    return x->flow->stable_reported && x->translator->lag_ms < IN_STEP_MS;
}

bool expiry_put_right(struct expiry *x, bool ends)
{
    struct put_off p;
    unsigned n = 0;
    if (!expiry_is_on(x))
        return false;
    if (x->right_to) { /* of the previous round, which is acknowledged */
        put_off_put_right(x->put_off, x->right_to);
        x->right_to = 0;
    }
    uint64_t position = 0;
    if ((!flow_in_step(x) && !ends) || !put_off_next(x->put_off, &position, &p))
        return false;
    position = 0;
    output_entry(x->translator->out, entry_seq(x));
    while (n < RIGHT_AT_ONCE && put_off_next(x->put_off, &position, &p)) {
        send_correct_time(x, &p);
        n++;
    }
    x->right_to = position;
    return !round_empty(router_open(x->router));
}

struct expiry *expiry_new(struct flow *f, struct translator *translator, struct router *router,
                          struct deadlines *deadlines)
{
    struct expiry *x = x_calloc(1, sizeof *x);
    *x = (struct expiry){.flow = f,
                         .translator = translator,
                         .router = router,
                         .deadlines = deadlines,
                         .put_off = deadlines_list(deadlines)};
    return x;
}

void expiry_free(struct expiry *x)
{
    if (!x)
        return;
    buf_free(&x->checks);
    free(x);
}
