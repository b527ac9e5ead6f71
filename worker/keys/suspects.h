/* Suspects: keys that may be wrong on the target, until they are compared with the source.
 *
 * A bounded set by database and key, in a file beside the spool. suspects_add writes the key before it returns, so that
 * the entry may count as applied afterwards. The file is a journal of additions and removals, each with a checksum, and
 * is rewritten when most of it is outdated. */
#ifndef DF2REDIS_WORKER_KEYS_SUSPECTS_H
#define DF2REDIS_WORKER_KEYS_SUSPECTS_H

#include "common/base/error.h"
#include "common/base/mem.h"

enum { SUSPECTS_MAX = 65536, SUSPECTS_MAX_BYTES = 16 << 20, SUSPECT_WORD_BYTES = 64 };

struct suspect {
    uint32_t db; /* the target's */
    struct slice key;
    char reason[SUSPECT_WORD_BYTES],
        command[SUSPECT_WORD_BYTES]; /* of the first addition, or of the first that is not SUSPECT_ONLY */
    uint64_t
        times; /* number of additions: a comparison that began before the last one does not settle the key */
    uint64_t due_ms;  /* earliest time of the next comparison, CLOCK_MONOTONIC */
    uint32_t tries;   /* comparisons that did not settle it */
    bool alone;       /* the next comparison is without other keys */
    bool by_elements; /* the target refuses its payload */
    bool healed;      /* rewritten since the last refusal or loss: to be confirmed by one more comparison */
    uint64_t difference; /* what the rewriting was to remove (comparison.h); 0: not rewritten since the last
                            addition */
    struct suspect *newer;
    /* private */
    struct suspect *in_bucket, *older;
    uint64_t hash;
};

struct suspects;

/* fresh: empties the file. An incomplete record at the end is dropped: its entry had not been applied. */
struct suspects *suspects_open(const char *directory, uint32_t flow, bool fresh, struct error *error);
/* Such a set for other keys, in flow-N.<kind>. */
struct suspects *suspects_open_as(const char *kind, const char *directory, uint32_t flow, bool fresh,
                                  struct error *error);
void suspects_close(struct suspects *s);
void suspects_remove_file(const char *directory, uint32_t flow);
void suspects_remove_file_as(const char *kind, const char *directory, uint32_t flow);

/* False with ERROR_RETRY: not added, as the set is full or the file cannot be written. */
bool suspects_add(struct suspects *s, uint32_t db, struct slice key, const char *reason, const char *command,
                  struct error *error);
/* NULL: not in the set. */
struct suspect *suspects_find(const struct suspects *s, uint32_t db, struct slice key);
static inline bool suspects_has(const struct suspects *s, uint32_t db, struct slice key)
{
    return suspects_find(s, db, key) != NULL;
}
void suspects_remove(struct suspects *s, uint32_t db, struct slice key);
/* Removes the keys of a database, or all keys (db NULL). */
void suspects_remove_all(struct suspects *s, const uint32_t *db);
size_t suspects_count(const struct suspects *s);
/* The oldest key; `newer` leads to the next. */
struct suspect *suspects_oldest(const struct suspects *s);
/* Mostly right: no refusal or loss is known (SUSPECT_ONLY), or it was healed since. */
bool suspect_is_perhaps(const struct suspect *k);
/* Number of such keys. */
size_t suspects_perhaps(const struct suspects *s);
/* Lists at most `most` due keys, oldest first; they stay in the set until settled. */
size_t suspects_due(const struct suspects *s, uint64_t now_ms, struct suspect **list, size_t most);
/* Removes the key after a comparison that began with this value of `times`. False: added again since, and kept. */
bool suspects_settle(struct suspects *s, struct suspect *k, uint64_t times);
/* After it was rewritten by a comparison that began with this value of `times`; not stored in the file. */
void suspects_note_healed(struct suspects *s, struct suspect *k, uint64_t times, uint64_t difference);
/* The target was greeted anew, and may have lost what was rewritten: the same difference is healed again. */
void suspects_forget_differences(struct suspects *s);
/* After a comparison without an outcome: moves the key to the end of the list, not due before due_ms. */
void suspects_put_off(struct suspects *s, struct suspect *k, uint64_t due_ms);

#endif
