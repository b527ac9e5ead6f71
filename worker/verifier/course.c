/* Connections, and the passes of a verification one after the other. After any trouble all connections are closed and
 * made anew, and the course goes on from its position, as a new process would. */
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "common/base/clock.h"
#include "worker/verifier/verifier_internal.h"

enum { RETRY_MS = 1000, COMPARERS = 4, COMPARERS_CLUSTER = 12 };

static void on_trouble(void *arg, const struct error *error)
{
    struct verifier *v = arg;
    if (v->trouble.class)
        return;
    v->trouble = *error;
    event_active(v->soon, EV_TIMEOUT, 1);
}

/* ---- pipes ---- */

static void on_pipe_ready(void *arg)
{
    struct verifier *v = arg;
    v->pipes_ready++;
    event_active(v->soon, EV_TIMEOUT, 1);
}

static void on_answer(void *arg, void *owner, uint32_t tag, const struct pipe_answer *a)
{
    (void)arg;
    page_answer(owner, tag, a);
}

static bool open_pipes(struct verifier *v, struct error *error)
{
    const struct pipe_callbacks on = {v, on_pipe_ready, on_answer, on_trouble};
    const struct servers *s = v->servers;
    v->pipes_ready = 0;
    v->targets = x_calloc(s->master_count, sizeof(struct pipe *));
    v->source = pipe_open(v->base, &v->settings.source, &v->settings, "source", v->client_name,
                          PAGE_VALUE_MAX_BYTES, &on, error);
    for (size_t i = 0; v->source && i < s->master_count; i++) {
        v->targets[i] = pipe_open(v->base, &s->masters[i].uri, &v->settings, "target", v->client_name,
                                  PAGE_VALUE_MAX_BYTES, &on, error);
        if (!v->targets[i])
            return false;
    }
    return v->source != NULL;
}

/* ---- legs ---- */

static uint32_t source_db_of(const struct settings *s, uint32_t target_db)
{
    for (size_t i = 0; i < s->db_map_count; i++)
        if (s->db_maps[i].to == target_db)
            return s->db_maps[i].from;
    return target_db;
}

static bool is_copied_to(const struct settings *s, uint32_t target_db)
{
    uint32_t to;
    return settings_db_target(s, source_db_of(s, target_db), &to) && to == target_db;
}

static void add_leg(struct verifier *v, enum verify_phase phase, size_t master, uint32_t source_db,
                    uint32_t target_db)
{
    v->legs = x_realloc(v->legs, (v->leg_count + 1) * sizeof *v->legs);
    v->legs[v->leg_count++] = (struct leg){phase, master, source_db, target_db};
}

static void add_legs_of_source(struct verifier *v, enum verify_phase phase)
{
    const struct keyspace *k = &v->servers->source;
    for (size_t i = 0; i < k->count; i++) {
        uint32_t to;
        if (settings_db_target(&v->settings, k->dbs[i], &to) &&
            !capabilities_lack_database(&v->servers->target, to))
            add_leg(v, phase, 0, k->dbs[i], to);
    }
}

static void plan_legs(struct verifier *v)
{
    struct servers *s = v->servers;
    v->leg = v->leg_count = 0;
    for (size_t m = 0; m < s->master_count && !v->source_only; m++)
        for (size_t i = 0; i < s->masters[m].keyspace.count; i++) {
            uint32_t db = s->masters[m].keyspace.dbs[i];
            if (is_copied_to(&v->settings, db))
                add_leg(v, VERIFY_TARGET_KEYS, m, source_db_of(&v->settings, db), db);
        }
    if (s->lists_large)
        add_legs_of_source(v, VERIFY_LARGE_KEYS);
    add_legs_of_source(v, VERIFY_SOURCE_KEYS);
}

/* Whether the leg is before the position. */
static bool leg_is_past(const struct verifier *v, const struct leg *leg)
{
    const struct course_position *at = &v->position;
    if (leg->phase != at->phase)
        return leg->phase < at->phase;
    int node = leg->phase == VERIFY_TARGET_KEYS ? strcmp(v->servers->masters[leg->master].id, at->node) : 0;
    return node ? node < 0 : leg->target_db < at->db;
}

static bool leg_is_position(const struct verifier *v, const struct leg *leg)
{
    const struct course_position *at = &v->position;
    return leg->phase == at->phase && leg->target_db == at->db &&
           (leg->phase != VERIFY_TARGET_KEYS || strcmp(v->servers->masters[leg->master].id, at->node) == 0);
}

static void note_position(struct verifier *v)
{
    if (!v->pass || v->leg >= v->leg_count)
        return;
    const struct leg *leg = &v->legs[v->leg];
    struct course_position *at = &v->position;
    at->phase = leg->phase;
    at->db = leg->target_db;
    snprintf(at->node, sizeof at->node, "%s",
             leg->phase == VERIFY_TARGET_KEYS ? v->servers->masters[leg->master].id : "");
    snprintf(at->cursor, sizeof at->cursor, "%s", pass_cursor(v->pass));
}

/* ---- passes ---- */

static const struct leg *leg_of(const struct verifier *v)
{
    return &v->legs[v->leg];
}

static struct pipe *pipe_of_key(void *arg, struct slice key)
{
    struct verifier *v = arg;
    return v->targets[servers_master_of(v->servers, key)];
}

static void on_result(void *arg, const struct page_result *r)
{
    struct verifier *v = arg;
    outcome_of_page(v, leg_of(v), r);
}

static bool is_wanted(void *arg, struct slice name, bool *large)
{
    struct verifier *v = arg;
    return outcome_wanted(v, leg_of(v), name, large);
}

static bool has_room(void *arg)
{
    struct verifier *v = arg;
    return !doubts_are_enough(v->doubts);
}

static void on_scanned(void *arg, uint64_t names)
{
    struct verifier *v = arg;
    v->report.scanned += names;
}

static void on_leg_over(void *arg)
{
    struct verifier *v = arg;
    v->leg_over = true;
    event_active(v->soon, EV_TIMEOUT, 1);
}

static void begin_leg(struct verifier *v)
{
    const struct leg *leg = leg_of(v);
    struct servers *s = v->servers;
    bool of_target = leg->phase == VERIFY_TARGET_KEYS;
    const char *cursor = leg_is_position(v, leg) ? v->position.cursor : "0";
    struct error error;
    struct pass_config config = {.base = v->base,
                                 .settings = &v->settings,
                                 .uri = of_target ? &s->masters[leg->master].uri : &v->settings.source,
                                 .client_name = v->client_name,
                                 .source_db = leg->source_db,
                                 .target_db = leg->target_db,
                                 .target = of_target ? v->targets[leg->master] : NULL,
                                 .large_only = leg->phase == VERIFY_LARGE_KEYS,
                                 .keys_per_second = v->keys_per_second,
                                 .rests = v->by_run,
                                 .page = {.target = &s->target,
                                          .source = v->source,
                                          .scratch = v->scratch,
                                          .arg = v,
                                          .pipe_of = pipe_of_key,
                                          .result = on_result},
                                 .arg = v,
                                 .wanted = is_wanted,
                                 .has_room = has_room,
                                 .scanned = on_scanned,
                                 .done = on_leg_over,
                                 .failed = on_trouble};
    v->leg_over = false;
    v->report.phase = leg->phase;
    v->pass = pass_new(&config, cursor, &error);
    if (!v->pass)
        on_trouble(v, &error);
}

static void next_leg(struct verifier *v)
{
    while (v->leg < v->leg_count && leg_is_past(v, leg_of(v)))
        v->leg++;
    if (v->leg < v->leg_count) {
        begin_leg(v);
        return;
    }
    v->course_over = true;
    v->position = (struct course_position){.phase = VERIFY_DOUBTFUL_KEYS};
    v->report.phase = VERIFY_DOUBTFUL_KEYS;
}

/* A slot that moved may take names to a master whose names were read already. */
static void read_target_again(struct verifier *v)
{
    if (v->position.phase == VERIFY_TARGET_KEYS)
        v->position = (struct course_position){.phase = VERIFY_TARGET_KEYS};
}

static void end_leg(struct verifier *v)
{
    struct error error;
    if (pass_saw_moved(v->pass)) {
        note_position(v);
        read_target_again(v);
        error_set(&error, ERROR_RETRY, "slots of the cluster are moving");
        on_trouble(v, &error);
        return;
    }
    pass_free(v->pass);
    v->pass = NULL;
    v->leg++;
    next_leg(v);
}

/* ---- the beginning ---- */

static const struct uri *uri_of_key(void *arg, struct slice key)
{
    struct verifier *v = arg;
    return &v->servers->masters[servers_master_of(v->servers, key)].uri;
}

static bool lsns_applied(void *arg, const uint64_t *lsns, size_t count)
{
    struct verifier *v = arg;
    return flows_applied(v->cursors, v->session, capabilities_contact(&v->servers->target), lsns, count);
}

static const char *process_of_key(void *arg, struct slice key)
{
    struct verifier *v = arg;
    return v->servers->masters[servers_master_of(v->servers, key)].run_id;
}

static void on_settled(void *arg, const struct doubt *k, enum exact_verdict verdict, const char *text)
{
    outcome_of_doubt(arg, k, verdict, text);
}

static void begin_exact(struct verifier *v)
{
    bool cluster = v->servers->target.cluster;
    struct exact_config config = {.base = v->base,
                                  .settings = &v->settings,
                                  .master_id = v->master_id,
                                  .client_name = v->client_name,
                                  .target = &v->servers->target,
                                  .doubts = v->doubts,
                                  .beside_run = v->beside_run,
                                  .repair = v->repair,
                                  .at_a_time = cluster ? COMPARERS_CLUSTER : COMPARERS,
                                  .arg = v,
                                  .uri_of = uri_of_key,
                                  .applied = lsns_applied,
                                  .process = process_of_key,
                                  .settled = on_settled};
    v->exact = exact_new(&config);
}

static void on_servers(void *arg, struct servers *servers)
{
    struct verifier *v = arg;
    struct error error;
    inquiry_free(v->inquiry);
    v->inquiry = NULL;
    v->servers = servers;
    if (!v->beside_run)
        memcpy(v->master_id, servers->master_id, sizeof v->master_id);
    if (!v->report.to_scan) {
        v->report.to_scan = servers->source.keys;
        for (size_t i = 0; i < servers->master_count && !v->source_only; i++)
            v->report.to_scan += servers->masters[i].keyspace.keys;
    }
    plan_legs(v);
    begin_exact(v);
    if (!open_pipes(v, &error))
        on_trouble(v, &error);
}

static void on_inquiry_failed(void *arg, const struct error *error)
{
    struct verifier *v = arg;
    inquiry_free(v->inquiry);
    v->inquiry = NULL;
    on_trouble(v, error);
}

static void connect_all(struct verifier *v)
{
    const struct servers_callbacks on = {v, on_servers, on_inquiry_failed};
    struct error error;
    v->report.phase = VERIFY_CONNECTING;
    v->inquiry = inquiry_begin(v->base, &v->settings, v->client_name, &on, &error);
    if (!v->inquiry)
        on_trouble(v, &error);
}

void course_rest(struct verifier *v)
{
    note_position(v);
    if (v->exact)
        exact_rest(v->exact);
    pipe_free(v->source);
    for (size_t i = 0; v->targets && i < v->servers->master_count; i++)
        pipe_free(v->targets[i]);
    free(v->targets);
    pass_free(v->pass);
    exact_free(v->exact);
    inquiry_free(v->inquiry);
    servers_free(v->servers);
    v->source = NULL;
    v->targets = NULL;
    v->pass = NULL;
    v->exact = NULL;
    v->inquiry = NULL;
    v->servers = NULL;
}

static void recover(struct verifier *v, uint64_t now_ms)
{
    struct error why = v->trouble;
    course_rest(v);
    v->trouble = (struct error){0};
    v->retry_ms = now_ms + RETRY_MS;
    v->trouble_since_ms = v->trouble_since_ms ? v->trouble_since_ms : now_ms;
    snprintf(v->report.trouble, sizeof v->report.trouble, "%.199s", why.text);
    log_debug("%s", why.text);
}

/* Whether nothing is in the way of comparing: FLOWs that are not in stable sync are. */
static bool run_is_ready(struct verifier *v)
{
    if (!v->beside_run || flows_stable(v->cursors, v->session))
        return true;
    snprintf(v->report.trouble, sizeof v->report.trouble, "the run is not in stable sync: waiting for it");
    return false;
}

static void go_on(struct verifier *v, uint64_t now_ms)
{
    uint64_t since_ms;
    const char *exact = exact_trouble(v->exact, &since_ms);
    if (v->leg_over && v->pass)
        end_leg(v);
    if (v->trouble.class || !run_is_ready(v))
        return;
    snprintf(v->report.trouble, sizeof v->report.trouble, "%s", exact ? exact : "");
    v->trouble_since_ms = exact ? since_ms : 0;
    exact_turn(v->exact, now_ms);
    if (v->pass)
        pass_turn(v->pass);
}

void course_turn(struct verifier *v, uint64_t now_ms)
{
    if (v->trouble.class && v->trouble.class != ERROR_FATAL)
        recover(v, now_ms);
    if (v->trouble.class || now_ms < v->retry_ms)
        return;
    if (!v->servers) {
        if (!v->inquiry)
            connect_all(v);
        return;
    }
    if (v->pipes_ready < v->servers->master_count + 1)
        return;
    if (!v->pass && !v->course_over)
        next_leg(v);
    if (!v->trouble.class)
        go_on(v, now_ms);
    note_position(v);
}
