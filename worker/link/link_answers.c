/* Answers to batches: success, refusal, temporary error, redirection. A plain batch is answered command by command; a
 * once batch by the answers to ASKING, if sent, MULTI, QUEUED for each command, and EXEC. */
#include <stdio.h>
#include <sysexits.h>

#include "common/log/invariant.h"
#include "common/redis/topology.h"
#include "worker/link/link_internal.h"

static struct batch *last_batch(struct batch *b)
{
    while (b && b->next)
        b = b->next;
    return b;
}

/* Drops all batches from *at on. */
void link_drop_batches(struct link *l, struct batch **at)
{
    while (*at) {
        struct batch *b = *at;
        *at = b->next;
        l->window_bytes -= batch_bytes(b);
        l->borrowing -= b->borrowed_count > 0;
        if (l->callbacks.dropped && !b->look)
            l->callbacks.dropped(l->callbacks.arg, b);
        batch_free(b);
    }
    l->sending = NULL;
    l->last = last_batch(l->first);
}

static void drop_unsent_batches(struct link *l)
{
    struct batch **at = &l->first, *begun = NULL;
    if (!l->sending)
        return;
    while (*at != l->sending)
        at = &(*at)->next;
    if ((*at)->sent != batch_begin(*at)) {
        begun = *at;
        at = &begun->next;
    }
    link_drop_batches(l, at);
    l->sending = begun;
}

static bool set_trouble(struct link *l, enum refusal refusal, struct slice text)
{
    l->broken |= text.len > 3 && memcmp(text.data, "ERR", 3) == 0; /* Protocol error */
    if (refusal == REFUSAL_FATAL)
        return error_fatal(&l->trouble, EX_NOPERM,
                           "the target refuses the run's commands: %.*s: check its ACL and the password",
                           (int)text.len, (const char *)text.data);
    return error_set(&l->trouble, ERROR_RETRY, "the target answers %.*s", (int)text.len,
                     (const char *)text.data);
}

static void on_command_answered(struct link *l, struct batch *b, uint32_t i, enum reply_kind kind,
                                struct slice text)
{
    if (kind == REPLY_ERROR) {
        if (link_must_not_fail(l, b, i, text))
            return;
        if (refusal_class(text) == REFUSAL_BUSYKEY && batch_is_conflict_command(b, i)) {
            l->callbacks.conflict(l->callbacks.arg, b, i);
            return;
        }
        char line[200];
        snprintf(line, sizeof line, "%.*s", (int)text.len, (const char *)text.data);
        l->callbacks.refused(l->callbacks.arg, b, i, line);
    } else if (b->conflicts && batch_is_conflict_command(b, i)) {
        l->callbacks.conflict(l->callbacks.arg, b, i);
    }
}

static void batch_acknowledged(struct link *l)
{
    INVARIANT(3.6, !l->must_not_fail && !l->marks_lost);
    struct batch *b = l->first;
    /* Only an applied batch ends the trouble: a full target still accepts connections. */
    if (!b->look && trouble_over(l->config.trouble))
        l->backoff_ms = LINK_BACKOFF_FIRST_MS;
    if (l->config.trouble->broke_times)
        trouble_took(l->config.trouble, batch_largest_argument(b));
    l->first = b->next;
    if (!l->first)
        l->last = NULL;
    l->window_bytes -= batch_bytes(b);
    l->borrowing -= b->borrowed_count > 0;
    b->next = NULL;
    if (l->sending && l->sending == l->first)
        event_add(l->writable, NULL);
    if (b->look)
        batch_free(b);
    else
        l->callbacks.acknowledged(l->callbacks.arg, b);
}

/* In a cluster: the slot is served by another node, or by none now. Unsent batches are dropped: the node might run them
 * although it refused commands before them. */
static void batch_moved(struct link *l, const struct batch *b, struct slice text)
{
    uint64_t number;
    int slot = b->once ? b->slot : -1;
    char line[200];
    const uint8_t *blank = memchr(text.data, ' ', text.len);
    struct slice rest =
        blank ? slice_of(blank + 1, text.len - (size_t)(blank + 1 - text.data)) : slice_of("", 0);
    blank = rest.len ? memchr(rest.data, ' ', rest.len) : NULL;
    if (slot < 0 && blank && slice_to_u64(slice_of(rest.data, (size_t)(blank - rest.data)), &number) &&
        number < CLUSTER_SLOTS)
        slot = (int)number; /* from MOVED or ASK */
    snprintf(line, sizeof line, "%.*s", (int)text.len, (const char *)text.data);
    l->callbacks.moved(l->callbacks.arg, b, slot, line);
    drop_unsent_batches(l);
}

/* The mark of an ASKING batch: if it is refused, no mark covers the other commands. */
static bool is_asking_mark(const struct batch *b, size_t i)
{
    return b->marked_last && i + 1 == b->commands;
}

/* INFO is behind the commands. */
static uint32_t queued_count(const struct batch *b)
{
    return b->commands + b->asks;
}

static void command_not_queued(struct link *l, const struct batch *b, uint32_t i, struct slice text)
{
    enum refusal refusal = refusal_class(text);
    if (refusal == REFUSAL_COMMAND && !is_asking_mark(b, i) && i < b->commands) {
        link_note_refused(l, i, text);
    } else if (!l->queue_refused) {
        l->queue_refused = true;
        l->queue_refusal = refusal;
        snprintf(l->queue_text, sizeof l->queue_text, "%.*s", (int)text.len, (const char *)text.data);
    }
}

static bool once_reply(struct link *l, struct batch *b, enum reply_kind kind, size_t elements,
                       struct slice text)
{
    if (b->asking && !b->asked) {
        b->asked = true;
        return kind != REPLY_ERROR || set_trouble(l, refusal_class(text), text);
    }
    uint32_t i = b->answered++;
    if (i == 0)
        return kind != REPLY_ERROR || set_trouble(l, refusal_class(text), text);
    if (i <= queued_count(b)) {
        if (kind == REPLY_ERROR)
            command_not_queued(l, b, i - 1, text);
        return true;
    }
    if (kind == REPLY_ERROR) {
        if (!l->queue_refused && l->refused_count)
            return link_send_without(l, b);
        struct slice why = l->queue_refused ? slice_str(l->queue_text) : text;
        if (l->config.in_cluster && !b->look && refusal_class(why) == REFUSAL_MOVED) {
            link_forget_refused(l);
            batch_moved(l, b, why);
            batch_acknowledged(l);
            return true;
        }
        return set_trouble(l, refusal_class(why) == REFUSAL_FATAL ? REFUSAL_FATAL : REFUSAL_WAIT, why);
    }
    if ((kind != REPLY_OTHER && kind != REPLY_ABSENT) || elements != queued_count(b))
        return error_set(&l->trouble, ERROR_RETRY, "EXEC answered %zu results for %u commands", elements,
                         queued_count(b));
    if (l->must_not_fail || l->marks_lost)
        return false;
    if (l->mark_refused)
        batch_moved(l, b, slice_str(l->queue_text));
    l->mark_refused = false;
    batch_acknowledged(l);
    return true;
}

bool link_on_reply(void *arg, enum reply_kind kind, size_t elements, struct slice text)
{
    struct link *l = arg;
    struct batch *b = l->first;
    if (!b)
        return error_set(&l->trouble, ERROR_RETRY, "unexpected answer: %.*s", (int)text.len,
                         (const char *)text.data);
    if (b->once)
        return once_reply(l, b, kind, elements, text);
    if (kind != REPLY_OTHER) {
        enum refusal refusal = kind == REPLY_ERROR ? refusal_class(text) : REFUSAL_COMMAND;
        if (refusal == REFUSAL_MOVED && l->config.in_cluster)
            batch_moved(l, b, text);
        else if (refusal == REFUSAL_MOVED || refusal == REFUSAL_WAIT || refusal == REFUSAL_FATAL)
            return set_trouble(l, refusal, text);
        else
            on_command_answered(l, b, b->answered, kind, text);
        if (l->must_not_fail)
            return false;
    }
    if (++b->answered == b->commands)
        batch_acknowledged(l);
    return true;
}

/* HSET of an existing mark has created fields: the target was emptied meanwhile, or has evicted the mark, and may have
 * evicted any key. The batch counts as not applied. */
static void on_marks_lost(struct link *l)
{
    char key[SLOT_KEY_BYTES];
    const struct link_config *c = &l->config;
    if (c->in_cluster)
        slot_mark_key(key, sizeof key, c->settings->name, l->first->slot);
    else
        snprintf(key, sizeof key, "%s", c->mark_key);
    l->marks_lost = true;
    if (l->evicts_any)
        error_fatal(&l->trouble, EX_CONFIG, LINK_EVICTED_TEXT);
    else
        error_set(&l->trouble, ERROR_REDIRECT,
                  "%s has lost the mark that it had a moment ago: another client has emptied it (FLUSHALL, "
                  "FLUSHDB) or deleted %s; a full sync is needed",
                  c->in_cluster ? c->who : "the target", key);
}

/* Whether the answers are those to the batch's commands: elements of EXEC's. */
static bool answers_commands(const struct batch *b)
{
    return b && b->once && b->answered == queued_count(b) + 1;
}

/* Whether element i answers the mark of a batch, with more new fields than possible. */
static bool answer_shows_loss(const struct batch *b, size_t i, long long new_fields)
{
    return answers_commands(b) && i == b->mark_at && new_fields > b->mark_new;
}

/* The answer to INFO replication. The mark of the batch was written over the one that the other data has. In a cluster a
 * master becomes a replica when it has given its last slot away, which the topology tells: nothing is lost. */
static void on_history(struct link *l, const struct batch *b, struct slice info)
{
    const char *who = l->config.who ? l->config.who : "the target";
    if (l->config.in_cluster && info_is_replica(info))
        return;
    if (info_was_replica(info, l->replid) && !b->look)
        l->marks_lost = !error_set(&l->trouble, ERROR_REDIRECT,
                                   "%s was made a replica and a master again (REPLICAOF, or a failover), and "
                                   "was written to before that was noticed: writes of before may be missing; "
                                   "a full sync is needed",
                                   who);
    else if (info_was_replica(info, l->replid))
        l->marks_lost =
            !error_set(&l->trouble, ERROR_RETRY,
                       "%s was made a replica (REPLICAOF, or a failover) since it was connected", who);
    else if (info_is_replica(info))
        l->marks_lost = !error_set(&l->trouble, ERROR_RETRY, "%s is a replica now", who);
}

/* An answer of JSON.NUMINCRBY, "[12,null,-3.5]": a number of at least 2^53, roughly, which two implementations may add up
 * differently. */
static bool has_large_number(struct slice text)
{
    enum { DIGITS_MAX = 15 };
    size_t digits = 0;
    bool whole = true;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        bool digit = c >= '0' && c <= '9';
        if ((c | 0x20) == 'e' && digits)
            return true;
        if (c == '.')
            whole = false;
        else if (!digit)
            whole = true;
        digits = digit ? digits + whole : c == '.' ? digits : 0;
        if (digits > DIGITS_MAX)
            return true;
    }
    return false;
}

static bool is_large_result(const struct batch *b, size_t i, struct slice text)
{
    struct slice name, key;
    return b->conflicts && i < b->commands && has_large_number(text) &&
           batch_is_conflict_command(b, (uint32_t)i) && batch_describe(b, (uint32_t)i, &name, &key) &&
           slice_is(name, "JSON.NUMINCRBY");
}

void link_on_element(void *arg, size_t i, enum reply_kind kind, long long number, struct slice text)
{
    struct link *l = arg;
    if (answer_shows_loss(l->first, i, number)) {
        on_marks_lost(l);
        return;
    }
    if (answers_commands(l->first) && i == l->first->commands) {
        if (kind == REPLY_OTHER && !l->marks_lost)
            on_history(l, l->first, text);
        return;
    }
    if (kind == REPLY_ERROR && l->first && is_asking_mark(l->first, i)) {
        snprintf(l->queue_text, sizeof l->queue_text, "%.*s", (int)text.len, (const char *)text.data);
        l->mark_refused = true;
        return;
    }
    if (kind == REPLY_OTHER && answers_commands(l->first) && is_large_result(l->first, i, text))
        l->callbacks.conflict(l->callbacks.arg, l->first, (uint32_t)i);
    if (kind != REPLY_OTHER && answers_commands(l->first))
        on_command_answered(l, l->first, (uint32_t)i, kind, text);
}
