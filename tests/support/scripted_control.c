/* The scripted master as its test sees it: what came, and what it is to do now. Every function takes the
 * lock. */
#include "tests/support/scripted_internal.h"
#include "tests/support/stream_writer.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void say_who(const struct connection *c, char *out, size_t bytes)
{
    if (!c)
        snprintf(out, bytes, "master");
    else if (c->flow >= 0)
        snprintf(out, bytes, "flow %d", c->flow);
    else if (c->sync)
        snprintf(out, bytes, "control");
    else
        snprintf(out, bytes, "new %u", c->number % 10000);
}

void scripted_event(struct scripted *m, const struct connection *c, const char *format, ...)
{
    if (!m->threaded && !m->options.log)
        return; /* a program, and nobody to tell */
    if (m->event_count == m->event_capacity) {
        m->event_capacity = m->event_capacity ? m->event_capacity * 2 : 64;
        m->events = x_realloc(m->events, m->event_capacity * sizeof *m->events);
    }
    struct event *e = &m->events[m->event_count++];
    e->us = now_us();
    say_who(c, e->who, sizeof e->who);
    va_list args;
    va_start(args, format);
    if (vasprintf(&e->text, format, args) < 0)
        abort();
    va_end(args);
    if (m->options.log)
        fprintf(m->options.log, "%llu.%06llu %s: %s\n", (unsigned long long)e->us / 1000000,
                (unsigned long long)e->us % 1000000, e->who, e->text);
}

void scripted_violate(struct scripted *m, const struct connection *c, const char *format, ...)
{
    char who[16];
    say_who(c, who, sizeof who);
    va_list args;
    va_start(args, format);
    char *text = NULL;
    if (vasprintf(&text, format, args) < 0)
        abort();
    va_end(args);
    scripted_event(m, c, "PROTOCOL VIOLATION: %s", text);
    if (!m->violation.len) {
        buf_printf(&m->violation, "%s: %s", who, text);
        buf_put_u8(&m->violation, 0);
    }
    free(text);
}

uint16_t scripted_port(const struct scripted *m)
{
    return m->port;
}

const char *scripted_uri(const struct scripted *m)
{
    return m->uri;
}

const char *scripted_violation(struct scripted *m)
{
    pthread_mutex_lock(&m->lock);
    const char *text = m->violation.len ? (const char *)m->violation.data : "";
    pthread_mutex_unlock(&m->lock);
    return text;
}

static bool event_is(const struct event *e, const char *who, const char *text)
{
    return (!who || strcmp(e->who, who) == 0) && strncmp(e->text, text, strlen(text)) == 0;
}

size_t scripted_count(struct scripted *m, const char *who, const char *text)
{
    size_t n = 0;
    pthread_mutex_lock(&m->lock);
    for (size_t i = 0; i < m->event_count; i++)
        n += event_is(&m->events[i], who, text);
    pthread_mutex_unlock(&m->lock);
    return n;
}

size_t scripted_count_between(struct scripted *m, const char *who, const char *text, uint64_t from_us,
                              uint64_t until_us)
{
    size_t n = 0;
    pthread_mutex_lock(&m->lock);
    for (size_t i = 0; i < m->event_count; i++)
        n += event_is(&m->events[i], who, text) && m->events[i].us >= from_us && m->events[i].us < until_us;
    pthread_mutex_unlock(&m->lock);
    return n;
}

bool scripted_sender(struct scripted *m, const char *text, char who[16])
{
    bool found = false;
    pthread_mutex_lock(&m->lock);
    for (size_t i = m->event_count; i-- && !found;) {
        found = event_is(&m->events[i], NULL, text);
        if (found)
            memcpy(who, m->events[i].who, sizeof m->events[i].who);
    }
    pthread_mutex_unlock(&m->lock);
    return found;
}

uint64_t scripted_time_us(struct scripted *m, const char *who, const char *text, size_t nth)
{
    uint64_t us = 0;
    pthread_mutex_lock(&m->lock);
    for (size_t i = 0; i < m->event_count && !us; i++)
        if (event_is(&m->events[i], who, text) && nth-- == 0)
            us = m->events[i].us;
    pthread_mutex_unlock(&m->lock);
    return us;
}

struct awaited {
    struct scripted *m;
    const char *who, *text;
    size_t count;
};

static bool came(void *arg)
{
    struct awaited *a = arg;
    return scripted_count(a->m, a->who, a->text) >= a->count;
}

bool scripted_wait(struct scripted *m, const char *who, const char *text, size_t count, uint32_t deadline_ms)
{
    struct awaited a = {m, who, text, count};
    return wait_until(came, &a, deadline_ms);
}

void scripted_print(struct scripted *m, FILE *out)
{
    pthread_mutex_lock(&m->lock);
    for (size_t i = 0; i < m->event_count; i++)
        fprintf(out, "%10.3f ms %-8s %s\n", (double)(m->events[i].us - m->events[0].us) / 1000,
                m->events[i].who, m->events[i].text);
    pthread_mutex_unlock(&m->lock);
}

uint64_t scripted_sent(struct scripted *m, size_t flow)
{
    pthread_mutex_lock(&m->lock);
    struct sync *s = scripted_newest(m);
    uint64_t sent = s && flow < s->script->flow_count ? s->flows[flow].sent : 0;
    pthread_mutex_unlock(&m->lock);
    return sent;
}

bool scripted_all_sent(struct scripted *m)
{
    pthread_mutex_lock(&m->lock);
    struct sync *s = scripted_newest(m);
    bool all = s && s->state == SYNC_STABLE;
    for (size_t i = 0; all && i < s->script->flow_count; i++)
        all = s->flows[i].sent == s->script->flows[i].bytes.len;
    pthread_mutex_unlock(&m->lock);
    return all;
}

uint64_t scripted_script_bytes(struct scripted *m, size_t flow)
{
    pthread_mutex_lock(&m->lock);
    struct sync *s = scripted_newest(m);
    uint64_t bytes = s ? s->script->flows[flow].bytes.len : 0;
    pthread_mutex_unlock(&m->lock);
    return bytes;
}

uint64_t scripted_acked(struct scripted *m, size_t flow)
{
    pthread_mutex_lock(&m->lock);
    struct sync *s = scripted_newest(m);
    uint64_t acked = s && flow < s->script->flow_count ? s->flows[flow].acked : 0;
    pthread_mutex_unlock(&m->lock);
    return acked;
}

uint64_t scripted_flow_end_lsn(struct scripted_flow *f)
{
    if (!f->end_at) {
        f->end_at = f->journal_at;
        f->end_lsn = f->first_lsn;
    }
    struct journal_reader r = {
        .bytes = buf_slice(&f->bytes), .at = (size_t)f->end_at, .next_lsn = f->end_lsn};
    struct journal_item *item = x_malloc(sizeof *item);
    while (journal_next(&r, item) == 1)
        ;
    free(item);
    f->end_at = r.at;
    f->end_lsn = r.next_lsn;
    return r.next_lsn;
}

uint64_t scripted_end_lsn(struct scripted *m, size_t flow)
{
    pthread_mutex_lock(&m->lock);
    struct sync *s = scripted_newest(m);
    uint64_t lsn = s && flow < s->script->flow_count ? scripted_flow_end_lsn(&s->script->flows[flow]) : 0;
    pthread_mutex_unlock(&m->lock);
    return lsn;
}

static bool all_acked(void *arg)
{
    struct scripted *m = arg;
    pthread_mutex_lock(&m->lock);
    struct sync *s = scripted_newest(m);
    bool all = s && s->state == SYNC_STABLE;
    for (size_t i = 0; all && i < s->script->flow_count; i++)
        all = s->flows[i].acked >= scripted_flow_end_lsn(&s->script->flows[i]);
    pthread_mutex_unlock(&m->lock);
    return all;
}

bool scripted_wait_acked(struct scripted *m, uint32_t deadline_ms)
{
    return wait_until(all_acked, m, deadline_ms);
}

static void unlock_and_wake(struct scripted *m)
{
    ssize_t ignored = write(m->wake[1], "", 1);
    (void)ignored;
    pthread_mutex_unlock(&m->lock);
}

void scripted_hold(struct scripted *m, size_t flow, uint64_t at)
{
    pthread_mutex_lock(&m->lock);
    if (flow >= m->hold_count) {
        m->holds = x_realloc(m->holds, (flow + 1) * sizeof *m->holds);
        while (m->hold_count <= flow)
            m->holds[m->hold_count++] = NEVER;
    }
    m->holds[flow] = at;
    unlock_and_wake(m);
}

void scripted_journal(struct scripted *m, size_t flow, struct slice journal)
{
    struct sync *s = scripted_newest(m);
    size_t index = m->sync_count ? m->sync_count - 1 : 0;
    if (index >= m->options.session_count)
        index = m->options.session_count - 1;
    struct scripted_session *script = &m->options.sessions[index];
    if (flow < script->flow_count)
        buf_put(&script->flows[flow].bytes, journal.data, journal.len);
    if (s && flow < script->flow_count)
        s->flows[flow].all_told = false;
}

void scripted_append(struct scripted *m, size_t flow, struct slice journal)
{
    pthread_mutex_lock(&m->lock);
    scripted_journal(m, flow, journal);
    unlock_and_wake(m);
}

void scripted_become(struct scripted *m, enum scripted_kind kind)
{
    pthread_mutex_lock(&m->lock);
    m->role_changes += m->options.kind != kind;
    m->options.kind = kind;
    unlock_and_wake(m);
}

void scripted_keyspace(struct scripted *m, const char *keyspace)
{
    pthread_mutex_lock(&m->lock);
    m->options.keyspace = keyspace;
    unlock_and_wake(m);
}

void scripted_info(struct scripted *m, const char *info)
{
    pthread_mutex_lock(&m->lock);
    m->options.info = info;
    unlock_and_wake(m);
}

void scripted_promote(struct scripted *m, const char *master_id, uint64_t before_end)
{
    pthread_mutex_lock(&m->lock);
    struct scripted_session *script = &m->options.sessions[m->options.session_count - 1];
    memcpy(m->options.promoted_from, m->options.master_id, sizeof m->options.promoted_from);
    snprintf(m->options.master_id, sizeof m->options.master_id, "%s", master_id);
    for (size_t i = 0; i < script->flow_count; i++)
        script->flows[i].ring_lsn = scripted_flow_end_lsn(&script->flows[i]) - before_end;
    unlock_and_wake(m);
}

void scripted_answer_from(struct scripted *m, uint16_t data_port)
{
    pthread_mutex_lock(&m->lock);
    m->options.data_port = data_port;
    unlock_and_wake(m);
}

/* It must not be asked twice: what came of the first time is not known then. */
enum { CARRY_OUT_MS = 300000 };

bool scripted_carry_out(struct scripted *m, size_t flow, uint32_t db, const char *words)
{
    struct buf journal = {0};
    const char *argv[16];
    size_t lens[16], argc = 0;
    for (const char *at = words; *at && argc < 16; at += *at == ' ') {
        argv[argc] = at;
        lens[argc] = strcspn(at, " ");
        at += lens[argc++];
    }
    write_journal(&journal, db, 0, words);
    pthread_mutex_lock(&m->lock);
    redisReply *r = scripted_data(m, db, argc, argv, lens, CARRY_OUT_MS);
    if (!r)
        die("the scripted master's data does not answer");
    bool taken = r->type != REDIS_REPLY_ERROR;
    freeReplyObject(r);
    scripted_journal(m, flow, buf_slice(&journal));
    unlock_and_wake(m);
    buf_free(&journal);
    return taken;
}

/* The peer sees an end, the loop sees it too and forgets the connection. */
static void cut(struct connection *c)
{
    if (c)
        shutdown(c->fd, SHUT_RDWR);
}

void scripted_cut_flow(struct scripted *m, size_t flow)
{
    pthread_mutex_lock(&m->lock);
    struct sync *s = scripted_newest(m);
    if (s && flow < s->script->flow_count)
        cut(s->flows[flow].connection);
    unlock_and_wake(m);
}

void scripted_cut_control(struct scripted *m)
{
    pthread_mutex_lock(&m->lock);
    struct sync *s = scripted_newest(m);
    if (s)
        cut(s->control);
    unlock_and_wake(m);
}

void scripted_cut_all(struct scripted *m)
{
    pthread_mutex_lock(&m->lock);
    for (size_t i = 0; i < m->connection_count; i++)
        cut(m->connections[i]);
    unlock_and_wake(m);
}

static void reset(struct connection *c)
{
    struct linger at_once = {.l_onoff = 1};
    if (!c)
        return;
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    c->close_after = true;
}

void scripted_reset_flow(struct scripted *m, size_t flow)
{
    pthread_mutex_lock(&m->lock);
    struct sync *s = scripted_newest(m);
    if (s && flow < s->script->flow_count)
        reset(s->flows[flow].connection);
    unlock_and_wake(m);
}

void scripted_reset_control(struct scripted *m)
{
    pthread_mutex_lock(&m->lock);
    struct sync *s = scripted_newest(m);
    if (s)
        reset(s->control);
    unlock_and_wake(m);
}

/* A socket in repair mode is closed without a packet. */
bool scripted_vanish(struct scripted *m)
{
    bool permitted = true;
    pthread_mutex_lock(&m->lock);
    for (size_t i = 0; i < m->connection_count; i++) {
        int on = 1;
        if (setsockopt(m->connections[i]->fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof on) != 0)
            permitted = false;
        else
            m->connections[i]->close_after = m->connections[i]->vanished = true;
    }
    unlock_and_wake(m);
    return permitted;
}

void scripted_deaf(struct scripted *m, bool deaf)
{
    pthread_mutex_lock(&m->lock);
    m->deaf = deaf;
    unlock_and_wake(m);
}

void scripted_hold_stable(struct scripted *m, bool hold)
{
    pthread_mutex_lock(&m->lock);
    m->stable_unanswered = hold;
    unlock_and_wake(m);
}

void scripted_hold_roles(struct scripted *m, bool hold)
{
    pthread_mutex_lock(&m->lock);
    m->roles_unanswered = hold;
    unlock_and_wake(m);
}

void scripted_refuse_offsets(struct scripted *m, const char *error)
{
    pthread_mutex_lock(&m->lock);
    m->offsets_error = error;
    unlock_and_wake(m);
}

void scripted_set_back_offsets(struct scripted *m, uint64_t by)
{
    pthread_mutex_lock(&m->lock);
    m->offsets_set_back = by;
    unlock_and_wake(m);
}

void scripted_listen(struct scripted *m, bool listen)
{
    pthread_mutex_lock(&m->lock);
    if (!listen && m->listener >= 0) {
        close(m->listener);
        m->listener = -1;
    } else if (listen && m->listener < 0) {
        m->listener = listen_on(&m->port);
        if (m->listener < 0)
            die("the scripted master cannot listen on port %u again: %s", m->port, strerror(errno));
    }
    unlock_and_wake(m);
}
