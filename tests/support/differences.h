/* Differences between a source and a target that are made by hand, of every kind, and the list of them: what a
 * verification has to find and to name. Values of a byte to some hundred KB, binary names, several databases. */
#ifndef DF2REDIS_TESTS_DIFFERENCES_H
#define DF2REDIS_TESTS_DIFFERENCES_H

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/mem.h"
#include "common/ipc/verify_report.h"

struct differences;

struct differences_options {
    uint16_t source_port;
    /* The connection to the server that has the key. */
    redisContext *(*target)(struct slice key);
    const uint32_t *databases;
    size_t database_count;
    bool field_ttls; /* both sides have them */
    unsigned count;  /* keys that are to differ … */
    unsigned equal;  /* … and that are not */
    uint64_t seed;
};

struct differences *differences_new(const struct differences_options *options);
/* What the source has. Ends the program when a command is refused. */
void differences_write_source(struct differences *d);
/* On the target, once it has all that. */
void differences_make(struct differences *d);
size_t differences_of_kind(const struct differences *d, enum verify_kind kind);
/* Whether the lines of a differences.log with this verdict name each of them, with its kind, once, and nothing else.
 * Prints those that it lacks, and those that are too many. */
bool differences_are_named(const struct differences *d, const char *log_path, const char *verdict);
void differences_free(struct differences *d);

#endif
