/* The source's databases, and whether the target can take them: a cluster has database 0 alone, others as
 * many as were configured. */
#ifndef DF2REDIS_SUPERVISOR_RULES_DATABASES_H
#define DF2REDIS_SUPERVISOR_RULES_DATABASES_H

#include "common/redis/capabilities.h"
#include "common/settings/settings.h"
#include "supervisor/rules/findings.h"

/* Returns the number of databases with keys in the text of INFO keyspace, "db3:keys=10,…" lines. The caller frees
 * *list, their numbers. */
size_t info_databases(struct slice info, uint32_t **list);
/* Returns the number of keys in the databases that are copied. */
uint64_t info_keys_wanted(struct slice info, const struct settings *settings);
/* True: --db leaves out each of these databases, or maps it to one that the target has (0 … has - 1). Otherwise
 * ERROR_FATAL names the databases without a place, and the ways out. */
bool databases_fit(const struct settings *settings, const uint32_t *databases, size_t count,
                   const char *source_name, uint32_t has, bool cluster, struct error *error);
/* Refuses a --db that maps to a database which the target does not have. */
void databases_judge_map(const struct settings *settings, const struct capabilities *target,
                         const char *target_name, struct findings *out);

#endif
