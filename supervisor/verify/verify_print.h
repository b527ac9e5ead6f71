/* The display of a verification while it goes on, and its report for people and for programs. */
#ifndef DF2REDIS_SUPERVISOR_VERIFY_VERIFY_PRINT_H
#define DF2REDIS_SUPERVISOR_VERIFY_VERIFY_PRINT_H

#include <stdio.h>

#include "common/ipc/verify_report.h"

struct verify_print {
    const char *name, *source, *target;
    const char *log_path; /* differences.log */
    bool interrupted;
};

/* One line without its end, at most `columns` wide. rate: keys per second. */
void verify_format_progress(const struct verify_report *r, uint64_t rate, size_t columns, char *out,
                            size_t out_bytes);
void verify_print_report(const struct verify_report *r, const struct verify_print *with, FILE *out);
void verify_print_json(const struct verify_report *r, const struct verify_print *with, FILE *out);

#endif
