/* The questions, one after the other, and the findings that follow from the answers.
 *
 *   INFO PERSISTENCE, MEMORY, STATS, CLUSTER    the commands that compare keys, on a key that does not exist
 *   CONFIG GET databases    cluster_enabled, or INFO refused: DFLYCLUSTER
 *   DFLYCLUSTER renamed, restricted or forbidden: CLUSTER SLOTS    all slots: READWRITE
 *
 * A real cluster's node cannot be told from an emulated one by INFO. But only a real one accepts DFLYCLUSTER; all others
 * refuse it as "disabled". A real one serves a part of the slots; one that serves all of them refuses READWRITE. */
#include "supervisor/source/source_facts.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "common/base/size_text.h"
#include "common/redis/capabilities.h"
#include "common/redis/releases.h"
#include "supervisor/rules/databases.h"

enum { LAST_SLOT = 16383 };

static uint64_t info_number(struct slice info, const char *name)
{
    uint64_t n;
    return slice_to_u64(info_field(info, name), &n) ? n : 0;
}

bool source_omits(struct slice info, uint64_t *omits)
{
    uint64_t n;
    bool told = slice_to_u64(info_field(info, "total_journal_omits"), &n);
    *omits = told ? n : *omits;
    return told;
}

static void on_info(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct source_facts *f = arg;
    if (reply->type != REDIS_REPLY_STRING)
        return;
    struct slice info = slice_of(reply->str, (size_t)reply->len);
    f->info = true;
    f->loading |= info_number(info, "loading") != 0;
    f->cluster_enabled |= info_number(info, "cluster_enabled") != 0;
    if (info_number(info, "used_memory"))
        f->used_memory = info_number(info, "used_memory");
    if (source_omits(info, &f->omits))
        f->omits_told = true;
}

static const struct {
    const char *right, *words[4];
} compares[] = {{"+dump", {"DUMP", "df2redis:probe"}},
                {"+pexpiretime", {"PEXPIRETIME", "df2redis:probe"}},
                {"+memory", {"MEMORY", "USAGE", "df2redis:probe"}},
                {"+scan", {"SCAN", "0", "COUNT", "1"}},
                {"+select", {"SELECT", "0"}},
                /* of large values */
                {"+type", {"TYPE", "df2redis:probe"}},
                {"+strlen", {"STRLEN", "df2redis:probe"}},
                {"+getrange", {"GETRANGE", "df2redis:probe", "0", "0"}},
                {"+llen", {"LLEN", "df2redis:probe"}},
                {"+lrange", {"LRANGE", "df2redis:probe", "0", "0"}},
                {"+scard", {"SCARD", "df2redis:probe"}},
                {"+sscan", {"SSCAN", "df2redis:probe", "0"}},
                {"+hlen", {"HLEN", "df2redis:probe"}},
                {"+hscan", {"HSCAN", "df2redis:probe", "0"}},
                {"+zcard", {"ZCARD", "df2redis:probe"}},
                {"+zscan", {"ZSCAN", "df2redis:probe", "0"}}};
enum { COMPARES = sizeof compares / sizeof *compares };

static void on_compare(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    struct source_facts *f = arg;
    const char *right = compares[f->compare_told++].right;
    size_t len = strlen(f->not_compared);
    if (reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "NOPERM", 6) == 0)
        snprintf(f->not_compared + len, sizeof f->not_compared - len, "%s%s", len ? " " : "", right);
}

static void ask_compares(struct client *c, uint32_t timeout_ms, struct source_facts *f)
{
    for (size_t i = 0; i < COMPARES; i++) {
        struct slice argv[4];
        size_t argc = 0;
        while (argc < 4 && compares[i].words[argc]) {
            argv[argc] = slice_str(compares[i].words[argc]);
            argc++;
        }
        client_command(c, timeout_ms, on_compare, f, argc, argv);
    }
}

static bool says(const redisReply *reply, const char *words)
{
    return reply->type == REDIS_REPLY_ERROR && strcasestr(reply->str, words);
}

static void cluster_is(struct source_facts *f, enum source_cluster cluster)
{
    f->cluster = cluster;
    f->done(f->arg);
}

static void on_readwrite(struct client *c, const redisReply *reply, void *arg)
{
    (void)c;
    cluster_is(arg, says(reply, "disabled") ? SOURCE_CLUSTER_REAL : SOURCE_CLUSTER_NONE);
}

/* From the reply to CLUSTER SLOTS: true if one node serves all slots. */
static bool serves_all_slots(const redisReply *reply)
{
    const redisReply *range = reply->elements == 1 ? reply->element[0] : NULL;
    return range && range->type == REDIS_REPLY_ARRAY && range->elements >= 2 &&
           range->element[0]->type == REDIS_REPLY_INTEGER && range->element[0]->integer == 0 &&
           range->element[1]->type == REDIS_REPLY_INTEGER && range->element[1]->integer == LAST_SLOT;
}

static void on_slots(struct client *c, const redisReply *reply, void *arg)
{
    struct source_facts *f = arg;
    if (reply->type == REDIS_REPLY_ARRAY && serves_all_slots(reply))
        client_words(c, f->timeout_ms, on_readwrite, f, "READWRITE", NULL);
    else if (reply->type == REDIS_REPLY_ARRAY || says(reply, "not yet configured"))
        cluster_is(f, SOURCE_CLUSTER_REAL);
    else
        cluster_is(f, says(reply, "disabled") ? SOURCE_CLUSTER_NONE : SOURCE_CLUSTER_UNTOLD);
}

static void on_dflycluster(struct client *c, const redisReply *reply, void *arg)
{
    struct source_facts *f = arg;
    if (says(reply, "NOPERM") || says(reply, "unknown command") || says(reply, "restricted command"))
        client_words(c, f->timeout_ms, on_slots, f, "CLUSTER", "SLOTS", NULL);
    else
        cluster_is(f, says(reply, "disabled") ? SOURCE_CLUSTER_NONE : SOURCE_CLUSTER_REAL);
}

static void on_databases(struct client *c, const redisReply *reply, void *arg)
{
    struct source_facts *f = arg;
    uint64_t n;
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
        reply->element[1]->type == REDIS_REPLY_STRING &&
        slice_to_u64(slice_of(reply->element[1]->str, reply->element[1]->len), &n) && n <= UINT32_MAX)
        f->databases = (uint32_t)n;
    if (f->cluster_enabled || !f->info)
        client_words(c, f->timeout_ms, on_dflycluster, f, "DFLYCLUSTER", "SLOT-MIGRATION-STATUS", NULL);
    else
        f->done(f->arg);
}

/* DFLYCLUSTER, or CLUSTER and READWRITE in its place, is asked only where it can matter. */
void source_rights(struct buf *out)
{
    buf_printf(out, "+ping +replconf +dfly +dflycluster +info +config +time +client");
    for (size_t i = 0; i < COMPARES; i++)
        buf_printf(out, " %s", compares[i].right);
    buf_printf(out, " +exists +watch +unwatch +multi +exec");
}

void source_facts_ask(struct client *c, uint32_t timeout_ms, struct source_facts *out,
                      void (*done)(void *arg), void *arg)
{
    static const char *const sections[] = {"PERSISTENCE", "MEMORY", "STATS", "CLUSTER"};
    *out = (struct source_facts){.timeout_ms = timeout_ms, .done = done, .arg = arg};
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++)
        client_words(c, timeout_ms, on_info, out, "INFO", sections[i], NULL);
    ask_compares(c, timeout_ms, out);
    client_words(c, timeout_ms, on_databases, out, "CONFIG", "GET", "databases", NULL);
}

/* ---- the judgement ---- */

static void judge_rights(const struct source_facts *f, const struct source_judged *w, struct findings *out)
{
    findings_probe(out, "source rights", "its user may do all that the run needs");
    if (f->dfly_refused)
        findings_refuse(
            out, EX_NOPERM,
            "source %s: its user may not replicate: give it +dfly (it needs +ping +replconf +dfly)",
            w->source);
    if (!f->info)
        findings_warn(
            out,
            "source %s does not tell what it is and which databases it uses: give its user +info (it needs "
            "+ping +replconf +dfly, and should have +info +config|get)",
            w->source);
    if (f->not_compared[0])
        findings_warn(out,
                      "source %s: keys in doubt cannot be compared with the target's, only counted: give its "
                      "user ~* %s",
                      w->source, f->not_compared);
}

static void judge_cluster(const struct source_facts *f, const struct source_judged *w, struct findings *out)
{
    findings_probe(out, "source cluster", "it is no node of a Dragonfly Cluster");
    if (f->cluster == SOURCE_CLUSTER_REAL)
        findings_refuse(out, EX_CONFIG,
                        "source %s is a node of a Dragonfly Cluster (--cluster_mode=yes): it has only some "
                        "of the keys, and "
                        "the target would keep slots that migrate away; use a Dragonfly with all keys "
                        "(--cluster_mode=emulated is one)",
                        w->source);
    else if (f->cluster == SOURCE_CLUSTER_UNTOLD)
        findings_refuse(
            out, EX_NOPERM,
            "source %s does not tell whether it is a node of a Dragonfly Cluster, which would have a part of "
            "the keys: give its user +dflycluster, or, where that is renamed or restricted, +cluster "
            "+readwrite",
            w->source);
}

/* Where the target does not tell something. */
static const char *remedy(const struct source_judged *w, const char *words)
{
    return w->target_unknown ? "see the line target" : words;
}

/* The target needs the highest database number that is copied. */
static void judge_databases(const struct source_facts *f, const struct source_judged *w, struct findings *out)
{
    struct error error = {0};
    uint32_t has = w->target_cluster ? 1 : w->target_databases;
    if (has == UINT32_MAX || !f->info)
        findings_unknown(out, "databases", "%s does not tell its databases: %s",
                         f->info ? "the target" : "the source",
                         f->info ? remedy(w, "give its user +config|get") : "give its user +info");
    else
        findings_probe(out, "databases", "%zu in use, %u on the target", w->database_count, has);
    if (!databases_fit(w->settings, w->databases, w->database_count, w->source, has, w->target_cluster,
                       &error)) {
        if (w->goes_on)
            findings_warn(out, "%s; what is written there is counted, key by key", error.text);
        else
            findings_refuse(out, EX_CONFIG, "%s", error.text);
    } else if (f->databases > has && !w->settings->db_map_count) {
        findings_warn(out,
                      "source %s may have %u databases, and target %s has %u: writes to further databases "
                      "would be counted "
                      "as divergences, key by key; --db chooses the databases to copy",
                      w->source, f->databases, w->target, has);
    }
}

/* What is read there, and neither acknowledged nor claimed, is pending on the source alone. */
static void judge_reads(const struct source_judged *w, struct findings *out)
{
    findings_probe(out, "reads of groups", "the source journals XREADGROUP");
    if (!release_reads_unseen(w->release))
        return;
    findings_warn(out,
                  "source %s: Dragonfly %u.%u.%u does not journal XREADGROUP: what consumer groups read "
                  "during the run is "
                  "known on the target once it is acknowledged or claimed; before clients are moved, let "
                  "them acknowledge "
                  "what they have read",
                  w->source, w->release / 10000, w->release / 100 % 100, w->release % 100);
}

/* The releases are known; the flag cannot be queried. */
static void judge_release(const struct source_facts *f, const struct source_judged *w, struct findings *out)
{
    char release[48] = "a Dragonfly that does not tell its release";
    findings_probe(out, "full sync",
                   w->goes_on ? "none: the run resumes a complete copy"
                              : "the source's journal omits nothing");
    if (!release_omits(w->release) || w->goes_on || (out->errors && !w->even_if_refused))
        return; /* no full sync follows */
    bool keeps_keys =
        w->settings->on_conflict == ON_CONFLICT_SKIP || w->settings->on_conflict == ON_CONFLICT_STOP;
    if (w->release)
        snprintf(release, sizeof release, "Dragonfly %u.%u.%u", w->release / 10000, w->release / 100 % 100,
                 w->release % 100);
    findings_warn(
        out,
        "source %s: %s may leave out keys that are new, and deletions, while a full sync runs (%llu journal "
        "entries omitted so far): %s; --journal_omit_redundant_writes=false at its start prevents it",
        w->source, release, (unsigned long long)f->omits,
        keeps_keys ? "with --on-conflict skip or stop this is not detected"
                   : "if their number grows during the full sync, all keys are compared afterwards and "
                     "repaired");
}

static void judge_memory(const struct source_facts *f, const struct source_judged *w, struct findings *out)
{
    bool evicts = w->memory_policy[0] && strcmp(w->memory_policy, "noeviction") != 0;
    unsigned long long limit = w->memory_limit >> 20, used = f->used_memory >> 20;
    bool small = f->used_memory > w->memory_limit;
    uint64_t room = w->memory_system > w->memory_used ? w->memory_system - w->memory_used : 0;
    if (!w->memory_policy[0])
        findings_unknown(out, "memory", "the target does not tell its memory: %s",
                         remedy(w, "give its user +info"));
    else if (!f->used_memory)
        findings_unknown(out, "memory", "the source does not tell its memory: give its user +info");
    else
        findings_probe(out, "memory", "the source uses %s, the target may use %s", size_text(f->used_memory),
                       w->memory_limit ? size_text(w->memory_limit) : "all that its machine has");
    if (!w->memory_limit && w->memory_system && f->used_memory > room)
        findings_warn(out,
                      "the machine of target %s has %llu MiB left beside what the target holds, and the "
                      "source uses %llu MiB: give it more memory",
                      w->target, (unsigned long long)(room >> 20), used);
    if (!w->memory_limit || (!evicts && !small))
        return;
    if (evicts)
        findings_warn(
            out,
            "target %s evicts keys when its maxmemory of %llu MiB is reached (%s)%s: set maxmemory-policy "
            "noeviction",
            w->target, limit, w->memory_policy, small ? ", which is less than the source uses" : "");
    else
        findings_warn(out, "target %s has a maxmemory of %llu MiB, and the source uses %llu MiB: raise it",
                      w->target, limit, used);
}

void source_facts_judge(const struct source_facts *facts, const struct source_judged *with,
                        struct findings *out)
{
    judge_rights(facts, with, out);
    judge_cluster(facts, with, out);
    judge_databases(facts, with, out);
    judge_memory(facts, with, out);
    judge_release(facts, with, out);
    judge_reads(with, out);
}
