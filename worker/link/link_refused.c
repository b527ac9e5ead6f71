/* Commands that the target did not queue: all those of a MULTI are reported and removed, and the batch is sent again.
 * As no command of the MULTI ran, and a once batch is alone, the order is kept. Names of unknown commands are stored
 * for the life of the connection, and such commands are not sent again: else each batch with one would be sent
 * twice. */
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "worker/link/link_internal.h"

enum { TEXT_BYTES = 200 };

struct note {
    uint32_t number;
    uint32_t text_len; /* of the text that follows */
};

void link_note_refused(struct link *l, uint32_t i, struct slice text)
{
    struct note note = {i, (uint32_t)(text.len < TEXT_BYTES - 1 ? text.len : TEXT_BYTES - 1)};
    buf_put(&l->refused, &note, sizeof note);
    buf_put(&l->refused, text.data, note.text_len);
    l->refused_count++;
}

void link_forget_refused(struct link *l)
{
    buf_clear(&l->refused);
    l->refused_count = 0;
    l->queue_refused = false;
}

/* ---- marks and SELECT must not fail ---- */

static bool fail_on_mark(struct link *l, const struct batch *b, uint32_t i, struct slice text)
{
    if (i != b->mark_at)
        return false;
    error_fatal(
        &l->trouble, EX_NOPERM,
        "the target refuses the run's mark (%.*s): allow its user HSET on %s, and remove any other key of "
        "this name",
        (int)text.len, (const char *)text.data, l->config.mark_key);
    return true;
}

/* The greeting found the number of databases. Commands after a SELECT that is refused all the same run in the previous
 * database, which cannot be undone: they must not count as applied. */
static bool fail_on_select(struct link *l, const struct batch *b, uint32_t i, struct slice text)
{
    struct slice name, database;
    if (!batch_describe(b, i, &name, &database) || !slice_is(name, "SELECT"))
        return false;
    error_fatal(
        &l->trouble, EX_CONFIG,
        "the target refuses SELECT %.*s (%.*s), which it accepted at the greeting: the commands after it may "
        "have been written to another database; connect without a proxy and start over with "
        "--flush-target, or exclude the database with --db",
        (int)database.len, (const char *)database.data, (int)text.len, (const char *)text.data);
    return true;
}

bool link_must_not_fail(struct link *l, const struct batch *b, uint32_t i, struct slice text)
{
    l->must_not_fail |= fail_on_mark(l, b, i, text) || fail_on_select(l, b, i, text);
    return l->must_not_fail;
}

/* ---- unknown commands ---- */

static bool name_is_unknown(const struct link *l, struct slice name)
{
    for (size_t i = 0; i < l->unknown_count; i++)
        if (slice_is(name, l->unknown[i]))
            return true;
    return false;
}

static void remember_unknown(struct link *l, struct slice name, const char *text)
{
    static const char unknown[] = "ERR unknown command";
    if (strncmp(text, unknown, sizeof unknown - 1) != 0 || l->unknown_count == LINK_UNKNOWN_NAMES ||
        name.len >= LINK_NAME_BYTES || name_is_unknown(l, name))
        return;
    char *to = l->unknown[l->unknown_count++];
    memcpy(to, name.data, name.len);
    to[name.len] = '\0';
}

/* ---- removing ---- */

static bool remove_commands(struct link *l, struct batch *b, const uint32_t *numbers, size_t count)
{
    l->window_bytes -= batch_bytes(b);
    l->borrowing -= b->borrowed_count > 0;
    if (!batch_remove(b, numbers, count))
        return error_set(&l->trouble, ERROR_FATAL, "a batch with a refused command cannot be parsed");
    l->window_bytes += batch_bytes(b);
    l->borrowing += b->borrowed_count > 0;
    batch_rewind(b);
    return true;
}

/* Reports each command that was not queued. False: one of them must not fail. */
static bool report_refused(struct link *l, struct batch *b, uint32_t *numbers)
{
    size_t n = 0;
    for (size_t at = 0; at < l->refused.len;) {
        struct note note;
        char text[TEXT_BYTES];
        struct slice name, key;
        memcpy(&note, l->refused.data + at, sizeof note);
        memcpy(text, l->refused.data + at + sizeof note, note.text_len);
        text[note.text_len] = '\0';
        at += sizeof note + note.text_len;
        if (link_must_not_fail(l, b, note.number, slice_str(text)))
            return false;
        if (batch_describe(b, note.number, &name, &key))
            remember_unknown(l, name, text);
        numbers[n++] = note.number;
        l->callbacks.refused(l->callbacks.arg, b, note.number, text);
    }
    return true;
}

bool link_send_without(struct link *l, struct batch *b)
{
    uint32_t *numbers = x_calloc(l->refused_count, sizeof *numbers);
    b->removing = true;
    bool ok = report_refused(l, b, numbers) && remove_commands(l, b, numbers, l->refused_count);
    b->removing = false;
    free(numbers);
    link_forget_refused(l);
    if (!ok)
        return false;
    if (b->next) { /* in a cluster: moves after the batches of other slots, which are answered first now */
        l->first = b->next;
        l->last->next = b;
        l->last = b;
        b->next = NULL;
    }
    if (!l->sending)
        l->sending = b;
    event_add(l->writable, NULL);
    return true;
}

bool link_strip_unknown(struct link *l, struct batch *b)
{
    struct slice name, key;
    size_t count = 0;
    if (!b->once || b->stripped || !l->unknown_count || b->sent != batch_begin(b))
        return true;
    b->stripped = b->removing = true;
    uint32_t *numbers = x_calloc(b->commands ? b->commands : 1, sizeof *numbers);
    for (uint32_t i = 0; i < b->commands && batch_describe(b, i, &name, &key); i++) {
        if (!name_is_unknown(l, name))
            continue;
        numbers[count++] = i;
        l->callbacks.refused(l->callbacks.arg, b, i, "ERR unknown command: not sent again");
    }
    bool ok = !count || remove_commands(l, b, numbers, count);
    b->removing = false;
    free(numbers);
    return ok;
}
