/* The rules, one function per probe. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "common/base/size_text.h"
#include "supervisor/check/facts.h"

enum {
    CLOCK_TOLERANCE_MS = 1000,
    BACKLOG_ENTRIES = 8192, /* --shard_repl_backlog_len, which cannot be queried */
    BACKLOG_SECONDS = 60,
    FILES_PER_FLOW = 8, /* of the supervisor */
    FILES_BESIDES = 128,
};
#define SLOW_BYTES (UINT64_C(8) << 20)         /* a second, of one FLOW */
#define USUAL_BULK_BYTES (UINT64_C(512) << 20) /* the defaults of Redis */
#define USUAL_QUERY_BYTES (UINT64_C(1) << 30)

/* ---- here ---- */

void judge_state_dir(const struct check_facts *f, struct findings *out)
{
    if (!f->here.looked) {
        findings_unknown(out, "state directory", "the file system does not answer: check %s",
                         f->settings->state_dir);
        return;
    }
    findings_probe(out, "state directory", "%s may be used", f->settings->state_dir);
    if (f->here.state.class != ERROR_NONE)
        findings_refuse(out, f->here.state.exit_code, "%s", f->here.state.text);
}

void judge_worker(const struct check_facts *f, struct findings *out)
{
    if (!f->here.looked)
        return;
    findings_probe(out, "worker", "df2redis-worker is installed");
    if (f->here.worker.class != ERROR_NONE)
        findings_refuse(out, f->here.worker.exit_code, "%s", f->here.worker.text);
}

void judge_room(const struct check_facts *f, struct findings *out)
{
    const struct settings *s = f->settings;
    uint64_t rings = f->flow_count * s->ring_bytes, all;
    if (!f->here.room_known || !f->flow_count) {
        findings_unknown(out, "room for spools", "%s",
                         f->flow_count ? "the file system of --state-dir does not tell its free space: ask df"
                                       : "the number of FLOWs is not known: see the line source");
        return;
    }
    if (__builtin_mul_overflow(s->spool_limit_bytes, f->flow_count, &all) ||
        __builtin_add_overflow(all, rings, &all))
        all = UINT64_MAX;
    findings_probe(out, "room for spools", "%s free, at most %s needed", size_text(f->here.free_bytes),
                   size_text(all));
    if (f->here.free_bytes < rings)
        findings_refuse(out, EX_CANTCREAT,
                        "%s has %s free, and the rings of %u FLOWs need %s: give it more room, or choose "
                        "another --state-dir",
                        f->here.dir, size_text(f->here.free_bytes), f->flow_count, size_text(rings));
    else if (f->here.free_bytes < all)
        findings_warn(out,
                      "%s has %s free, and the spools of %u FLOWs may grow to %s: give it more room, lower "
                      "--spool-limit, or choose another --state-dir",
                      f->here.dir, size_text(f->here.free_bytes), f->flow_count, size_text(all));
    if (f->here.in_memory)
        findings_warn(out,
                      "%s is a tmpfs: its spools take memory, and a reboot empties them; choose a "
                      "--state-dir on a disk",
                      f->here.dir);
}

void judge_files(const struct check_facts *f, struct findings *out)
{
    uint64_t needed = FILES_BESIDES + (uint64_t)FILES_PER_FLOW * f->flow_count,
             of_worker = FILES_BESIDES + 2 * (uint64_t)f->masters;
    needed = needed > of_worker ? needed : of_worker;
    if (!f->here.files || !f->flow_count) {
        findings_unknown(out, "open files", "%s",
                         f->flow_count ? "the limit cannot be read: see ulimit -n"
                                       : "the number of FLOWs is not known: see the line source");
        return;
    }
    findings_probe(out, "open files", "at most %llu, about %llu needed", (unsigned long long)f->here.files,
                   (unsigned long long)needed);
    if (f->here.files < needed)
        findings_refuse(out, EX_OSERR,
                        "a process may open %llu files, and this run needs about %llu: raise the limit "
                        "(ulimit -n; with systemd LimitNOFILE=)",
                        (unsigned long long)f->here.files, (unsigned long long)needed);
}

void judge_confinement(const struct check_facts *f, struct findings *out)
{
    if (!f->here.looked)
        return;
    findings_probe(out, "confinement", "%s",
                   f->settings->confine ? "workers reach only their own files (Landlock)" : "--confine off");
    if (f->settings->confine && !f->here.landlock)
        findings_warn(out, "the kernel has no Landlock: workers may reach all files of their user; use Linux "
                           "5.13 or newer with Landlock, or a user of its own (--user)");
}

/* ---- the target ---- */

void judge_limits(const struct check_facts *f, struct findings *out)
{
    uint64_t bulk = f->capabilities.max_bulk_bytes, query = f->target_more.query_bytes;
    if (!f->target_known || !f->capabilities.limits_told || !f->target_more.query_limit_known) {
        findings_unknown(out, "target limits",
                         "the target does not tell its limits: give its user +config|get");
        return;
    }
    findings_probe(out, "target limits", "values of up to %s", size_text(bulk));
    if (bulk < USUAL_BULK_BYTES)
        findings_warn(out,
                      "target %s takes values of at most %s, larger ones are left out and counted: set "
                      "proto-max-bulk-len to 512mb",
                      f->target, size_text(bulk));
    if (query && query < USUAL_QUERY_BYTES)
        findings_warn(out,
                      "target %s takes commands of at most %s, larger ones are left out and counted: set "
                      "client-query-buffer-limit to 1gb",
                      f->target, size_text(query));
}

void judge_writes(const struct check_facts *f, struct findings *out)
{
    const struct target_more *m = &f->target_more;
    if (!m->persistence_known) {
        findings_unknown(out, "target writes", "the target does not tell its state: give its user +info");
        return;
    }
    findings_probe(out, "target writes", "its last save did not fail");
    if ((m->save_failed && m->save_stops_writes) || m->aof_failed)
        findings_refuse(out, EX_UNAVAILABLE,
                        "target %s refuses writes (MISCONF): its last %s failed; see its log, and whether "
                        "its disk is full",
                        f->target, m->aof_failed ? "write to the AOF" : "save of an RDB file");
    else if (m->save_failed)
        findings_warn(out,
                      "target %s could not save its last RDB file: see its log, and whether its disk is full",
                      f->target);
}

void judge_replicas(const struct check_facts *f, struct findings *out)
{
    const struct target_more *m = &f->target_more;
    if (!m->replicas_known) {
        findings_unknown(out, "target replicas",
                         "the target does not tell its replicas: give its user +info");
        return;
    }
    findings_probe(out, "target replicas", "%llu connected, %llu needed for writes",
                   (unsigned long long)m->replicas, (unsigned long long)m->replicas_needed);
    if (m->replicas < m->replicas_needed)
        findings_refuse(out, EX_UNAVAILABLE,
                        "target %s refuses writes (NOREPLICAS): %llu replicas are connected, and "
                        "min-replicas-to-write is %llu: connect them, or set it to 0",
                        f->target, (unsigned long long)m->replicas, (unsigned long long)m->replicas_needed);
}

void judge_slots(const struct check_facts *f, struct findings *out)
{
    if (!f->target_known || !f->capabilities.cluster)
        return;
    if (!f->target_more.slots_known) {
        findings_unknown(out, "cluster slots",
                         "the target does not tell its slots: give its user +cluster|nodes");
        return;
    }
    findings_probe(out, "cluster slots", "all served, none is migrating");
    if (f->target_more.open_slots)
        findings_warn(out,
                      "target %s: %llu slots are migrating between masters, and their keys are written more "
                      "slowly: wait for the end, or close them with redis-cli --cluster fix",
                      f->target, (unsigned long long)f->target_more.open_slots);
}

void judge_runs(const struct check_facts *f, struct findings *out)
{
    const struct target_more *m = &f->target_more;
    if (!m->runs_known) {
        findings_unknown(out, "other runs",
                         "the target does not tell its clients: give its user +client|list");
        return;
    }
    findings_probe(out, "other runs", "no run of df2redis is connected to the target");
    if (m->same_run)
        findings_refuse(out, EX_TEMPFAIL,
                        "a run named %s is connected to target %s: stop it first, or give this one another "
                        "--name",
                        f->settings->name, f->target);
    if (m->other_run[0])
        findings_warn(out,
                      "the run %s writes to target %s, too: make sure that their keys differ (--include, "
                      "--db), or stop it",
                      m->other_run, f->target);
}

/* ---- the source ---- */

/* A resume after an interruption needs the entries of the meantime. */
void judge_backlog(const struct check_facts *f, struct findings *out)
{
    const struct source_more *m = &f->source_more;
    uint64_t rate = m->within_ms ? m->entries * 1000 / m->within_ms : 0;
    if (!m->lsns_known || !m->within_ms || !m->lsns) {
        findings_unknown(out, "backlog", "%s",
                         m->lsns_known ? "the source counts its writes from the first replica on: check "
                                         "again during the run"
                                       : "the source does not tell its LSNs: give its user +dfly");
        return;
    }
    uint64_t seconds = rate ? BACKLOG_ENTRIES / rate : UINT64_MAX;
    if (rate)
        findings_probe(out, "backlog", "%d entries, %llu s of writes", BACKLOG_ENTRIES,
                       (unsigned long long)seconds);
    else
        findings_probe(out, "backlog", "the source is not written to");
    if (seconds < BACKLOG_SECONDS)
        findings_warn(out,
                      "source %s writes %llu entries/s in one shard, and keeps %d of them unless "
                      "--shard_repl_backlog_len says otherwise: after an interruption of more than %llu s a "
                      "full sync follows; start it with a larger one",
                      f->source, (unsigned long long)rate, BACKLOG_ENTRIES, (unsigned long long)seconds);
}

/* Returns what becomes of values of that type; NULL: they are copied. */
static const char *type_problem(const struct capabilities *target, const char *type)
{
    static const char *const plain[] = {"string", "list", "set", "hash", "zset", "stream"};
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (strcmp(type, plain[i]) == 0)
            return NULL;
    if (strcmp(type, "ReJSON-RL") == 0)
        return target->json ? NULL : "the target has no JSON: load the module RedisJSON, or exclude them";
    return "no Redis can hold what Dragonfly keeps there: create them again, or exclude them";
}

void judge_types(const struct check_facts *f, struct findings *out)
{
    const struct key_sample *s = &f->source_more.sample;
    if (!s->known || !f->target_known) {
        findings_unknown(out, "types of keys", "%s",
                         s->known ? "the target is not known: see the line target"
                                  : "the source does not show its keys: give its user +scan +type");
        return;
    }
    findings_probe(out, "types of keys", "the target can hold all of a sample of %llu keys",
                   (unsigned long long)s->keys);
    for (size_t i = 0; i < s->type_count; i++) {
        const char *problem = type_problem(&f->capabilities, s->types[i].name);
        if (problem)
            findings_warn(out,
                          "source %s: of a sample of %llu keys %llu are of type %s, left out and counted: %s",
                          f->source, (unsigned long long)s->keys, (unsigned long long)s->types[i].keys,
                          s->types[i].name, problem);
    }
}

void judge_largest(const struct check_facts *f, struct findings *out)
{
    const struct key_sample *s = &f->source_more.sample;
    uint64_t most = f->capabilities.max_bulk_bytes;
    if (!s->known || (s->keys && !s->sized)) {
        findings_unknown(out, "largest key", "the source does not tell sizes: give its user +scan +memory");
        return;
    }
    if (s->keys)
        findings_probe(out, "largest key", "%s in a sample of %llu keys", size_text(s->largest_bytes),
                       (unsigned long long)s->keys);
    else
        findings_probe(out, "largest key", "the source has no keys");
    if (f->target_known && s->largest_is_string && s->largest_bytes > most)
        findings_warn(
            out,
            "source %s: the string %s has %s, more than the %s that the target takes: it is left out "
            "and counted; set proto-max-bulk-len of the target to 512mb",
            f->source, s->largest, size_text(s->largest_bytes), size_text(most));
}

void judge_cutover(const struct check_facts *f, struct findings *out)
{
    const struct source_more *m = &f->source_more;
    if (!m->pause_known)
        findings_unknown(out, "cut-over", "the source does not answer CLIENT PAUSE");
    else
        findings_probe(out, "cut-over", "writes on the source can be paused");
    if (m->pause_refused)
        findings_warn(
            out, "source %s: its user may not pause writes, which df2redis cutover does: give it +client",
            f->source);
}

/* ---- both ---- */

static bool side_is_known(const struct check_facts *f, const char *side)
{
    return *side == 's' ? f->source_known : f->target_known;
}

/* Times to live are absolute: the target's clock ends them. */
void judge_clocks(const struct check_facts *f, struct findings *out)
{
    const struct clock_facts *s = &f->source_more.clock, *t = &f->target_more.clock;
    const char *silent = t->known ? "source" : "target";
    if (!s->known || !t->known) {
        findings_unknown(out, "clocks", "the %s does not tell its time: %s%s", silent,
                         side_is_known(f, silent) ? "give its user +time" : "see the line ",
                         side_is_known(f, silent) ? "" : silent);
        return;
    }
    int64_t ahead = t->ahead_ms - s->ahead_ms;
    long long by = llabs((long long)ahead);
    findings_probe(out, "clocks", "source and target differ by %lld ms", by);
    if (by > CLOCK_TOLERANCE_MS)
        findings_warn(out,
                      "the clock of target %s is %lld.%lld s %s that of the source: keys with a time to live "
                      "expire too %s by that; set the clocks (NTP)",
                      f->target, by / 1000, by % 1000 / 100, ahead > 0 ? "ahead of" : "behind",
                      ahead > 0 ? "early" : "late");
}

void judge_round_trips(const struct check_facts *f, struct findings *out)
{
    const struct clock_facts *s = &f->source_more.clock, *t = &f->target_more.clock;
    uint64_t window = f->settings->window_bytes;
    if (!t->known) {
        findings_unknown(out, "round trips", "the target does not tell its time: %s",
                         f->target_known ? "give its user +time" : "see the line target");
        return;
    }
    char source[40] = "";
    if (s->known)
        snprintf(source, sizeof source, "source %.1f ms, ", (double)s->round_trip_us / 1000);
    findings_probe(out, "round trips", "%starget %.1f ms", source, (double)t->round_trip_us / 1000);
    uint64_t rate = t->round_trip_us ? window * 1000 / (t->round_trip_us / 1000 + 1) : UINT64_MAX;
    if (rate < SLOW_BYTES)
        findings_warn(out,
                      "target %s is %llu ms away: a FLOW writes at most %s/s with a window of %s; run "
                      "df2redis nearer to the target, or raise --window",
                      f->target, (unsigned long long)(t->round_trip_us / 1000), size_text(rate),
                      size_text(window));
}
