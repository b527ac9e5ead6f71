/* The scripted master's replies: the greeting, ACKs, what it is, and whose part every other command is. */
#include "tests/support/scripted_internal.h"

#include <stdarg.h>
#include <stdlib.h>
#include <strings.h>

enum { KEYSPACE_MS = 2000 };

void scripted_reply(struct connection *c, const char *format, ...)
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

const char *scripted_word(const redisReply *command, size_t i)
{
    return i < command->elements && command->element[i]->str ? command->element[i]->str : "";
}

bool scripted_is(const redisReply *command, size_t i, const char *text)
{
    return strcasecmp(scripted_word(command, i), text) == 0;
}

static void on_auth(struct scripted *m, struct connection *c, const redisReply *command)
{
    const struct scripted_options *o = &m->options;
    const char *user = command->elements > 2 ? scripted_word(command, 1) : "default";
    const char *password = scripted_word(command, command->elements - 1);
    if (!o->password) {
        scripted_reply(c, "-ERR AUTH <password> called without any password configured for the default user. "
                          "Are you sure your configuration is correct?");
    } else if (strcmp(user, o->user ? o->user : "default") == 0 && strcmp(password, o->password) == 0) {
        c->authenticated = true;
        scripted_reply(c, "+OK");
    } else {
        scripted_reply(c, "-WRONGPASS invalid username-password pair or user is disabled.");
    }
}

static void on_select(const struct scripted *m, struct connection *c, const redisReply *command)
{
    uint32_t db = (uint32_t)strtoul(scripted_word(command, 1), NULL, 10);
    if (db && db == m->options.refuse_database) {
        scripted_reply(c, "-NOPERM User default has no permissions to run the 'select' command");
        return;
    }
    c->db = db;
    scripted_reply(c, "+OK");
}

static void greet(struct scripted *m, struct connection *c)
{
    const struct scripted_options *o = &m->options;
    if (o->kind == SCRIPTED_REDIS) {
        scripted_reply(c, "+OK");
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
    scripted_reply(c, "*%d\r\n+%s\r\n+SYNC%u\r\n:%zu", 3 + (o->version > 0) + o->lineage, o->master_id,
                   s->number, s->script->flow_count);
    if (o->version > 0)
        scripted_reply(c, ":%d", o->version);
    if (o->lineage)
        scripted_reply(c, "+%s", o->master_id);
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
    scripted_reply(c, "+OK");
}

static void on_replconf(struct scripted *m, struct connection *c, const redisReply *command)
{
    if (m->options.kind == SCRIPTED_REPLICA) {
        scripted_reply(c, "-ERR Replicating a replica is unsupported");
    } else if (scripted_is(command, 1, "capa") && scripted_is(command, 2, "dragonfly") &&
               command->elements == 3) {
        greet(m, c);
    } else if (scripted_is(command, 1, "client-id")) {
        if (!c->sync && m->options.kind == SCRIPTED_DRAGONFLY)
            scripted_violate(m, c, "REPLCONF CLIENT-ID before REPLCONF capa dragonfly");
        if (m->options.refuse_client_id)
            scripted_reply(c, "-ERR syntax error");
        else
            scripted_reply(c, "+OK");
    } else if (scripted_is(command, 1, "client-version")) {
        on_client_version(m, c, scripted_word(command, 2));
    } else if (scripted_is(command, 1, "ack")) {
        scripted_violate(m, c, "REPLCONF ACK on a connection that is no FLOW");
    } else {
        c->role_asked |= c->port_told && scripted_is(command, 1, "listening-port");
        c->port_told |= scripted_is(command, 1, "listening-port");
        scripted_reply(c, "+OK");
    }
}

/* Of its data, where the test does not say. */
static redisReply *ask_keyspace(struct scripted *m)
{
    const char *words[] = {"INFO", "keyspace"};
    bool asks = m->options.data_port && !m->options.keyspace;
    redisReply *r = asks ? scripted_data(m, 0, 2, words, NULL, KEYSPACE_MS) : NULL;
    if (r && r->type == REDIS_REPLY_STRING)
        return r;
    freeReplyObject(r);
    return NULL;
}

static void on_info(struct scripted *m, struct connection *c)
{
    struct buf text = {0};
    redisReply *keyspace = ask_keyspace(m);
    if (m->options.kind == SCRIPTED_REDIS)
        buf_printf(&text, "# Server\r\nredis_version:7.0.15\r\n");
    else
        buf_printf(&text, "# Server\r\nredis_version:7.4.0\r\ndragonfly_version:df-v%s\r\n",
                   m->options.release ? m->options.release : "1.40.1");
    buf_printf(&text,
               "# Replication\r\nrole:%s\r\nmaster_replid:%s\r\n# "
               "Commandstats\r\ncmdstat_ping:calls=3,usec=9,usec_per_call=3\r\n"
               "cmdstat_replicaof:calls=%u,usec=1,usec_per_call=1\r\n# "
               "Stats\r\n%s:%llu\r\n%s%s%s",
               m->options.kind == SCRIPTED_REPLICA ? "replica" : "master", m->options.master_id,
               m->role_changes, m->options.omits_untold ? "total_reads_processed" : "total_journal_omits",
               (unsigned long long)m->omits, !keyspace && m->options.keyspace ? "# Keyspace\r\n" : "",
               keyspace              ? keyspace->str
               : m->options.keyspace ? m->options.keyspace
                                     : "",
               m->options.info ? m->options.info : "");
    scripted_reply(c, "$%zu\r\n%.*s", text.len, (int)text.len, (const char *)text.data);
    freeReplyObject(keyspace);
    buf_free(&text);
}

static void on_config(struct scripted *m, struct connection *c, const redisReply *command)
{
    const char *databases = m->options.config_databases;
    if (scripted_is(command, 1, "get") && scripted_is(command, 2, "databases") && databases)
        scripted_reply(c, "*2\r\n$9\r\ndatabases\r\n$%zu\r\n%s", strlen(databases), databases);
    else
        scripted_reply(c, "-ERR unknown command `CONFIG`");
}

/* On a FLOW, nothing but ACKs: no reply, and never more than was sent, never less than before. */
static void on_ack(struct scripted *m, struct connection *c, const redisReply *command)
{
    struct flow_state *f = &c->sync->flows[c->flow];
    const struct scripted_flow *script = &c->sync->script->flows[c->flow];
    if (!scripted_is(command, 0, "replconf") || !scripted_is(command, 1, "ack") || command->elements != 3) {
        scripted_violate(m, c, "%s %s on a FLOW: only REPLCONF ACK may come there", scripted_word(command, 0),
                         scripted_word(command, 1));
        return;
    }
    if (m->options.kind == SCRIPTED_REPLICA) {
        scripted_reply(c, "-ERR Replicating a replica is unsupported");
        return;
    }
    uint64_t lsn = strtoull(scripted_word(command, 2), NULL, 10);
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
        buf_printf(&text, "%s%s", i ? " " : "",
                   scripted_is(command, 0, "auth") && i ? "***" : scripted_word(command, i));
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
    if (!scripted_is_about_data(command) || c->in_multi)
        scripted_answer(m, c);
    if (c->flow >= 0)
        on_ack(m, c, command);
    else if (scripted_is(command, 0, "auth"))
        on_auth(m, c, command);
    else if (m->options.password && !c->authenticated)
        scripted_reply(c, "-NOAUTH Authentication required.");
    else if (scripted_is(command, 0, "ping")) {
        c->pinged = true;
        scripted_reply(c, "+PONG");
    } else if (scripted_is(command, 0, "replconf"))
        on_replconf(m, c, command);
    else if (scripted_is(command, 0, "dfly") && m->options.kind != SCRIPTED_REDIS)
        scripted_dfly(m, c, command);
    else if (scripted_is(command, 0, "info"))
        on_info(m, c);
    else if (scripted_is(command, 0, "config"))
        on_config(m, c, command);
    else if (scripted_is(command, 0, "dflycluster"))
        scripted_reply(c, "%s", m->options.dflycluster);
    else if (scripted_is(command, 0, "cluster") && m->options.cluster_slots)
        scripted_reply(c, "%s", m->options.cluster_slots);
    else if (scripted_is(command, 0, "readwrite") && m->options.readwrite)
        scripted_reply(c, "%s", m->options.readwrite);
    else if (m->options.data_port && (c->in_multi || scripted_is(command, 0, "multi")))
        scripted_on_multi(m, c, command);
    else if (m->options.data_port && scripted_is_about_data(command))
        scripted_on_data(m, c, command);
    else if (m->options.data_port && scripted_is_write(command))
        scripted_on_write(m, c, command);
    else if (scripted_is(command, 0, "client"))
        scripted_on_client(m, c, command);
    else if (scripted_is(command, 0, "select"))
        on_select(m, c, command);
    else
        scripted_reply(c, "-ERR unknown command `%s`", scripted_word(command, 0));
}
