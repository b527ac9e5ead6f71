/* Has the program settled, is the target equal, and was nothing done that nothing needed? */
#include "tests/soak/soak.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/soak/record.h"
#include "tests/support/testing.h"

enum { TIMES_RIGHT_MS = 2000, IN_STEP_MS = 180000 };

/* Acknowledged to the last entry, and in step by the program's own word. */
bool soak_has_settled(void *arg)
{
    struct soak *s = arg;
    if (!process_running(&s->run.program.process))
        return true;
    cJSON *status = df2redis_status(&s->run.program);
    const cJSON *flows = cJSON_GetObjectItem(status, "flows");
    const cJSON *suspects = cJSON_GetObjectItem(cJSON_GetObjectItem(status, "suspects"), "pending");
    bool all = cJSON_IsTrue(cJSON_GetObjectItem(status, "in_step")) &&
               cJSON_GetArraySize(flows) == SOAK_FLOWS && !(suspects && suspects->valuedouble > 0);
    if (all && s->live) {
        redisContext *c = server_connect(s->run.dragonfly.port);
        redisReply *offsets = server_command(c, "DFLY REPLICAOFFSET");
        all = offsets->elements == SOAK_FLOWS;
        for (size_t i = 0; all && i < offsets->elements; i++)
            all = cJSON_GetObjectItem(cJSON_GetArrayItem(flows, (int)i), "lsn_applied")->valuedouble >=
                  (double)offsets->element[i]->integer;
        freeReplyObject(offsets);
        redisFree(c);
    }
    cJSON_Delete(status);
    if (all && !s->live)
        all = scripted_wait_acked(s->run.source, 0) || *scripted_violation(s->run.source);
    return all;
}

/* The source that is the master now. */
static bool follows_master(struct soak *s, bool in_step)
{
    if (!process_running(&s->run.program.process))
        return true;
    char *is = NULL;
    if (s->live) {
        redisContext *c = server_connect(s->run.dragonfly.port);
        is = server_info(c, "replication", "master_replid");
        redisFree(c);
    }
    cJSON *status = df2redis_status(&s->run.program);
    const cJSON *id = cJSON_GetObjectItem(status, "master_id");
    const cJSON *phase = cJSON_GetObjectItem(status, "phase");
    bool follows = cJSON_IsString(phase) && strcmp(phase->valuestring, "stable") == 0 &&
                   (!in_step || cJSON_IsTrue(cJSON_GetObjectItem(status, "in_step"))) &&
                   (!s->live || (is && cJSON_IsString(id) && strcmp(id->valuestring, is) == 0));
    cJSON_Delete(status);
    free(is);
    return follows;
}

static bool is_stable(void *s)
{
    return follows_master(s, false);
}

static bool is_in_step(void *s)
{
    return follows_master(s, true);
}

/* A run that follows a promoted master may wait for a write. */
void soak_end_load_when_stable(struct soak *s)
{
    wait_until(is_stable, s, IN_STEP_MS);
    soak_end_load(s);
}

/* Without load at the end: what a loaded machine is behind by can take longer than anything else here. */
void soak_wait_in_step(struct soak *s)
{
    soak_end_load_when_stable(s);
    if (!wait_until(is_in_step, s, IN_STEP_MS))
        s->trouble = "the program does not come in step with the source that there is";
    soak_begin_load(s);
}

/* ---- equal ---- */

struct comparison {
    struct soak *s;
    uint16_t expected_port;
    struct state_rules *rules;
    uint64_t keys;
    struct buf differences; /* of the last time, as text */
};

static bool is_equal_now(void *arg)
{
    struct comparison *c = arg;
    struct state_server expected, actual;
    struct state_report report;
    state_open(&expected, c->expected_port, NULL);
    state_open(&actual, c->s->run.target.port, c->s->run.password);
    bool equal = state_compare_servers(&expected, &actual, c->rules, &report);
    c->s->differences = report.different;
    c->keys = report.keys;
    buf_clear(&c->differences);
    buf_put(&c->differences, report.text.data, report.text.len);
    state_report_free(&report);
    state_close(&expected);
    state_close(&actual);
    return equal;
}

/* A time to live that was put off while the FLOW was behind is told as it is some moments after the FLOW is in step. */
static bool equals(struct soak *s, uint16_t expected_port, struct state_rules *rules)
{
    struct comparison c = {.s = s, .expected_port = expected_port, .rules = rules};
    bool equal = wait_until(is_equal_now, &c, TIMES_RIGHT_MS);
    if (equal) {
        printf("  equal: %llu keys\n", (unsigned long long)c.keys);
        s->most_keys = c.keys > s->most_keys ? c.keys : s->most_keys;
    } else {
        buf_put_u8(&c.differences, '\0');
        fprintf(stderr, "of %llu keys %llu differ:\n%s", (unsigned long long)c.keys,
                (unsigned long long)s->differences, (const char *)c.differences.data);
        record_print_differences((const char *)c.differences.data);
    }
    buf_free(&c.differences);
    return equal;
}

static bool equals_scripted(struct soak *s)
{
    struct state_rules rules = {.read = {.stream_details = true}};
    if (!s->expected.port)
        redis_start(&s->expected, NULL);
    redisContext *c = server_connect(s->expected.port);
    server_ok(c, "FLUSHALL");
    redisFree(c);
    journal_script_expect(&s->script, s->expected.port);
    return equals(s, s->expected.port, &rules);
}

/* Deadlines of keys as exact as those of a Dragonfly and its own replica, to which it may fail over: for SET … EX it
 * reads its clock once for the value and once for the journal, some milliseconds apart if the machine is busy. Those of
 * hash fields are whole seconds there. */
static bool equals_live(struct soak *s)
{
    struct state_rules rules = {.read = {.stream_details = true, .field_ttls = true},
                                .ttl_tolerance_ms = 25,
                                .field_ttl_tolerance_ms = 3000};
    return equals(s, s->run.dragonfly.port, &rules);
}

/* A Dragonfly deletes, and journals so, what has expired when somebody comes across it. */
static void come_across_all_keys(struct soak *s)
{
    redisContext *c = server_connect(s->run.dragonfly.port);
    for (unsigned db = 0; db < s->databases; db++) {
        char *select = format_text("SELECT %u", db), cursor[32] = "0";
        server_ok(c, select);
        free(select);
        do {
            char *scan = format_text("SCAN %s COUNT 1000", cursor);
            redisReply *r = server_command(c, scan);
            snprintf(cursor, sizeof cursor, "%s", r->element[0]->str);
            freeReplyObject(r);
            free(scan);
        } while (strcmp(cursor, "0") != 0);
    }
    redisFree(c);
}

bool soak_is_equal(struct soak *s)
{
    return s->live ? equals_live(s) : equals_scripted(s);
}

void soak_expire(struct soak *s)
{
    if (s->live)
        come_across_all_keys(s);
}

/* ---- full syncs ---- */

uint64_t soak_full_syncs(struct soak *s)
{
    uint64_t count = 0;
    for (size_t i = 0; i < SOAK_SOURCES; i++)
        count += proxy_full_syncs(s->sources[i]);
    return count;
}

bool soak_wait_full_sync(struct soak *s)
{
    return soak_wait_full_sync_after(s, soak_full_syncs(s));
}

bool soak_wait_full_sync_after(struct soak *s, uint64_t before)
{
    uint64_t end_ms = clock_monotonic_ms() + SOAK_STEP_MS;
    while (soak_full_syncs(s) == before && clock_monotonic_ms() < end_ms)
        if (!soak_go_on(s, 50))
            return false;
    return soak_full_syncs(s) > before;
}

void soak_count_full_syncs(struct soak *s)
{
    uint64_t now = soak_full_syncs(s);
    bool needed = now == s->full_syncs || s->may_sync;
    s->needless += needed ? 0 : now - s->full_syncs;
    s->full_syncs = now;
    if (needed)
        return;
    cJSON *status = df2redis_status(&s->run.program);
    const cJSON *sync = cJSON_GetObjectItem(status, "last_sync");
    const cJSON *reason = cJSON_GetObjectItem(sync, "reason");
    printf("  a full sync that nothing needed: %s\n", reason ? reason->valuestring : "?");
    cJSON_Delete(status);
}

/* ---- divergences ---- */

double soak_divergences(struct soak *s, const char *reason)
{
    char *path = format_text("divergences.%s", reason);
    double n = df2redis_status_number(&s->run.program, path);
    free(path);
    return n;
}

/* Nothing is reported but what was done, and to this copy: a new one is counted anew. The scripted source does not
 * answer DUMP: what was in doubt there stays in doubt. */
bool soak_divergences_are_expected(struct soak *s)
{
    bool expected = true;
    if (s->full_syncs > s->evicted_syncs)
        s->evicted = 0;
    cJSON *status = df2redis_status(&s->run.program);
    const cJSON *counts = cJSON_GetObjectItem(status, "divergences");
    for (const cJSON *one = counts ? counts->child : NULL; one; one = one->next) {
        bool known = (strcmp(one->string, "refused_by_target") == 0 && !s->live) ||
                     (strcmp(one->string, "database_not_in_target") == 0 && s->beyond) ||
                     (strcmp(one->string, "database_not_in_cluster") == 0 && s->beyond) ||
                     (strcmp(one->string, "evicted_by_target") == 0 && s->evicted);
        printf("  reported: %s %.0f%s\n", one->string, one->valuedouble, known ? "" : ", unexpected");
        expected &= known;
    }
    cJSON_Delete(status);
    return expected;
}

bool soak_expects_divergences(const struct soak *s)
{
    return !s->live || s->beyond || s->evicted;
}
