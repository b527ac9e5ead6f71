/* The source's databases, and whether a cluster can take them: it has database 0 alone. */
#ifndef DF2REDIS_SUPERVISOR_DATABASES_H
#define DF2REDIS_SUPERVISOR_DATABASES_H

#include "common/settings.h"

/* From the text of INFO keyspace, "db3:keys=10,…" lines: those with keys. *list is the caller's to free. */
size_t info_databases(struct slice info, uint32_t **list);
/* How many keys those have that are copied. */
uint64_t info_keys_wanted(struct slice info, const struct settings *settings);
/* Does --db leave out, or map to 0, all of these? ERROR_FATAL names those that have no place. */
bool databases_fit(const struct settings *settings, const uint32_t *databases, size_t count,
                   const char *source_name, struct error *error);

#endif
