/* Filters and sketches of the source that the target cannot be given. What its commands add to one later must not make a
 * new one there, which would hold next to nothing and answer as if it held all. So they are remembered, in a file beside
 * the spool, until their key is deleted or written anew. */
#ifndef DF2REDIS_WORKER_TRANSLATE_LEFT_OUT_H
#define DF2REDIS_WORKER_TRANSLATE_LEFT_OUT_H

#include "worker/keys/suspects.h"
#include "worker/translate/command.h"
#include "worker/translate/translator.h"

struct suspects *left_out_open(const char *directory, uint32_t flow, bool fresh, struct error *error);
void left_out_remove_file(const char *directory, uint32_t flow);
/* The key at hand is left out. */
void left_out_note(struct translator *t, struct slice key, uint8_t type);
/* True: the command works on one that was left out, and counts as done. Otherwise what it deletes or makes anew is
 * forgotten. */
bool left_out_takes(struct translator *t, const struct command *c, const struct entry *e);

#endif
