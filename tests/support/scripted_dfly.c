/* The scripted master's DFLY commands: the phases of a sync session.
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

#include <stdlib.h>

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
        return command->elements > 5 ? strtoull(scripted_word(command, 5), NULL, 10) : 0;
    if (strcmp(scripted_word(command, 5), m->options.promoted_from) != 0)
        return 0;
    const char *at = scripted_word(command, 6);
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
    struct sync *s = find_sync(m, scripted_word(command, 3));
    unsigned long flow = strtoul(scripted_word(command, 4), NULL, 10);
    if (strcmp(scripted_word(command, 2), m->options.master_id) != 0) {
        scripted_violate(m, c, "DFLY FLOW for master %s, but this is %s", scripted_word(command, 2),
                         m->options.master_id);
    } else if (!s) {
        scripted_violate(m, c, "DFLY FLOW for the unknown session %s", scripted_word(command, 3));
    } else if (s->state == SYNC_CANCELLED) {
        scripted_reply(c, "-ERR syncid not found");
    } else if (s->state != SYNC_PREPARATION || flow >= s->script->flow_count || s->flows[flow].asked) {
        scripted_violate(m, c, "DFLY FLOW %lu twice, out of range, or after the session's begin", flow);
    } else if (!s->version_told && m->options.version > 0) {
        scripted_violate(m, c, "DFLY FLOW before REPLCONF CLIENT-VERSION");
    } else if (command->elements == 7 && lsns_asked(scripted_word(command, 6)) != s->script->flow_count) {
        scripted_violate(m, c, "DFLY FLOW with %zu LSNs for %zu FLOWs", lsns_asked(scripted_word(command, 6)),
                         s->script->flow_count);
    } else {
        struct scripted_flow *f = &s->script->flows[flow];
        struct flow_state *state = &s->flows[flow];
        state->asked = true;
        if (f->reply == REPLY_ERROR) {
            scripted_reply(c, "-ERR %s", f->error ? f->error : "invalid state");
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
        scripted_reply(c, "*2\r\n+%s\r\n+%s", state->partial ? "PARTIAL" : "FULL", f->token);
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
    m->omits += m->options.omits;
    if (s->state == SYNC_CANCELLED || s->script->refuse_sync)
        scripted_reply(c, "-ERR invalid state");
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
        scripted_reply(c, "+OK");
    }
}

static void on_startstable(struct scripted *m, struct connection *c, struct sync *s)
{
    size_t partial;
    bool all = all_connected(s, &partial);
    bool lone = s->state == SYNC_PREPARATION && m->options.sync_after_partial;
    if (s->state == SYNC_CANCELLED || s->script->refuse_startstable ||
        (lone && partial == s->script->flow_count)) {
        scripted_reply(c, "-ERR invalid state");
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
    scripted_reply(c, "+OK");
}

static void on_replicaoffset(struct scripted *m, struct connection *c)
{
    struct sync *s = scripted_newest(m);
    struct scripted_session *script = s ? s->script : &m->options.sessions[0];
    if (m->offsets_error) {
        scripted_reply(c, "-%s", m->offsets_error);
        return;
    }
    scripted_reply(c, "*%zu", script->flow_count);
    for (size_t i = 0; i < script->flow_count; i++)
        scripted_reply(c, ":%llu",
                       (unsigned long long)(scripted_flow_end_lsn(&script->flows[i]) - m->offsets_set_back));
}

void scripted_dfly(struct scripted *m, struct connection *c, const redisReply *command)
{
    struct sync *s = find_sync(m, scripted_word(command, 2));
    if (scripted_is(command, 1, "flow") && command->elements >= 5 && command->elements <= 7)
        on_flow(m, c, command);
    else if (scripted_is(command, 1, "replicaoffset"))
        on_replicaoffset(m, c);
    else if (!s)
        scripted_violate(m, c, "DFLY %s for the unknown session %s", scripted_word(command, 1),
                         scripted_word(command, 2));
    else if (scripted_is(command, 1, "sync"))
        on_sync(m, c, s);
    else if (scripted_is(command, 1, "startstable"))
        on_startstable(m, c, s);
    else
        scripted_reply(c, "-ERR syntax error");
}
