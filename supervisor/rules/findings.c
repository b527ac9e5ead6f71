#include "supervisor/rules/findings.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "common/base/mem.h"
#include "common/log/log.h"

static void add_finding(struct findings *f, enum finding_severity severity, int exit_code, const char *format,
                        va_list args)
{
    char text[1600];
    vsnprintf(text, sizeof text, format, args);
    for (size_t i = 0; i < f->count; i++)
        if (strcmp(f->list[i].text, text) == 0)
            return;
    f->list = x_realloc(f->list, (f->count + 1) * sizeof *f->list);
    f->list[f->count++] = (struct finding){.severity = severity,
                                           .exit_code = exit_code,
                                           .text = x_strdup(text),
                                           .probe = f->probe_count ? f->probe : FINDINGS_NO_PROBE};
    f->errors += severity == FINDING_ERROR;
}

static void begin_probe(struct findings *f, const char *name, bool known, const char *format, va_list args)
{
    char text[480];
    for (f->probe = 0; f->probe < f->probe_count; f->probe++)
        if (strcmp(f->probes[f->probe].name, name) == 0)
            return;
    vsnprintf(text, sizeof text, format, args);
    f->probes = x_realloc(f->probes, (f->probe_count + 1) * sizeof *f->probes);
    f->probes[f->probe_count++] = (struct probe){.name = name, .known = known, .text = x_strdup(text)};
}

void findings_probe(struct findings *f, const char *name, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    begin_probe(f, name, true, format, args);
    va_end(args);
}

void findings_unknown(struct findings *f, const char *name, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    begin_probe(f, name, false, format, args);
    va_end(args);
}

void findings_warn(struct findings *f, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add_finding(f, FINDING_WARNING, 0, format, args);
    va_end(args);
}

void findings_refuse(struct findings *f, int exit_code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add_finding(f, FINDING_ERROR, exit_code, format, args);
    va_end(args);
}

static bool finding_fits(const struct finding *f, const struct error *error)
{
    return strlen(f->text) < sizeof error->text;
}

int findings_exit_code(const struct findings *f)
{
    int exit_code = 0;
    for (size_t i = 0; i < f->count; i++) {
        const struct finding *one = &f->list[i];
        if (one->severity == FINDING_ERROR && (!exit_code || one->exit_code == EX_NOPERM))
            exit_code = one->exit_code;
    }
    return exit_code;
}

bool findings_tell(struct findings *f, struct error *error)
{
    const struct finding *first = NULL;
    int exit_code = findings_exit_code(f);
    size_t errors = f->errors;
    for (size_t i = 0; i < f->count; i++) {
        const struct finding *one = &f->list[i];
        if (one->severity == FINDING_WARNING) {
            log_warning("%s", one->text);
            continue;
        }
        first = first ? first : one;
        if (errors > 1 || !finding_fits(one, error))
            log_error("%s", one->text);
    }
    if (first && errors == 1 && finding_fits(first, error))
        error_fatal(error, exit_code, "%s", first->text);
    else if (errors == 1)
        error_fatal(error, exit_code, "see the error above; nothing was written");
    else if (errors)
        error_fatal(error, exit_code, "source and target: %zu errors, each logged above; nothing was written",
                    errors);
    findings_free(f);
    return errors > 0;
}

void findings_free(struct findings *f)
{
    for (size_t i = 0; i < f->count; i++)
        free(f->list[i].text);
    free(f->list);
    for (size_t i = 0; i < f->probe_count; i++)
        free(f->probes[i].text);
    free(f->probes);
    *f = (struct findings){0};
}
