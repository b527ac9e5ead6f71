/* What a scripted source has and journals, said in words: for tests to which the streams themselves do not
 * matter. */
#ifndef DF2REDIS_TESTS_SCRIPTED_WORDS_H
#define DF2REDIS_TESTS_SCRIPTED_WORDS_H

#include "tests/support/scripted_dragonfly.h"
#include "tests/support/stream_writer.h"

/* In stable sync from LSN 1 on, without a key but for what in_snapshot (may be NULL) writes into FLOW 0. */
struct scripted_session scripted_session_small(size_t flow_count,
                                               void (*in_snapshot)(struct stream_writer *w));
/* One FLOW, whose snapshot is this one string. */
struct scripted_session scripted_session_with(const char *key, const char *value);
/* One more entry at the end of a FLOW's journal. Words are separated by spaces. */
void scripted_write(struct scripted *m, size_t flow, uint32_t db, uint64_t txid, const char *words);

#endif
