/* Differences between releases of Dragonfly. A release is a number: 14001 is 1.40.1, 0 unknown. */
#ifndef DF2REDIS_COMMON_REDIS_RELEASES_H
#define DF2REDIS_COMMON_REDIS_RELEASES_H

#include <stdbool.h>
#include <stdint.h>

enum { FIRST_RELEASE_THAT_OMITS = 13900 }; /* journal_omit_redundant_writes, on by default */

/* True: during a full sync the journal may lack writes to keys that the snapshot has not reached yet. No later release is
 * known to have changed this, and the flag cannot be queried. */
static inline bool release_omits(uint32_t release)
{
    return release == 0 || release >= FIRST_RELEASE_THAT_OMITS;
}

enum { FIRST_RELEASE_THAT_JOURNALS_READS = 13700 }; /* XREADGROUP, as XCLAIM and XGROUP SETID */

/* Its consumer groups are read without a word in the journal. One that is not told is taken for a newer one. */
static inline bool release_reads_unseen(uint32_t release)
{
    return release && release < FIRST_RELEASE_THAT_JOURNALS_READS;
}

#endif
