/* What the target's answers to INFO tell: a restarted process, a lost role, evicted keys. */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/size_text.h"
#include "common/log/log.h"
#include "common/redis/capabilities.h"
#include "supervisor/rules/databases.h"
#include "supervisor/target/target_watch_internal.h"

static void take_text(struct slice info, const char *field, char *out, size_t bytes)
{
    struct slice value = info_field(info, field);
    snprintf(out, bytes, "%.*s", (int)value.len, (const char *)value.data);
}

static uint64_t take_number(struct slice info, const char *field)
{
    uint64_t number = 0;
    slice_to_u64(info_field(info, field), &number);
    return number;
}

bool watched_evicts(const struct watched *n)
{
    return n->max_bytes && n->policy[0] && strcmp(n->policy, "noeviction") != 0;
}

static void count_evictions(struct watched *n, uint64_t keys)
{
    n->counted += keys;
    if (keys)
        n->watch->callbacks.evicted(n->name, keys, n->watch->callbacks.arg);
}

void watched_note_end(struct watched *n)
{
    const struct evictions_end end = {n->policy, n->used_bytes, n->max_bytes, n->evicted,
                                      clock_monotonic_ms() - n->told_ms};
    bool counts = evictions_may_be_unseen(&end);
    if (!watched_evicts(n) || !evictions_is_full(n->used_bytes, n->max_bytes))
        return;
    log_warning("target %s ended while it used %s of its maxmemory of %s (%s): %s", n->name,
                size_text(n->used_bytes), size_text(n->max_bytes), n->policy,
                counts ? "what it evicted since its last answer is unknown, and counts as one key"
                       : "an eviction after its last answer is unlikely, and none is counted; set its "
                         "maxmemory-policy to noeviction");
    if (counts)
        count_evictions(n, 1);
}

static void note_run_id(struct watched *n, struct slice info)
{
    char run_id[41];
    take_text(info, "run_id", run_id, sizeof run_id);
    bool changed = n->run_id[0] && run_id[0] && strcmp(run_id, n->run_id) != 0;
    if (changed) {
        log_warning("target %s was restarted: its run_id is %s, and was %s", n->name, run_id, n->run_id);
        watched_note_end(n);
    }
    snprintf(n->run_id, sizeof n->run_id, "%s", run_id);
}

/* Of a process that was not probed before the copy began (started since, or a replica or new in the cluster then),
 * everything counts that it has evicted, if it was started since or evicts at all. */
static void note_evictions(struct watched *n)
{
    struct target_watch *w = n->watch;
    struct evictions *e = &w->evictions;
    size_t known = e->count;
    if (!n->run_id[0])
        return;
    bool all = watched_evicts(n) || evictions_started_since(e, n->up_s, clock_unix_ms());
    uint64_t more = evictions_note(e, n->run_id, n->evicted, n->commands, all);
    count_evictions(n, more);
    if ((more || e->count != known) && !evictions_save(e, w->evictions_path))
        log_debug("cannot write %s", w->evictions_path);
}

static void note_policy(struct watched *n)
{
    bool bad = watched_evicts(n);
    if (bad && strcmp(n->warned_policy, n->policy) != 0)
        log_warning(
            "target %s evicts keys once it uses %s (maxmemory-policy %s), and the copy lacks them: set its "
            "maxmemory-policy to noeviction",
            n->name, size_text(n->max_bytes), n->policy);
    snprintf(n->warned_policy, sizeof n->warned_policy, "%s", bad ? n->policy : "");
}

void watched_note_info(struct watched *n, struct slice info)
{
    uint32_t *list;
    char role[16];
    note_run_id(n, info);
    n->rtt_us = clock_monotonic_us() - n->asked_us;
    n->trouble[0] = '\0';
    take_text(info, "role", role, sizeof role);
    if (strcmp(role, "master") != 0) {
        snprintf(n->trouble, sizeof n->trouble, "it is not a master: its role is %s",
                 role[0] ? role : "unknown");
        if (n->role[0] && strcmp(n->role, role) != 0)
            log_warning("target %s is no longer a master: its role is %s", n->name, role);
        n->watch->masters_due_ms = 0;
    }
    snprintf(n->role, sizeof n->role, "%s", role);
    take_text(info, "maxmemory_policy", n->policy, sizeof n->policy);
    n->up_s = take_number(info, "uptime_in_seconds");
    n->evicted = take_number(info, "evicted_keys");
    n->commands = take_number(info, "total_commands_processed");
    n->used_bytes = take_number(info, "used_memory");
    n->max_bytes = take_number(info, "maxmemory");
    n->keys = info_keys(info);
    n->databases = info_databases(info, &list);
    free(list);
    note_evictions(n);
    note_policy(n);
    expiry_watch_note_info(&n->expiry, info);
    n->told_ms = n->asked_ms;
}
