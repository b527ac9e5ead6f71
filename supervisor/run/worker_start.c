/* What a worker is told at its start, and where its messages go: the FLOWs' calls into the run. */
#include <stdio.h>
#include <string.h>

#include "supervisor/run/run.h"

/* The masters that own slots, as "HOST:PORT HOST:PORT ..."; those that do not fit are left out. */
static void write_masters(const struct topology *t, char *out, size_t out_bytes)
{
    size_t len = 0;
    for (size_t i = 0; i < t->count; i++) {
        if (!t->nodes[i].slots)
            continue; /* it may have left the cluster and not know */
        int n = snprintf(out + len, out_bytes - len, "%s%s:%u", len ? " " : "", t->nodes[i].host,
                         (unsigned)t->nodes[i].port);
        if (n < 0 || (size_t)n >= out_bytes - len) {
            out[len] = '\0';
            return;
        }
        len += (size_t)n;
    }
}

static void describe_start(const struct flow *f, enum start_mode mode, struct message *m)
{
    const struct run *run = f->run;
    m->start.flow = f->number;
    m->start.flow_count = run->flow_count;
    m->start.mode = mode;
    m->start.session = f->session;
    if (!f->full) {
        m->start.first_lsn = f->begin.lsn;
        m->start.asked_lsn = f->asked_lsn;
        m->start.check = f->begin.check;
        m->start.in_blobs = f->begin.lsn && run->session.sync_after_partial;
    }
    snprintf(m->start.last_master_id, sizeof m->start.last_master_id, "%s", run->last_master_id);
    m->start.received_base = f->received_base_bytes;
    m->start.source_release = run->greeting.release;
    snprintf(m->start.token, sizeof m->start.token, "%s", f->token);
    snprintf(m->start.master_id, sizeof m->start.master_id, "%s", run->greeting.master_id);
    snprintf(m->start.sync_id, sizeof m->start.sync_id, "%s", run->greeting.sync_id);
    write_masters(&run->target_nodes, m->start.masters, sizeof m->start.masters);
    if (f->begin.lsn && mode == START_PARTIAL)
        run_put_question(run, f, &m->start.asked);
    struct settings settings = *run->settings; /* with the address at hand */
    if (run->source_uri.host)
        settings.source = run->source_uri;
    settings_encode(&settings, &m->start.settings);
}

void run_flow_context_init(struct run *run)
{
    run->flow_context = (struct flow_context){.base = run->base,
                                              .worker_path = run->worker_path,
                                              .directory = run->dir.path,
                                              .describe_start = describe_start,
                                              .on_message = run_on_message,
                                              .on_log = run_on_worker_log};
}
