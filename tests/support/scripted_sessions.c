/* What the scripted master plays: sessions from recordings, options. */
#include "tests/support/scripted_dragonfly.h"

#include <stdlib.h>

struct scripted_session scripted_session_new(size_t flow_count)
{
    struct scripted_session s = {.flow_count = flow_count, .flows = x_calloc(flow_count, sizeof *s.flows)};
    for (size_t i = 0; i < flow_count; i++) {
        s.flows[i].close_at = NEVER;
        snprintf(s.flows[i].token, sizeof s.flows[i].token, "%040zx", 0xe0f70ce4u + i);
    }
    return s;
}

struct scripted_session scripted_session_of(const struct recording *r)
{
    struct scripted_session s = scripted_session_new(r->flow_count);
    for (size_t i = 0; i < r->flow_count; i++) {
        const struct recorded_flow *from = &r->flows[i];
        struct scripted_flow *to = &s.flows[i];
        memcpy(to->token, from->token, sizeof to->token);
        buf_put(&to->bytes, from->bytes.data, from->bytes.len);
        to->at_startstable = from->at_startstable;
        to->fullsync_end = from->fullsync_end;
        to->journal_at = from->journal_at;
        to->first_lsn = from->first_lsn;
    }
    return s;
}

void scripted_session_free(struct scripted_session *s)
{
    for (size_t i = 0; i < s->flow_count; i++)
        buf_free(&s->flows[i].bytes);
    free(s->flows);
    *s = (struct scripted_session){0};
}

void scripted_options_init(struct scripted_options *o)
{
    *o = (struct scripted_options){
        .version = 5,
        .lineage = true,
        .release = "1.40.1",
        .dflycluster = "-ERR Cluster is disabled. Use --cluster_mode=yes to enable.",
    };
    snprintf(o->master_id, sizeof o->master_id, "%040x", 0xd0a60f17u);
}

void scripted_options_add(struct scripted_options *o, struct scripted_session session)
{
    o->sessions = x_realloc(o->sessions, (o->session_count + 1) * sizeof *o->sessions);
    o->sessions[o->session_count++] = session;
}

void scripted_options_recording(struct scripted_options *o, const char *dir)
{
    struct recording r;
    recording_load(&r, dir);
    scripted_options_init(o);
    memcpy(o->master_id, r.master_id, sizeof o->master_id);
    o->version = r.version;
    o->lineage = r.lineage;
    scripted_options_add(o, scripted_session_of(&r));
    recording_free(&r);
}
