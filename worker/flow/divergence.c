/* Reports of what the target lacks. The line in divergences.log is the record; the message only saves the supervisor
 * reading it. A report that recurs, since entries are translated and answered again after a restart or a lost
 * connection, or a key is written all the time, has the same identity: the supervisor counts it once, and the worker
 * leaves out those that it remembers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/printable.h"
#include "common/ipc/divergence.h"
#include "common/log/log.h"
#include "worker/flow/flow.h"

enum { REMEMBERED = 16384 }; /* identities, each in one place: a later one takes the place of an older one */

void flow_open_reports(struct flow *f)
{
    struct error error;
    char path[sizeof f->directory + 32];
    snprintf(path, sizeof path, "%s/divergences.log", f->directory);
    if (!divergence_log_open(&f->divergences, path, &error))
        log_warning("%s; divergences of this worker are only counted", error.text);
    f->reported = x_calloc(REMEMBERED, sizeof *f->reported);
}

void flow_close_reports(struct flow *f)
{
    if (f->reported)
        divergence_log_close(&f->divergences);
    free(f->reported);
    f->reported = NULL;
}

/* A line of the log has no other line breaks than its end. */
static void put_word(char *out, size_t bytes, const char *text)
{
    snprintf(out, bytes, "%s", text);
    printable(out, bytes);
    for (char *c = out; *c; c++)
        if (*c == '\n' || *c == '\t')
            *c = ' ';
}

static void put_key(char *out, size_t bytes, const struct report *r)
{
    if (DIVERGENCE_NAMES_DATABASE(r->reason))
        snprintf(out, bytes, "%s in database %u", log_key(r->key), (unsigned)r->db);
    else
        snprintf(out, bytes, "%s", log_key(r->key));
}

bool flow_report(struct flow *f, const struct report *r)
{
    struct message m = {.type = MESSAGE_DIVERGENCE, .fd = -1};
    uint64_t id = divergence_id(r->reason, r->command, r->db, r->key);
    uint64_t *place = &f->reported[id % REMEMBERED];
    if (*place == id)
        return false;
    *place = id;
    put_word(m.divergence.reason, sizeof m.divergence.reason, r->reason);
    put_word(m.divergence.command, sizeof m.divergence.command, r->command);
    put_word(m.divergence.text, sizeof m.divergence.text, r->text ? r->text : "");
    put_key(m.divergence.key, sizeof m.divergence.key, r);
    m.divergence.id = id;
    struct divergence_line line = {
        f->number, id, m.divergence.reason, m.divergence.command, m.divergence.key, r->count ? r->count : 1};
    cursor_add(&f->cursor.marks->divergences, 1);
    if (!divergence_log_add(&f->divergences, &line))
        flow_tell(f, &m);
    else
        f->untold |= !flow_tell_at_once(f, &m);
    return true;
}
