/* Values into commands: SET, RESTORE where the target takes the layout, converted or element by element where not. */
#ifndef DF2REDIS_WORKER_TRANSLATE_VALUE_WRITE_H
#define DF2REDIS_WORKER_TRANSLATE_VALUE_WRITE_H

#include "worker/translate/elements.h"

/* What happens to a key that is there already. */
enum place { PLACE_REPLACE, PLACE_IF_ABSENT, PLACE_REPORT_IF_PRESENT };

void value_write_string(struct translator *t, struct slice key, struct slice value, int64_t expire_ms,
                        enum place place);
/* Any other type than a string; of JSON its text. False: the value is broken. */
bool value_write(struct translator *t, struct slice key, uint8_t type, struct slice value, int64_t expire_ms,
                 enum place place, struct error *error);
/* What the target cannot hold is not there: nothing older under its name either. Reported. */
void value_leave_out(struct translator *t, struct slice key, uint8_t type, enum place place);

/* What takes several commands. Fills p for writing under `key`; a key beside it is built in t->text. */
void placing_begin(struct translator *t, struct placing *p, struct slice key, uint8_t type, int64_t expire_ms,
                   enum place place);
/* After its elements: its time to live, then into place. */
void placing_end(struct translator *t, const struct placing *p, enum place place);

/* A whole value of any type, from the snapshot or from a RESTORE in the journal. replace: an existing key gives way. */
bool translate_value(struct translator *t, struct slice key, uint8_t type, struct slice value,
                     int64_t expire_ms, bool replace, struct error *error);

#endif
