/* What is compared, and what was found: the report, and a line in differences.log for each key that is not equal.
 *
 *   2026-11-30T22:53:21Z different missing string db 0 "user:1" */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "common/base/crc.h"
#include "common/ipc/statefile.h"
#include "worker/verifier/verifier_internal.h"

enum { PPM = 1000000 };

bool outcome_open_log(struct verifier *v, uint64_t length, struct error *error)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/differences.log", v->directory);
    v->log = statefile_open(v->directory, path, O_WRONLY | O_CREAT | O_APPEND, error);
    if (v->log < 0)
        return false;
    if (ftruncate(v->log, (off_t)length) != 0)
        return statefile_error(error, v->directory, path, "truncating", errno);
    return true;
}

static void write_log(struct verifier *v, const struct doubt *k, const char *verdict, const char *kind,
                      const char *text)
{
    struct buf line = {0};
    char when[32];
    time_t now = time(NULL);
    struct tm utc;
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    buf_printf(&line, "%s %s%s%s %s db %u %s%s%s\n", when, verdict, *kind ? " " : "", kind,
               verify_type_name(k->type), k->db, log_key(k->key), *text ? ": " : "", text);
    if (write(v->log, line.data, line.len) != (ssize_t)line.len)
        log_warning("differences.log cannot be written: %s", strerror(errno));
    buf_free(&line);
}

static uint64_t hash_of(uint32_t db, struct slice key)
{
    return crc64(db, key.data, key.len);
}

static bool is_in_sample(const struct verifier *v, uint64_t hash)
{
    return v->sample_ppm >= PPM || (hash >> 20) % PPM < v->sample_ppm;
}

bool outcome_wanted(struct verifier *v, const struct leg *leg, struct slice name, bool *large)
{
    uint64_t hash = hash_of(leg->target_db, name);
    bool own = leg->phase == VERIFY_TARGET_KEYS ? slice_begins(name, "df2redis:")
                                                : settings_key_reserved(&v->settings, name);
    if (own || !settings_key_wanted(&v->settings, name) || !is_in_sample(v, hash))
        return false;
    if (leg->phase == VERIFY_LARGE_KEYS)
        hash_set_add(&v->large, hash);
    *large = leg->phase == VERIFY_SOURCE_KEYS && hash_set_has(&v->large, hash);
    return true;
}

static void add_doubt(struct verifier *v, const struct page_result *r, bool of_target)
{
    struct doubt *k =
        hash_set_has(&v->reported, hash_of(r->db, r->key)) ? NULL : doubts_add(v->doubts, r->db, r->key);
    if (!k)
        return;
    k->large = r->outcome == PAGE_LARGE;
    k->of_target = of_target;
    v->report.doubtful++;
}

void outcome_of_page(struct verifier *v, const struct leg *leg, const struct page_result *r)
{
    bool of_target = leg->phase == VERIFY_TARGET_KEYS;
    if (r->outcome == PAGE_DOUBTFUL || (r->outcome == PAGE_LARGE && !of_target))
        add_doubt(v, r, of_target);
    else if (r->outcome == PAGE_LARGE)
        hash_set_add(&v->large, hash_of(r->db, r->key));
    else if (!of_target && r->type != DIGEST_NOTHING)
        verify_row(&v->report, r->db, r->type)->keys++;
}

static void found(struct verifier *v, const struct doubt *k, struct verify_row *row)
{
    row->keys++;
    row->different++;
    v->report.kinds[k->kind]++;
    hash_set_add(&v->reported, hash_of(k->db, k->key));
}

void outcome_of_doubt(struct verifier *v, const struct doubt *k, enum exact_verdict verdict, const char *text)
{
    if (verdict == EXACT_EQUAL && (k->of_target || k->type == DIGEST_NOTHING))
        return;
    struct verify_row *row = verify_row(&v->report, k->db, k->type);
    const char *kind = verify_kind_name(k->kind);
    if (verdict == EXACT_UNDECIDED && k->repair) {
        verdict = EXACT_UNREPAIRABLE;
        text = "written too often to be repaired";
    }
    switch (verdict) {
    case EXACT_EQUAL:
        row->keys++;
        return;
    case EXACT_FOUND:
        found(v, k, row);
        return;
    case EXACT_DIFFERENT:
        found(v, k, row);
        write_log(v, k, "different", kind, "");
        return;
    case EXACT_HEALED:
        row->healed++;
        write_log(v, k, "repaired", kind, "");
        return;
    case EXACT_UNREPAIRABLE:
        write_log(v, k, "unrepairable", kind, text);
        return;
    case EXACT_UNDECIDED:
        row->keys++;
        row->undecided++;
        hash_set_add(&v->reported, hash_of(k->db, k->key));
        write_log(v, k, "undecided", "", "written too often to be compared");
        return;
    case EXACT_INCOMPARABLE:
        row->keys++;
        row->incomparable++;
        hash_set_add(&v->reported, hash_of(k->db, k->key));
        write_log(v, k, "incomparable", "", text);
    }
}

int outcome_exit_code(const struct verifier *v)
{
    struct verify_row sum = verify_total(&v->report);
    if (sum.different > sum.healed)
        return EX_DATAERR;
    return sum.undecided ? EX_TEMPFAIL : EX_OK;
}
