/* Errors as values. */
#include "common/base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <sysexits.h>

#include "common/base/printable.h"

#undef error_set
#undef error_fatal

static void error_fill(struct error *e, enum error_class class, int exit_code, const char *format,
                       va_list args)
{
    if (!e)
        return;
    e->class = class;
    e->exit_code = exit_code;
    vsnprintf(e->text, sizeof e->text, format, args);
    printable(e->text, sizeof e->text);
}

bool error_set(struct error *e, enum error_class class, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    error_fill(e, class, class == ERROR_FATAL ? EX_SOFTWARE : 0, format, args);
    va_end(args);
    return false;
}

bool error_fatal(struct error *e, int exit_code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    error_fill(e, ERROR_FATAL, exit_code, format, args);
    va_end(args);
    return false;
}

const char *error_class_name(enum error_class class)
{
    static const char *const names[] = {"none", "retry", "redirect", "divergence", "fatal"};
    return (unsigned)class < sizeof names / sizeof *names ? names[class] : "unknown";
}
