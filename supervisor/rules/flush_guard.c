/* The rules in order; the first match decides. */
#include "supervisor/rules/flush_guard.h"

#include <stdio.h>
#include <sysexits.h>

#include "common/base/uri.h"

/* True: the source has lost its data, or has restarted and may have. The target may be the only good copy. */
static bool source_lost_keys(const struct flush_facts *f)
{
    return f->source_keys_known ? f->source_keys < f->keys / 2 + f->keys % 2
                                : f->source == FLUSH_SOURCE_RESTARTED;
}

/* True: the options give up a complete copy. --flush-target alone does not: it may stand in a configuration file. */
static bool gives_up_copy(const struct flush_facts *f)
{
    return f->flush_target && f->resync_given && f->resync == ON_FULL_RESYNC_FLUSH;
}

/* True: the copy has keys that the source lacks, or is to keep them, or is never to be empty. Only flush given
 * explicitly ends that. */
static bool keeps(const struct flush_facts *f)
{
    return f->resync == ON_FULL_RESYNC_KEEP || f->resync == ON_FULL_RESYNC_PRUNE ||
           (f->kept && !(f->resync_given && f->resync == ON_FULL_RESYNC_FLUSH));
}

static enum flush_verdict judge_others(const struct flush_facts *f)
{
    if (f->holds == FLUSH_HOLDS_STRAY && (f->flush_target || !f->conflict))
        return FLUSH_STOP_STRAY;
    if (f->holds == FLUSH_HOLDS_DONE && !gives_up_copy(f) && (f->flush_target || !f->conflict))
        return FLUSH_STOP_DONE;
    if (f->holds == FLUSH_HOLDS_DONE && f->flush_target && source_lost_keys(f))
        return FLUSH_STOP_SOURCE_LOST_KEYS;
    if (f->flush_target)
        return FLUSH_NOW;
    return f->conflict ? FLUSH_WRITE_OVER : FLUSH_STOP_OTHERS;
}

static enum flush_verdict judge_other_source(const struct flush_facts *f)
{
    bool complete = f->holds != FLUSH_HOLDS_PARTIAL;
    if (!f->flush_target || keeps(f) || (complete && !gives_up_copy(f)))
        return FLUSH_STOP_OTHER_SOURCE;
    return complete && source_lost_keys(f) ? FLUSH_STOP_SOURCE_LOST_KEYS : FLUSH_NOW;
}

/* The verdict for keys of this run. Nothing below source_lost_keys() is reached without it, and nothing above it
 * flushes. A source with the same history has lost nothing: what it lacks now its clients have deleted. */
static enum flush_verdict judge_own(const struct flush_facts *f)
{
    /* --flush-target, given for the first time, or before anything was complete. */
    bool first = f->flush_target && !f->kept && f->holds == FLUSH_HOLDS_PARTIAL;
    bool anew = first || (gives_up_copy(f) && !f->kept && !f->owned);
    if (f->resync == ON_FULL_RESYNC_KEEP && (!first || source_lost_keys(f)))
        return FLUSH_WRITE_OVER;
    if (f->resync == ON_FULL_RESYNC_PRUNE && !first)
        return f->owned && f->source != FLUSH_SOURCE_SAME && source_lost_keys(f) ? FLUSH_STOP_SOURCE_LOST_KEYS
                                                                                 : FLUSH_WRITE_OVER;
    if (f->resync == ON_FULL_RESYNC_STOP && !anew)
        return FLUSH_STOP_ASKED;
    if ((!f->owned && !anew) || (f->kept && !f->resync_given))
        return FLUSH_WRITE_OVER;
    if (f->source != FLUSH_SOURCE_SAME && source_lost_keys(f))
        return FLUSH_STOP_SOURCE_LOST_KEYS;
    if (f->holds == FLUSH_HOLDS_ENDED && !f->resync_given && !anew)
        return FLUSH_STOP_ENDED;
    return FLUSH_NOW;
}

enum flush_verdict flush_guard(const struct flush_facts *f)
{
    if (f->keys == 0)
        return FLUSH_NOT_NEEDED;
    if (f->holds <= FLUSH_HOLDS_DONE)
        return judge_others(f);
    if (f->source == FLUSH_SOURCE_OTHER)
        return judge_other_source(f);
    return judge_own(f);
}

void flush_guard_explain(enum flush_verdict verdict, const struct flush_facts *facts,
                         const struct settings *settings, const char *source, const char *source_before,
                         const char *reason, struct error *error)
{
    char target[128], counted[48] = "an unknown number of keys";
    unsigned long long keys = facts->keys;
    uri_display(&settings->target, target, sizeof target);
    if (facts->source_keys_known)
        snprintf(counted, sizeof counted, "%llu keys", (unsigned long long)facts->source_keys);
    switch (verdict) {
    case FLUSH_NOT_NEEDED:
    case FLUSH_NOW:
    case FLUSH_WRITE_OVER:
        break;
    case FLUSH_STOP_OTHERS:
        error_fatal(
            error, EX_CANTCREAT,
            "target %s holds %llu key%s. Choose: an empty target; --flush-target, which deletes them all; or "
            "--on-conflict overwrite|skip|stop, which decides about keys that are on both sides and keeps "
            "the "
            "others",
            target, keys, keys == 1 ? "" : "s");
        break;
    case FLUSH_STOP_STRAY:
        error_fatal(error, EX_CANTCREAT,
                    "target %s holds %llu key%s, a complete copy by run \"%s\", and the state directory of "
                    "that run is "
                    "elsewhere. Choose: that directory (--state-dir); or df2redis clean, which removes the "
                    "run's marks, "
                    "and then --flush-target, which deletes all keys",
                    target, keys, keys == 1 ? "" : "s", settings->name);
        break;
    case FLUSH_STOP_OTHER_SOURCE:
        error_fatal(error, EX_CANTCREAT,
                    "target %s holds %llu key%s that run \"%s\" copied from %.120s, and the source is %.120s "
                    "now. Choose: "
                    "another --name and an empty target; or --flush-target%s, which deletes them all",
                    target, keys, keys == 1 ? "" : "s", settings->name, source_before, source,
                    keeps(facts) || facts->holds != FLUSH_HOLDS_PARTIAL ? " with --on-full-resync flush"
                                                                        : "");
        break;
    case FLUSH_STOP_DONE:
        error_fatal(error, EX_CANTCREAT,
                    "target %s holds %llu key%s, a complete copy by run \"%s\", which cannot resume it "
                    "(%.90s). Choose: another --name and an empty target; or --flush-target with "
                    "--on-full-resync flush, which deletes them all",
                    target, keys, keys == 1 ? "" : "s", settings->name, reason);
        break;
    case FLUSH_STOP_ASKED:
        error_fatal(
            error, EX_TEMPFAIL,
            "a new full sync is needed (%.120s), and --on-full-resync stop was given or follows from "
            "--on-conflict: the target is left as it is. Choose: --on-full-resync prune, flush or keep%s",
            reason,
            facts->owned ? ""
                         : ", where each keeps the keys; or --flush-target with --on-full-resync flush, "
                           "which deletes them all");
        break;
    case FLUSH_STOP_SOURCE_LOST_KEYS:
        error_fatal(error, EX_TEMPFAIL,
                    "source %.120s %shas %s, target %s %llu: the copy is left as it is. Choose: the "
                    "source with its data; %s; or df2redis clean and then --flush-target, which deletes it",
                    source, facts->source == FLUSH_SOURCE_RESTARTED ? "was restarted and " : "", counted,
                    target, keys,
                    facts->holds == FLUSH_HOLDS_DONE || facts->source == FLUSH_SOURCE_OTHER
                        ? "another --name and an empty target"
                        : "--on-full-resync keep, which writes over the copy");
        break;
    case FLUSH_STOP_ENDED:
        error_fatal(
            error, EX_CANTCREAT,
            "the run was ended in order, target %s may be in use since, and a full sync is needed (%.100s): "
            "the copy is left as it is. Choose: --on-full-resync keep, which writes over it; prune, which "
            "then removes what the source lacks; or flush, which empties it",
            target, reason);
        break;
    }
}
