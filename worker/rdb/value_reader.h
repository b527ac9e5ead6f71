/* What the decoder needs to know of value readers beyond value.h. */
#ifndef DF2REDIS_WORKER_RDB_VALUE_READER_H
#define DF2REDIS_WORKER_RDB_VALUE_READER_H

#include "worker/rdb/value.h"

bool value_type_has_elements(uint8_t type); /* value_reader_next() can read it */
bool value_type_is_packed(uint8_t type);    /* one string, so it cannot be split */
/* Only the tail of a stream is still to come. */
bool value_reader_at_tail(const struct value_reader *r);
/* Is this a state a reader can be in? For states from outside. */
bool value_reader_valid(const struct value_reader *r, uint8_t type);

#endif
