/* The error text of both kinds of transport. */
#include "common/net/transport_internal.h"

#include <stdarg.h>
#include <stdio.h>

int transport_fail(struct transport *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(t->error, sizeof t->error, format, args);
    va_end(args);
    return TRANSPORT_FAILED;
}
