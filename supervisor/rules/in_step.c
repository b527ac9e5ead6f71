#include "supervisor/rules/in_step.h"

#include <stdio.h>

bool in_step_reached(const struct in_step_facts *facts, const uint64_t *lsns)
{
    for (uint32_t i = 0; i < facts->flow_count; i++)
        if (facts->flows[i].failed || facts->flows[i].applied_lsn < lsns[i])
            return false;
    return true;
}

/* True: the FLOW has a trouble of its own, whatever the source's LSNs; *reason names it. */
static bool flow_trouble(const struct in_step_facts *facts, uint32_t i, char *reason, size_t bytes)
{
    const struct in_step_flow *f = &facts->flows[i];
    if (f->failed)
        snprintf(reason, bytes, "FLOW %u was given up", i);
    else if (!f->worker)
        snprintf(reason, bytes, "FLOW %u has no worker at the moment", i);
    else if (f->alive_ms && facts->now_ms > f->alive_ms + IN_STEP_ALIVE_MS)
        snprintf(reason, bytes, "the worker of FLOW %u (pid %ld) has not moved for %.0f s", i, f->pid,
                 (double)(facts->now_ms - f->alive_ms) / 1000.0);
    else if (!f->stable)
        snprintf(reason, bytes, "FLOW %u does not follow the journal yet", i);
    else if (!f->in_contact)
        snprintf(reason, bytes, "FLOW %u cannot reach the target", i);
    else
        return false;
    return true;
}

/* Fills reason with the FLOW that is furthest behind the newest answer, and with the place of its entries. */
static void tell_lag(const struct in_step_facts *facts, char *reason, size_t bytes)
{
    const uint64_t *lsns = facts->answers[0].lsns;
    uint64_t most = 0;
    uint32_t furthest = 0;
    for (uint32_t i = 0; i < facts->flow_count; i++) {
        uint64_t applied = facts->flows[i].applied_lsn, lag = lsns[i] > applied ? lsns[i] - applied : 0;
        if (lag > most) {
            most = lag;
            furthest = i;
        }
    }
    const struct in_step_flow *f = &facts->flows[furthest];
    bool arrived = f->waiting || f->received_lsn > f->applied_lsn;
    snprintf(reason, bytes, "FLOW %u is %llu %s behind the source: %s", furthest, (unsigned long long)most,
             most == 1 ? "entry" : "entries",
             arrived ? "the target has not taken what was received" : "nothing comes from the source");
}

bool in_step_decide(const struct in_step_facts *facts, uint64_t *confirmed_ms, char *reason, size_t bytes)
{
    if (confirmed_ms)
        *confirmed_ms = 0;
    reason[0] = '\0';
    if (!facts->stable) {
        snprintf(reason, bytes, "the run is in phase %s", facts->phase);
        return false;
    }
    for (uint32_t i = 0; i < facts->flow_count; i++)
        if (flow_trouble(facts, i, reason, bytes))
            return false;
    size_t fresh = 0;
    while (fresh < facts->answer_count && facts->now_ms <= facts->answers[fresh].asked_ms + IN_STEP_FRESH_MS)
        fresh++;
    if (!fresh) {
        bool known = facts->trouble && facts->trouble[0];
        snprintf(reason, bytes, "the source's LSNs are not known%s%s", known ? ": " : "",
                 known ? facts->trouble : " yet");
        return false;
    }
    size_t at = 0;
    while (at < fresh && !in_step_reached(facts, facts->answers[at].lsns))
        at++;
    if (at == fresh) {
        tell_lag(facts, reason, bytes);
        return false;
    }
    if (facts->comparing && facts->comparing[0]) {
        snprintf(reason, bytes, "%s", facts->comparing);
        return false;
    }
    if (confirmed_ms)
        *confirmed_ms = facts->answers[at].asked_ms;
    return true;
}
