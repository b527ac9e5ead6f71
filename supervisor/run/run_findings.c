/* Findings before the first write: those of the target are kept until the source was greeted, so that all are reported
 * together. */
#include "common/log/log.h"
#include "supervisor/rules/databases.h"
#include "supervisor/run/run.h"
#include "supervisor/source/source_facts.h"

bool run_find_on_target(struct run *run, bool flush_due)
{
    struct error error = {0};
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

bool run_find_on_source(struct run *run)
{
    struct error error = {0};
    size_t count;
    const uint32_t *databases = source_databases(run->source, &count);
    bool first = !run->findings_told;
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
                                   .memory_policy = run->target_memory.policy};
    if (run->settings->target.null_sink)
        judged.target_databases = UINT32_MAX;
    run->findings_told = true;
    source_facts_judge(source_facts(run->source), &judged, &run->findings);
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
