/* Findings before the first write: those of the target are kept until the source was greeted, so that all are reported
 * together. */
#include "common/log/log.h"
#include "supervisor/rules/databases.h"
#include "supervisor/run/run.h"
#include "supervisor/source/source_facts.h"

bool run_find_on_target(struct run *run, bool flush_due)
{
    static const char *const kinds[] = {"Redis", "Valkey", "a server"};
    struct error error = {0};
    findings_probe(&run->findings, "target", "%s %s, %s, %llu key%s", kinds[run->target.kind],
                   run->target.version_text, run->target.cluster ? "a cluster" : "a master",
                   (unsigned long long)run->target.keys, run->target.keys == 1 ? "" : "s");
    if (capabilities_check(&run->target, &error)) {
        target_findings(run->target_job, flush_due, &run->findings);
        target_memory(run->target_job, &run->target_memory);
        databases_judge_map(run->settings, &run->target, run->target_name, &run->findings);
    } else {
        findings_refuse(&run->findings, error.exit_code, "target %s: %s", run->target_name, error.text);
        if (!run->target.version_text[0]) /* the user may lack more rights than INFO */
            target_findings(run->target_job, flush_due, &run->findings);
    }
    return run->findings.errors == 0;
}

void run_judge_source(struct run *run, bool even_if_refused)
{
    size_t count;
    const uint32_t *databases = source_databases(run->source, &count);
    struct source_judged judged = {.source = run->source_name,
                                   .target = run->target_name,
                                   .settings = run->settings,
                                   .release = run->greeting.release,
                                   .databases = databases,
                                   .database_count = count,
                                   .goes_on = run->target_written && run->copy.state != RUN_COPY_PARTIAL,
                                   .target_cluster = run->target.cluster,
                                   .target_databases =
                                       run->target.databases_told ? run->target.databases : UINT32_MAX,
                                   .memory_limit = run->target_memory.limit,
                                   .memory_system = run->target_memory.system,
                                   .memory_used = run->target_memory.used,
                                   .memory_policy = run->target_memory.policy,
                                   .target_unknown = !run->target.version_text[0],
                                   .even_if_refused = even_if_refused};
    if (run->settings->target.null_sink || !run->target.version_text[0])
        judged.target_databases = UINT32_MAX;
    source_facts_judge(source_facts(run->source), &judged, &run->findings);
}

bool run_find_on_source(struct run *run)
{
    struct error error = {0};
    bool first = !run->findings_told;
    run->findings_told = true;
    run_judge_source(run, false);
    if (!first && !run->findings.errors) { /* the same findings as before */
        findings_free(&run->findings);
        return true;
    }
    if (!findings_tell(&run->findings, &error))
        return true;
    run_fatal(run, &error);
    return false;
}

int run_tell_findings(struct run *run)
{
    struct error error = {0};
    if (!findings_tell(&run->findings, &error))
        return 0;
    log_error("%s", error.text);
    return error.exit_code;
}
