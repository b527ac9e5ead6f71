#include "supervisor/check/report.h"

#include <string.h>
#include <sysexits.h>

#include "supervisor/observe/json.h"

enum { COLUMNS = 79, TEXT_COLUMN = 27 };

/* ---- the document ---- */

static void add_row(cJSON *rows, const char *probe, const char *result, const char *text)
{
    cJSON *row = cJSON_CreateObject();
    cJSON_AddStringToObject(row, "probe", probe);
    cJSON_AddStringToObject(row, "result", result);
    cJSON_AddStringToObject(row, "text", text);
    cJSON_AddItemToArray(rows, row);
}

static void add_probe(cJSON *rows, const struct findings *f, size_t probe)
{
    const struct probe *p = &f->probes[probe];
    bool any = false;
    for (size_t i = 0; i < f->count; i++) {
        if (f->list[i].probe != probe)
            continue;
        any = true;
        add_row(rows, p->name, f->list[i].severity == FINDING_ERROR ? "error" : "warning", f->list[i].text);
    }
    if (!any)
        add_row(rows, p->name, p->known ? "ok" : "unknown", p->text);
}

static unsigned count_of(const cJSON *rows, const char *result)
{
    const cJSON *row;
    unsigned n = 0;
    cJSON_ArrayForEach(row, rows) n += strcmp(json_text(row, "result"), result) == 0;
    return n;
}

cJSON *report_document(const struct settings *settings, const char *source, const char *target,
                       const struct findings *findings)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "source", source);
    cJSON_AddStringToObject(json, "target", target);
    cJSON_AddStringToObject(json, "name", settings->name);
    cJSON *rows = cJSON_AddArrayToObject(json, "probes");
    for (size_t i = 0; i < findings->probe_count; i++)
        add_probe(rows, findings, i);
    unsigned warnings = count_of(rows, "warning");
    cJSON_AddNumberToObject(json, "errors", count_of(rows, "error"));
    cJSON_AddNumberToObject(json, "warnings", warnings);
    cJSON_AddNumberToObject(json, "unknown", count_of(rows, "unknown"));
    cJSON_AddNumberToObject(json, "exit_code",
                            findings->errors ? findings_exit_code(findings)
                            : warnings       ? EX_DATAERR
                                             : EX_OK);
    return json;
}

/* ---- the table ---- */

/* Prints the words from a column on. A word that is longer than a line is broken. */
static void print_wrapped(const char *text, size_t column, FILE *out)
{
    size_t room = COLUMNS - column, at = 0;
    while (*text) {
        size_t len = strcspn(text, " ");
        size_t part = len < room ? len : room;
        if (at && at + 1 + part > room) {
            fprintf(out, "\n%*s", (int)column, "");
            at = 0;
        }
        at += (size_t)fprintf(out, "%s%.*s", at ? " " : "", (int)part, text);
        text += part;
        text += part == len && *text == ' ';
    }
    fputc('\n', out);
}

static void print_line(const char *name, const char *text, FILE *out)
{
    fprintf(out, "%-8s", name);
    print_wrapped(text, 8, out);
}

void report_print(const cJSON *document, FILE *out)
{
    const cJSON *row, *rows = cJSON_GetObjectItem(document, "probes");
    unsigned errors = (unsigned)json_u64(document, "errors"),
             warnings = (unsigned)json_u64(document, "warnings"),
             unknown = (unsigned)json_u64(document, "unknown");
    print_line("source", json_text(document, "source"), out);
    print_line("target", json_text(document, "target"), out);
    print_line("name", json_text(document, "name"), out);
    fputc('\n', out);
    cJSON_ArrayForEach(row, rows)
    {
        const char *result = json_text(row, "result");
        fprintf(out, "%-9s %-16s ", strcmp(result, "unknown") == 0 ? "not known" : result,
                json_text(row, "probe"));
        print_wrapped(json_text(row, "text"), TEXT_COLUMN, out);
    }
    fprintf(out, "\n%u error%s, %u warning%s, %u not known, %u ok; nothing was written\n", errors,
            errors == 1 ? "" : "s", warnings, warnings == 1 ? "" : "s", unknown, count_of(rows, "ok"));
}
