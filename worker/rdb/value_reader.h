/* Functions of value readers for the decoder only. */
#ifndef DF2REDIS_WORKER_RDB_VALUE_READER_H
#define DF2REDIS_WORKER_RDB_VALUE_READER_H

#include "worker/rdb/value.h"

bool value_type_has_elements(uint8_t type); /* value_reader_next() can read the type */
bool value_type_is_packed(uint8_t type);    /* one string, which cannot be split */
/* Whether only the tail of a stream remains. */
bool value_reader_at_tail(const struct value_reader *r);
/* Validates an untrusted state. */
bool value_reader_valid(const struct value_reader *r, uint8_t type);

#endif
