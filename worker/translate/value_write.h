/* Translates values: SET; RESTORE if the target has the layout; else converted, or element by element. */
#ifndef DF2REDIS_WORKER_TRANSLATE_VALUE_WRITE_H
#define DF2REDIS_WORKER_TRANSLATE_VALUE_WRITE_H

#include "worker/translate/elements.h"

/* How an existing key is treated. */
enum place { PLACE_REPLACE, PLACE_IF_ABSENT, PLACE_REPORT_IF_PRESENT };

void value_write_string(struct translator *t, struct slice key, struct slice value, int64_t expire_ms,
                        enum place place);
/* Writes a value of any type but a string; JSON: its text. False: invalid value. */
bool value_write(struct translator *t, struct slice key, uint8_t type, struct slice value, int64_t expire_ms,
                 enum place place, struct error *error);
/* The target cannot hold the value: deletes an older value of the key, and reports. */
void value_leave_out(struct translator *t, struct slice key, uint8_t type, enum place place);

/* Begins a value that takes several commands. Sets p for writing to `key`; a temporary name is built in t->text. */
void placing_begin(struct translator *t, struct placing *p, struct slice key, uint8_t type, int64_t expire_ms,
                   enum place place);
/* After its elements: sets the time to live, then renames. */
void placing_end(struct translator *t, const struct placing *p, enum place place);

/* Writes a complete value of any type, from the snapshot or from a RESTORE in the journal. replace: replaces a key. */
bool translate_value(struct translator *t, struct slice key, uint8_t type, struct slice value,
                     int64_t expire_ms, bool replace, struct error *error);

#endif
