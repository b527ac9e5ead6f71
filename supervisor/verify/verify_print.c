#include "supervisor/verify/verify_print.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

enum { BAR_WIDTH = 20, LINES_SHOWN = 5 };

typedef unsigned long long ull;

static double share_of(const struct verify_report *r)
{
    if (r->phase >= VERIFY_DOUBTFUL_KEYS)
        return 1;
    double share = r->to_scan ? (double)r->scanned / (double)r->to_scan : 0;
    return share < 0.99 ? share : 0.99;
}

/* "1,234,567". The text is valid for the next seven calls. */
static const char *number(uint64_t n)
{
    static char rooms[8][32];
    static unsigned next;
    char digits[24], *out = rooms[next++ % 8];
    size_t len = format_u64(digits, n), at = 0;
    for (size_t i = 0; i < len; i++) {
        if (i && (len - i) % 3 == 0)
            out[at++] = ',';
        out[at++] = digits[i];
    }
    out[at] = '\0';
    return out;
}

void verify_format_progress(const struct verify_report *r, uint64_t rate, size_t columns, char *out,
                            size_t out_bytes)
{
    char bar[BAR_WIDTH + 1];
    double share = share_of(r);
    size_t filled = (size_t)(share * BAR_WIDTH + 0.5);
    struct verify_row sum = verify_total(r);
    for (size_t i = 0; i < BAR_WIDTH; i++)
        bar[i] = i < filled ? '#' : '.';
    bar[BAR_WIDTH] = '\0';
    if (*r->trouble)
        snprintf(out, out_bytes, "%.400s", r->trouble);
    else
        snprintf(out, out_bytes, "%-18s [%s] %3.0f %% %s/s, %s different, %s doubtful",
                 verify_phase_name((enum verify_phase)r->phase), bar, share * 100, number(rate),
                 number(sum.different), number(r->pending));
    if (columns < out_bytes && strlen(out) > columns)
        out[columns] = '\0';
}

/* ---- the table ---- */

static int by_database(const void *a, const void *b)
{
    const struct verify_row *x = a, *y = b;
    if (x->db != y->db)
        return x->db < y->db ? -1 : 1;
    return (x->type > y->type) - (x->type < y->type);
}

static void print_row(const char *database, const char *type, const struct verify_row *row, FILE *out)
{
    fprintf(out, "%8s %-7s %14s %10s %10s %10s %12s\n", database, type, number(row->keys),
            number(row->different), number(row->healed), number(row->undecided), number(row->incomparable));
}

static void print_rows(const struct verify_report *r, FILE *out)
{
    struct verify_report sorted = *r;
    struct verify_row sum = verify_total(r);
    char database[16];
    qsort(sorted.rows, sorted.row_count, sizeof *sorted.rows, by_database);
    fprintf(out, "%8s %-7s %14s %10s %10s %10s %12s\n", "database", "type", "keys", "different", "repaired",
            "undecided", "incomparable");
    for (size_t i = 0; i < sorted.row_count; i++) {
        snprintf(database, sizeof database, "%u", sorted.rows[i].db);
        print_row(database, verify_type_name(sorted.rows[i].type), &sorted.rows[i], out);
    }
    print_row("all", "", &sum, out);
}

static void print_kinds(const struct verify_report *r, FILE *out)
{
    const char *between = "differences: ";
    for (unsigned i = 0; i < VERIFY_KINDS; i++)
        if (r->kinds[i]) {
            fprintf(out, "%s%s %s", between, number(r->kinds[i]), verify_kind_name((enum verify_kind)i));
            between = ", ";
        }
    if (*between == ',')
        fputc('\n', out);
}

static void print_lines(const char *path, FILE *out)
{
    FILE *log = fopen(path, "re");
    char line[700];
    for (int i = 0; log && i < LINES_SHOWN && fgets(line, sizeof line, log); i++)
        fprintf(out, "  %s", line);
    if (log)
        fclose(log);
}

void verify_print_report(const struct verify_report *r, const struct verify_print *with, FILE *out)
{
    struct verify_row sum = verify_total(r);
    double seconds = (double)r->spent_ms / 1000;
    bool any = sum.different || sum.undecided || sum.incomparable;
    fprintf(out, "source   %s\ntarget   %s\n", with->source, with->target);
    fprintf(out, "name     %s, %s\n", with->name,
            r->exact ? "beside its run: exact"
                     : "without a run: exact only if neither side was written meanwhile");
    fprintf(out, "keys     %s%s, in %.1f s\n\n", number(sum.keys),
            r->sample_ppm < 1000000 ? ", a sample" : "", seconds);
    print_rows(r, out);
    fputc('\n', out);
    print_kinds(r, out);
    if (any) {
        fprintf(out, "each is a line in %s\n", with->log_path);
        print_lines(with->log_path, out);
    }
    if (with->interrupted)
        fprintf(out, "not complete (%s): the same command goes on from here\n",
                verify_phase_name((enum verify_phase)r->phase));
    else if (sum.different > sum.healed)
        fprintf(out, "%s different: %s\n", number(sum.different - sum.healed),
                r->repair  ? "they could not be repaired, see the log"
                : r->exact ? "df2redis verify --repair writes the source's values"
                           : "df2redis replicate copies them anew");
    else if (sum.undecided)
        fprintf(out, "no difference found; %s undecided, as they are written all the time\n",
                number(sum.undecided));
    else
        fprintf(out, "%s\n", sum.different ? "all differences are repaired" : "no difference");
}

/* ---- the document ---- */

static void add_counts(cJSON *json, const struct verify_row *row)
{
    cJSON_AddNumberToObject(json, "keys", (double)row->keys);
    cJSON_AddNumberToObject(json, "different", (double)row->different);
    cJSON_AddNumberToObject(json, "repaired", (double)row->healed);
    cJSON_AddNumberToObject(json, "undecided", (double)row->undecided);
    cJSON_AddNumberToObject(json, "incomparable", (double)row->incomparable);
}

void verify_print_json(const struct verify_report *r, const struct verify_print *with, FILE *out)
{
    struct verify_row sum = verify_total(r);
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "name", with->name);
    cJSON_AddStringToObject(json, "source", with->source);
    cJSON_AddStringToObject(json, "target", with->target);
    cJSON_AddBoolToObject(json, "exact", r->exact != 0);
    cJSON_AddBoolToObject(json, "repair", r->repair != 0);
    cJSON_AddBoolToObject(json, "complete", r->phase == VERIFY_ENDED);
    cJSON_AddNumberToObject(json, "sample_percent", (double)r->sample_ppm / 10000);
    cJSON_AddNumberToObject(json, "seconds", (double)r->spent_ms / 1000);
    add_counts(json, &sum);
    cJSON_AddNumberToObject(json, "doubtful", (double)r->doubtful);
    cJSON *kinds = cJSON_AddObjectToObject(json, "kinds");
    for (unsigned i = 0; i < VERIFY_KINDS; i++)
        if (r->kinds[i])
            cJSON_AddNumberToObject(kinds, verify_kind_name((enum verify_kind)i), (double)r->kinds[i]);
    cJSON *rows = cJSON_AddArrayToObject(json, "types");
    for (size_t i = 0; i < r->row_count; i++) {
        cJSON *row = cJSON_CreateObject();
        cJSON_AddNumberToObject(row, "database", r->rows[i].db);
        cJSON_AddStringToObject(row, "type", verify_type_name(r->rows[i].type));
        add_counts(row, &r->rows[i]);
        cJSON_AddItemToArray(rows, row);
    }
    cJSON_AddStringToObject(json, "log", with->log_path);
    if (r->phase == VERIFY_ENDED)
        cJSON_AddNumberToObject(json, "exit_code", (double)r->exit_code);
    char *text = cJSON_PrintUnformatted(json);
    fprintf(out, "%s\n", text ? text : "{}");
    cJSON_free(text);
    cJSON_Delete(json);
}
