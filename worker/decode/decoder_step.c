/* Errors of the stream, of a step and of the decoder. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <sysexits.h>

#include "worker/decode/decoder_internal.h"

enum step decoder_broken(struct decoder *d, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(d->why.text, sizeof d->why.text, format, args);
    va_end(args);
    return STEP_ERROR;
}

enum decode_status decoder_fail(struct decoder *d, struct error *error)
{
    if (d->in_blob)
        error_fatal(&d->failed, EX_PROTOCOL,
                    "the FLOW's stream is broken at offset %" PRIu64
                    ", in the compressed blob there at %" PRIu64 ": %s",
                    d->offset, d->blob_position, d->why.text);
    else
        error_fatal(&d->failed, EX_PROTOCOL, "the FLOW's stream is broken at offset %" PRIu64 ": %s",
                    d->offset, d->why.text);
    if (error)
        *error = d->failed;
    return DECODE_ERROR;
}
