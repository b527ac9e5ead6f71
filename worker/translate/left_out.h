/* Filters and sketches that cannot be carried over to the target. Later additions must not create a new one there,
 * which would have few of the items and answer as if it had all. So their keys are stored, in a file beside the spool,
 * until the key is deleted or replaced. */
#ifndef DF2REDIS_WORKER_TRANSLATE_LEFT_OUT_H
#define DF2REDIS_WORKER_TRANSLATE_LEFT_OUT_H

#include "worker/keys/suspects.h"
#include "worker/translate/command.h"
#include "worker/translate/translator.h"

struct suspects *left_out_open(const char *directory, uint32_t flow, bool fresh, struct error *error);
void left_out_remove_file(const char *directory, uint32_t flow);
/* Stores a left out key. */
void left_out_note(struct translator *t, struct slice key, uint8_t type);
/* True: the command works on a left out key, and must not be sent. Else removes keys that it deletes or replaces. */
bool left_out_takes(struct translator *t, const struct command *c, const struct entry *e);

#endif
