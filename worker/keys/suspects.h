/* Keys that may have come out wrong on the target, until they were compared with the source's.
 *
 * A bounded set, known by database and key, in a file beside the spool: what was added outlives the process
 * before the call returns, so that the entry it is about may count as applied afterwards. The file is a
 * journal of additions and removals, each with its checksum, written anew when most of it is outdated. */
#ifndef DF2REDIS_WORKER_KEYS_SUSPECTS_H
#define DF2REDIS_WORKER_KEYS_SUSPECTS_H

#include "common/base/error.h"
#include "common/base/mem.h"

enum { SUSPECTS_MAX = 65536, SUSPECTS_MAX_BYTES = 16 << 20, SUSPECT_WORD_BYTES = 64 };

struct suspect {
    uint32_t db; /* the target's */
    struct slice key;
    char reason[SUSPECT_WORD_BYTES],
        command[SUSPECT_WORD_BYTES]; /* of the first time, or of the first that is more than perhaps */
    uint64_t times;   /* it was added: a comparison that began before the last of them settles nothing */
    uint64_t due_ms;  /* not to be compared before; CLOCK_MONOTONIC */
    uint32_t tries;   /* comparisons that came to nothing */
    bool alone;       /* the last of them together with others */
    bool by_elements; /* the target does not take its payload */
    struct suspect *newer;
    /* private */
    struct suspect *in_bucket, *older;
    uint64_t hash;
};

struct suspects;

/* fresh: whatever stood in the file is forgotten. A torn end is cut off: its entry had not been applied. */
struct suspects *suspects_open(const char *directory, uint32_t flow, bool fresh, struct error *error);
/* The same kind of set for other keys, in flow-N.<kind>. */
struct suspects *suspects_open_as(const char *kind, const char *directory, uint32_t flow, bool fresh,
                                  struct error *error);
void suspects_close(struct suspects *s);
void suspects_remove_file(const char *directory, uint32_t flow);
void suspects_remove_file_as(const char *kind, const char *directory, uint32_t flow);

/* False with ERROR_RETRY: it is not in the set, which is full, or the file cannot be written. */
bool suspects_add(struct suspects *s, uint32_t db, struct slice key, const char *reason, const char *command,
                  struct error *error);
/* NULL: it is not in the set. */
struct suspect *suspects_find(const struct suspects *s, uint32_t db, struct slice key);
static inline bool suspects_has(const struct suspects *s, uint32_t db, struct slice key)
{
    return suspects_find(s, db, key) != NULL;
}
void suspects_remove(struct suspects *s, uint32_t db, struct slice key);
/* All of a database, or of every one (db NULL). */
void suspects_remove_all(struct suspects *s, const uint32_t *db);
size_t suspects_count(const struct suspects *s);
/* The first; `newer` of each is the next. */
struct suspect *suspects_oldest(const struct suspects *s);
/* Those of them that are only perhaps wrong: SUSPECT_ONLY. */
size_t suspects_perhaps(const struct suspects *s);
/* At most `most` of those due, the longest waiting first. They stay where they are until they are settled. */
size_t suspects_due(const struct suspects *s, uint64_t now_ms, struct suspect **list, size_t most);
/* The comparison that began when it had been added `times` times has an end. False: it was added again
 * meanwhile, and stays. */
bool suspects_settle(struct suspects *s, struct suspect *k, uint64_t times);
/* It came to nothing: not again before due_ms, and behind the others. */
void suspects_put_off(struct suspects *s, struct suspect *k, uint64_t due_ms);

#endif
