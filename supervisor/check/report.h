/* The result of df2redis check: what was found as a document, and the document as a table. */
#ifndef DF2REDIS_SUPERVISOR_CHECK_REPORT_H
#define DF2REDIS_SUPERVISOR_CHECK_REPORT_H

#include <cjson/cJSON.h>
#include <stdio.h>

#include "common/settings/settings.h"
#include "supervisor/rules/findings.h"

/* The caller deletes it: {"source", "target", "name", "probes": [{"probe", "result": "ok" | "warning" | "error" |
 * "unknown", "text"} …], "errors", "warnings", "unknown", "exit_code"}. A probe with several findings has one entry for
 * each. */
cJSON *report_document(const struct settings *settings, const char *source, const char *target,
                       const struct findings *findings);
/* In at most 80 columns. */
void report_print(const cJSON *document, FILE *out);

#endif
