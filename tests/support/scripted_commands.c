/* The scripted master's replies: the handshake and the phases of a sync session.
 *
 *   state        command       from there, when
 *   PREPARATION  DFLY FLOW     stays; each FLOW once
 *   PREPARATION  DFLY SYNC     FULL: all FLOWs connected, none PARTIAL
 *   PREPARATION  STARTSTABLE   STABLE: all FLOWs connected, all PARTIAL
 *   FULL         STARTSTABLE   STABLE: every FLOW's FULLSYNC_END was sent
 *
 * Everything else is a violation; some of it a real server answers with an error, some of it crashes it. */
#include "tests/support/scripted_internal.h"
#include "tests/support/stream_writer.h"

#include <stdarg.h>
#include <stdlib.h>
#include <strings.h>

static void reply(struct connection *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void reply(struct connection *c, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = NULL;
    if (vasprintf(&text, format, args) < 0)
        abort();
    va_end(args);
    buf_put(&c->out, text, strlen(text));
    buf_put(&c->out, "\r\n", 2);
    free(text);
}

static const char *word(const redisReply *command, size_t i)
{
    return i < command->elements && command->element[i]->str ? command->element[i]->str : "";
}

static bool is(const redisReply *command, size_t i, const char *text)
{
    return strcasecmp(word(command, i), text) == 0;
}

static void on_auth(struct scripted *m, struct connection *c, const redisReply *command)
{
    const struct scripted_options *o = &m->options;
    const char *user = command->elements > 2 ? word(command, 1) : "default";
    const char *password = word(command, command->elements - 1);
    if (!o->password) {
        reply(c, "-ERR AUTH <password> called without any password configured for the default user. "
                 "Are you sure your configuration is correct?");
    } else if (strcmp(user, o->user ? o->user : "default") == 0 && strcmp(password, o->password) == 0) {
        c->authenticated = true;
        reply(c, "+OK");
    } else {
        reply(c, "-WRONGPASS invalid username-password pair or user is disabled.");
    }
}

static void greet(struct scripted *m, struct connection *c)
{
    const struct scripted_options *o = &m->options;
    if (o->kind == SCRIPTED_REDIS) {
        reply(c, "+OK");
        return;
    }
    if (!c->pinged || !c->port_told)
        scripted_violate(m, c, "REPLCONF capa dragonfly before PING and REPLCONF listening-port");
    size_t index = m->sync_count < o->session_count ? m->sync_count : o->session_count - 1;
    struct sync *s = x_calloc(1, sizeof *s);
    s->number = (unsigned)m->sync_count + 1;
    s->script = &o->sessions[index];
    s->flows = x_calloc(s->script->flow_count, sizeof *s->flows);
    s->control = c;
    m->syncs = x_realloc(m->syncs, (m->sync_count + 1) * sizeof(struct sync *));
    m->syncs[m->sync_count++] = s;
    c->sync = s;
    reply(c, "*%d\r\n+%s\r\n+SYNC%u\r\n:%zu", 3 + (o->version > 0) + o->lineage, o->master_id, s->number,
          s->script->flow_count);
    if (o->version > 0)
        reply(c, ":%d", o->version);
    if (o->lineage)
        reply(c, "+%s", o->master_id);
}

static void on_client_version(struct scripted *m, struct connection *c, const char *text)
{
    int expected = m->options.version < 5 ? m->options.version : 5;
    if (!c->sync)
        scripted_violate(m, c, "REPLCONF CLIENT-VERSION before REPLCONF capa dragonfly");
    else if (strtol(text, NULL, 10) != expected)
        scripted_violate(m, c, "CLIENT-VERSION %s to a master of version %d", text, m->options.version);
    else
        c->sync->version_told = true;
    reply(c, "+OK");
}

static void on_replconf(struct scripted *m, struct connection *c, const redisReply *command)
{
    if (m->options.kind == SCRIPTED_REPLICA) {
        reply(c, "-ERR Replicating a replica is unsupported");
    } else if (is(command, 1, "capa") && is(command, 2, "dragonfly") && command->elements == 3) {
        greet(m, c);
    } else if (is(command, 1, "client-id")) {
        if (!c->sync && m->options.kind == SCRIPTED_DRAGONFLY)
            scripted_violate(m, c, "REPLCONF CLIENT-ID before REPLCONF capa dragonfly");
        if (m->options.refuse_client_id)
            reply(c, "-ERR syntax error");
        else
            reply(c, "+OK");
    } else if (is(command, 1, "client-version")) {
        on_client_version(m, c, word(command, 2));
    } else if (is(command, 1, "ack")) {
        scripted_violate(m, c, "REPLCONF ACK on a connection that is no FLOW");
    } else {
        c->port_told |= is(command, 1, "listening-port");
        reply(c, "+OK");
    }
}

static struct sync *find_sync(struct scripted *m, const char *id)
{
    if (strncmp(id, "SYNC", 4) != 0)
        return NULL;
    unsigned long number = strtoul(id + 4, NULL, 10);
    return number >= 1 && number <= m->sync_count ? m->syncs[number - 1] : NULL;
}

/* Where a PARTIAL from this LSN begins; NEVER when the journal here does not have it. */
static uint64_t journal_offset(const struct scripted_flow *f, uint64_t lsn)
{
    struct journal_reader r = {.bytes = slice_of(f->bytes.data + f->journal_at, f->bytes.len - f->journal_at),
                               .next_lsn = f->first_lsn};
    struct journal_item *item = x_malloc(sizeof *item);
    while (r.next_lsn < lsn && journal_next(&r, item) == 1)
        ;
    free(item);
    return r.next_lsn == lsn ? f->journal_at + r.at : NEVER;
}

/* The LSN asked for: "<lsn>", or "<last master id> <lsn>-<lsn>-…", which counts for one promoted from that. 0: none. */
static uint64_t asked_lsn(const struct scripted *m, const redisReply *command, unsigned long flow)
{
    if (command->elements < 7)
        return command->elements > 5 ? strtoull(word(command, 5), NULL, 10) : 0;
    if (strcmp(word(command, 5), m->options.promoted_from) != 0)
        return 0;
    const char *at = word(command, 6);
    while (flow-- && at)
        at = strchr(at, '-') ? strchr(at, '-') + 1 : NULL;
    return at ? strtoull(at, NULL, 10) : 0;
}

static size_t lsns_asked(const char *vector)
{
    size_t n = 1;
    for (; *vector; vector++)
        n += *vector == '-';
    return n;
}

/* FULL or PARTIAL, and where its bytes begin. */
static bool decide_partial(const struct scripted_flow *f, uint64_t lsn, uint64_t *begin)
{
    bool asked = lsn != 0;
    *begin = 0;
    if (f->reply == REPLY_FULL || (f->reply == REPLY_AUTO && !asked))
        return false;
    uint64_t at = asked && lsn < f->ring_lsn ? NEVER : asked ? journal_offset(f, lsn) : f->journal_at;
    if (at == NEVER && f->reply == REPLY_AUTO)
        return false;
    *begin = at == NEVER ? f->journal_at : at;
    return true;
}

/* The journal from `begin` on, as a snapshot without keys; what is appended later follows as itself. */
static void put_blobs(struct scripted_flow *f, struct flow_state *state)
{
    static const uint8_t zero[8];
    uint64_t lsn = scripted_flow_end_lsn(f);
    struct journal_reader r = {.bytes = buf_slice(&f->bytes), .at = (size_t)state->begin};
    struct journal_item *item = x_malloc(sizeof *item);
    size_t at = r.at;
    buf_put(&state->blobs, "REDIS0009", 9);
    for (; journal_next(&r, item) == 1; at = r.at) {
        if (item->kind == JOURNAL_LSN)
            continue;
        buf_put_u8(&state->blobs, 210);
        write_packed(&state->blobs, 1);
        write_string(&state->blobs, slice_of(f->bytes.data + at, r.at - at));
    }
    free(item);
    buf_put_u8(&state->blobs, 200);
    buf_put(&state->blobs, zero, sizeof zero);
    state->blobs_at_startstable = state->blobs.len;
    buf_put_u8(&state->blobs, 211);
    for (int i = 0; i < 8; i++)
        buf_put_u8(&state->blobs, (uint8_t)(lsn >> 8 * i));
    buf_put_u8(&state->blobs, 255);
    buf_put(&state->blobs, zero, sizeof zero);
    buf_put(&state->blobs, f->token, 40);
    state->sent = at;
}

static void on_flow(struct scripted *m, struct connection *c, const redisReply *command)
{
    struct sync *s = find_sync(m, word(command, 3));
    unsigned long flow = strtoul(word(command, 4), NULL, 10);
    if (strcmp(word(command, 2), m->options.master_id) != 0) {
        scripted_violate(m, c, "DFLY FLOW for master %s, but this is %s", word(command, 2),
                         m->options.master_id);
    } else if (!s) {
        scripted_violate(m, c, "DFLY FLOW for the unknown session %s", word(command, 3));
    } else if (s->state == SYNC_CANCELLED) {
        reply(c, "-ERR syncid not found");
    } else if (s->state != SYNC_PREPARATION || flow >= s->script->flow_count || s->flows[flow].asked) {
        scripted_violate(m, c, "DFLY FLOW %lu twice, out of range, or after the session's begin", flow);
    } else if (!s->version_told && m->options.version > 0) {
        scripted_violate(m, c, "DFLY FLOW before REPLCONF CLIENT-VERSION");
    } else if (command->elements == 7 && lsns_asked(word(command, 6)) != s->script->flow_count) {
        scripted_violate(m, c, "DFLY FLOW with %zu LSNs for %zu FLOWs", lsns_asked(word(command, 6)),
                         s->script->flow_count);
    } else {
        struct scripted_flow *f = &s->script->flows[flow];
        struct flow_state *state = &s->flows[flow];
        state->asked = true;
        if (f->reply == REPLY_ERROR) {
            reply(c, "-ERR %s", f->error ? f->error : "invalid state");
            return;
        }
        c->close_after = f->reply == REPLY_CLOSE;
        if (f->reply == REPLY_CLOSE || f->reply == REPLY_SILENCE)
            return;
        c->sync = s;
        c->flow = (int)flow;
        state->connection = c;
        uint64_t lsn = asked_lsn(m, command, flow);
        state->partial = decide_partial(f, lsn, &state->begin);
        state->sent = state->begin;
        if (state->partial && m->options.sync_after_partial)
            put_blobs(&s->script->flows[flow], state);
        state->acked = state->partial ? lsn : 0;
        if (!state->partial && !f->fullsync_end)
            scripted_violate(m, c,
                             "DFLY FLOW without an LSN that this journal has, and there is no snapshot here");
        state->counted = (struct journal_reader){.at = f->journal_at, .next_lsn = f->first_lsn};
        reply(c, "*2\r\n+%s\r\n+%s", state->partial ? "PARTIAL" : "FULL", f->token);
    }
}

static bool all_connected(const struct sync *s, size_t *partial)
{
    bool all = true;
    *partial = 0;
    for (size_t i = 0; i < s->script->flow_count; i++) {
        all &= s->flows[i].connection != NULL;
        *partial += s->flows[i].partial;
    }
    return all;
}

static void on_sync(struct scripted *m, struct connection *c, struct sync *s)
{
    size_t partial;
    bool all = all_connected(s, &partial);
    if (s->state == SYNC_CANCELLED || s->script->refuse_sync)
        reply(c, "-ERR invalid state");
    else if (c != s->control)
        scripted_violate(m, c, "DFLY SYNC on another connection than the session's control connection");
    else if (s->state != SYNC_PREPARATION)
        scripted_violate(m, c, "DFLY SYNC twice, or after STARTSTABLE");
    else if (partial && !(m->options.sync_after_partial && partial == s->script->flow_count))
        scripted_violate(m, c, "DFLY SYNC although %zu FLOWs were answered PARTIAL", partial);
    else if (!all)
        scripted_violate(m, c, "DFLY SYNC before every FLOW is connected");
    else {
        s->state = SYNC_FULL;
        reply(c, "+OK");
    }
}

static void on_startstable(struct scripted *m, struct connection *c, struct sync *s)
{
    size_t partial;
    bool all = all_connected(s, &partial);
    bool lone = s->state == SYNC_PREPARATION && m->options.sync_after_partial;
    if (s->state == SYNC_CANCELLED || s->script->refuse_startstable ||
        (lone && partial == s->script->flow_count)) {
        reply(c, "-ERR invalid state");
        return;
    }
    if (c != s->control)
        scripted_violate(m, c,
                         "DFLY STARTSTABLE on another connection than the session's control connection");
    else if (s->state == SYNC_STABLE)
        scripted_violate(m, c, "DFLY STARTSTABLE twice");
    else if (!all)
        scripted_violate(m, c, "DFLY STARTSTABLE before every FLOW is connected");
    else if (partial && partial < s->script->flow_count)
        scripted_violate(m, c, "DFLY STARTSTABLE after a mix of FULL and PARTIAL: crashes the master");
    else if (s->state == SYNC_PREPARATION && !partial)
        scripted_violate(m, c, "DFLY STARTSTABLE on FULL FLOWs without DFLY SYNC: crashes the master");
    for (size_t i = 0; i < s->script->flow_count && !partial; i++)
        if (s->flows[i].sent < s->script->flows[i].fullsync_end)
            scripted_violate(
                m, c, "DFLY STARTSTABLE before FLOW %zu had its FULLSYNC_END (%llu of %llu bytes sent)", i,
                (unsigned long long)s->flows[i].sent, (unsigned long long)s->script->flows[i].fullsync_end);
    for (size_t i = 0; i < s->script->flow_count && partial; i++)
        if (s->flows[i].blobs_sent < s->flows[i].blobs_at_startstable)
            scripted_violate(m, c, "DFLY STARTSTABLE before FLOW %zu had its FULLSYNC_END", i);
    if (m->stable_unanswered)
        return;
    s->state = SYNC_STABLE;
    reply(c, "+OK");
}

static void on_replicaoffset(struct scripted *m, struct connection *c)
{
    struct sync *s = scripted_newest(m);
    struct scripted_session *script = s ? s->script : &m->options.sessions[0];
    if (m->offsets_error) {
        reply(c, "-%s", m->offsets_error);
        return;
    }
    reply(c, "*%zu", script->flow_count);
    for (size_t i = 0; i < script->flow_count; i++)
        reply(c, ":%llu",
              (unsigned long long)(scripted_flow_end_lsn(&script->flows[i]) - m->offsets_set_back));
}

static void on_dfly(struct scripted *m, struct connection *c, const redisReply *command)
{
    struct sync *s = find_sync(m, word(command, 2));
    if (is(command, 1, "flow") && command->elements >= 5 && command->elements <= 7)
        on_flow(m, c, command);
    else if (is(command, 1, "replicaoffset"))
        on_replicaoffset(m, c);
    else if (!s)
        scripted_violate(m, c, "DFLY %s for the unknown session %s", word(command, 1), word(command, 2));
    else if (is(command, 1, "sync"))
        on_sync(m, c, s);
    else if (is(command, 1, "startstable"))
        on_startstable(m, c, s);
    else
        reply(c, "-ERR syntax error");
}

static void on_info(struct scripted *m, struct connection *c)
{
    struct buf text = {0};
    if (m->options.kind == SCRIPTED_REDIS)
        buf_printf(&text, "# Server\r\nredis_version:7.0.15\r\n");
    else
        buf_printf(&text, "# Server\r\nredis_version:7.4.0\r\ndragonfly_version:df-v%s\r\n",
                   m->options.release ? m->options.release : "1.40.1");
    buf_printf(&text,
               "# Replication\r\nrole:%s\r\nmaster_replid:%s\r\n# "
               "Commandstats\r\ncmdstat_ping:calls=3,usec=9,usec_per_call=3\r\n"
               "cmdstat_replicaof:calls=%u,usec=1,usec_per_call=1\r\n# Keyspace\r\n%s%s",
               m->options.kind == SCRIPTED_REPLICA ? "replica" : "master", m->options.master_id,
               m->role_changes, m->options.keyspace ? m->options.keyspace : "",
               m->options.info ? m->options.info : "");
    reply(c, "$%zu\r\n%.*s", text.len, (int)text.len, (const char *)text.data);
    buf_free(&text);
}

static void on_config(struct scripted *m, struct connection *c, const redisReply *command)
{
    const char *databases = m->options.config_databases;
    if (is(command, 1, "get") && is(command, 2, "databases") && databases)
        reply(c, "*2\r\n$9\r\ndatabases\r\n$%zu\r\n%s", strlen(databases), databases);
    else
        reply(c, "-ERR unknown command `CONFIG`");
}

redisReply *scripted_data(struct scripted *m, uint32_t db, size_t argc, const char **argv, const size_t *lens,
                          uint32_t deadline_ms)
{
    const struct timeval patience = {.tv_sec = deadline_ms / 1000, .tv_usec = deadline_ms % 1000 * 1000};
    uint64_t end_ms = clock_monotonic_ms() + deadline_ms;
    /* Its connection may be killed: what changes data is only asked for where none is. */
    do {
        if (!m->data)
            m->data = redisConnectWithTimeout("127.0.0.1", m->options.data_port, patience);
        redisReply *r = NULL;
        if (m->data && !m->data->err) {
            redisSetTimeout(m->data, patience);
            freeReplyObject(redisCommand(m->data, "SELECT %u", db));
            r = m->data->err ? NULL : redisCommandArgv(m->data, (int)argc, argv, lens);
        }
        if (r)
            return r;
        redisFree(m->data);
        m->data = NULL;
    } while (clock_monotonic_ms() < end_ms);
    return NULL;
}

static bool is_about_data(const redisReply *command)
{
    static const char *const names[] = {"dump",  "pexpiretime",  "pttl",   "memory",   "exists", "scan",
                                        "watch", "unwatch",      "type",   "strlen",   "llen",   "scard",
                                        "hlen",  "zcard",        "lrange", "getrange", "sscan",  "hscan",
                                        "zscan", "hpexpiretime", NULL};
    for (const char *const *name = names; *name; name++)
        if (is(command, 0, *name))
            return true;
    return false;
}

static void put_answer(struct buf *out, const redisReply *r)
{
    if (r->type == REDIS_REPLY_INTEGER)
        buf_printf(out, ":%lld\r\n", r->integer);
    else if (r->type == REDIS_REPLY_NIL)
        buf_printf(out, "$-1\r\n");
    else if (r->type == REDIS_REPLY_ERROR)
        buf_printf(out, "-%s\r\n", r->str);
    else if (r->type == REDIS_REPLY_ARRAY) {
        buf_printf(out, "*%zu\r\n", r->elements);
        for (size_t i = 0; i < r->elements; i++)
            put_answer(out, r->element[i]);
    } else {
        buf_printf(out, "$%zu\r\n", r->len);
        buf_put(out, r->str, r->len);
        buf_put(out, "\r\n", 2);
    }
}

/* Where its data is the target, a test may have stopped that, and waits for this very lock before it lets it go
 * on: who asked loses the connection then, and asks again. */
enum { DATA_MS = 2000, LARGE_MS = 10000 };

/* Of a large value, which a loaded machine takes its time for. */
static bool is_piece(const redisReply *command)
{
    static const char *const names[] = {"getrange", "lrange",       "sscan", "hscan",
                                        "zscan",    "hpexpiretime", "watch", NULL};
    for (const char *const *name = names; *name; name++)
        if (is(command, 0, *name))
            return true;
    return false;
}

static void on_data(struct scripted *m, struct connection *c, const redisReply *command)
{
    size_t argc = command->elements;
    const char **argv = x_calloc(argc, sizeof *argv);
    size_t *lens = x_calloc(argc, sizeof *lens);
    for (size_t i = 0; i < argc; i++) {
        argv[i] = command->element[i]->str;
        lens[i] = command->element[i]->len;
    }
    redisReply *r = scripted_data(m, c->db, argc, argv, lens, is_piece(command) ? LARGE_MS : DATA_MS);
    if (r)
        put_answer(&c->out, r);
    else
        c->close_after = true;
    freeReplyObject(r);
    free(argv);
    free(lens);
}

/* A MULTI of what only reads: EXEC of the data tells whether what is watched was written. */
static void on_multi(struct scripted *m, struct connection *c, const redisReply *command)
{
    static const char *const words[] = {"multi", "ping", "exec"};
    redisReply *r = NULL;
    bool executes = is(command, 0, "exec");
    if (!executes)
        reply(c, c->in_multi ? "+QUEUED" : "+OK");
    c->in_multi = !executes;
    for (size_t i = 0; executes && i < 3; i++) {
        freeReplyObject(r);
        r = m->data && !m->data->err ? redisCommand(m->data, words[i]) : NULL;
    }
    if (executes && r)
        put_answer(&c->out, r);
    else if (executes)
        c->close_after = true;
    freeReplyObject(r);
}

/* On a FLOW, nothing but ACKs: no reply, and never more than was sent, never less than before. */
static void on_ack(struct scripted *m, struct connection *c, const redisReply *command)
{
    struct flow_state *f = &c->sync->flows[c->flow];
    const struct scripted_flow *script = &c->sync->script->flows[c->flow];
    if (!is(command, 0, "replconf") || !is(command, 1, "ack") || command->elements != 3) {
        scripted_violate(m, c, "%s %s on a FLOW: only REPLCONF ACK may come there", word(command, 0),
                         word(command, 1));
        return;
    }
    if (m->options.kind == SCRIPTED_REPLICA) {
        reply(c, "-ERR Replicating a replica is unsupported");
        return;
    }
    uint64_t lsn = strtoull(word(command, 2), NULL, 10);
    if (lsn < f->acked)
        scripted_violate(m, c, "ACK goes back from %llu to %llu", (unsigned long long)f->acked,
                         (unsigned long long)lsn);
    f->acked = lsn;
    if (m->options.trust_acks || c->sync->state != SYNC_STABLE || f->sent < script->journal_at)
        return;
    struct journal_item *item = x_malloc(sizeof *item);
    f->counted.bytes = slice_of(script->bytes.data, (size_t)f->sent);
    while (journal_next(&f->counted, item) == 1)
        ;
    free(item);
    /* What an earlier session sent and was acknowledged then is not sent again. */
    for (size_t i = 0; i + 1 < m->sync_count; i++)
        if ((size_t)c->flow < m->syncs[i]->script->flow_count && m->syncs[i]->flows[c->flow].acked >= lsn)
            return;
    if (lsn > f->counted.next_lsn)
        scripted_violate(m, c, "ACK %llu, but only entries before %llu were sent", (unsigned long long)lsn,
                         (unsigned long long)f->counted.next_lsn);
}

static void note(struct scripted *m, const struct connection *c, const redisReply *command)
{
    struct buf text = {0};
    for (size_t i = 0; i < command->elements; i++)
        buf_printf(&text, "%s%s", i ? " " : "", is(command, 0, "auth") && i ? "***" : word(command, i));
    buf_put_u8(&text, 0);
    scripted_event(m, c, "%s", (const char *)text.data);
    buf_free(&text);
}

void scripted_command_received(struct scripted *m, struct connection *c, const redisReply *command)
{
    if (command->type != REDIS_REPLY_ARRAY || !command->elements) {
        scripted_violate(m, c, "not a command");
        return;
    }
    note(m, c, command);
    if (c->flow >= 0)
        on_ack(m, c, command);
    else if (is(command, 0, "auth"))
        on_auth(m, c, command);
    else if (m->options.password && !c->authenticated)
        reply(c, "-NOAUTH Authentication required.");
    else if (is(command, 0, "ping")) {
        c->pinged = true;
        reply(c, "+PONG");
    } else if (is(command, 0, "replconf"))
        on_replconf(m, c, command);
    else if (is(command, 0, "dfly") && m->options.kind != SCRIPTED_REDIS)
        on_dfly(m, c, command);
    else if (is(command, 0, "info"))
        on_info(m, c);
    else if (is(command, 0, "config"))
        on_config(m, c, command);
    else if (is(command, 0, "dflycluster"))
        reply(c, "%s", m->options.dflycluster);
    else if (m->options.data_port && (c->in_multi || is(command, 0, "multi")))
        on_multi(m, c, command);
    else if (m->options.data_port && is_about_data(command))
        on_data(m, c, command);
    else if (is(command, 0, "client") || is(command, 0, "select")) {
        if (is(command, 0, "select"))
            c->db = (uint32_t)strtoul(word(command, 1), NULL, 10);
        reply(c, "+OK");
    } else
        reply(c, "-ERR unknown command `%s`", word(command, 0));
}
