/* What servers were told, by their own MONITOR: to explain a difference, key by key. Gaps, where a server was
 * away or killed its clients, are marked in the record. */
#ifndef DF2REDIS_TESTS_SOAK_RECORD_H
#define DF2REDIS_TESTS_SOAK_RECORD_H

#include <stdint.h>

struct recorded {
    const char *name; /* lives as long as the record */
    const char *dir;
    const char *password; /* NULL: none */
    uint16_t port;
};

/* From now on, also when the server comes back on its port. Once for each port. */
void record_begin(const struct recorded *server);
/* A new round begins. */
void record_turn(void);
void record_end(void);
/* The last commands that name a key, and flushes, to stderr. */
void record_print(uint32_t db, const char *key);
/* The same of each key that a report of the comparison names. */
void record_print_differences(const char *report);

#endif
