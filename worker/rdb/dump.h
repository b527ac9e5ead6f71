/* The payload of DUMP and RESTORE:
 *
 *   type (1 byte) | value | RDB version (2 bytes LE) | CRC-64 of all before it (8 bytes LE), 0 when not made */
#ifndef DF2REDIS_WORKER_RDB_DUMP_H
#define DF2REDIS_WORKER_RDB_DUMP_H

#include "common/base/mem.h"

enum { DUMP_FOOTER_BYTES = 10 };

/* Parses a payload to its type and value. False: invalid. */
bool dump_parse(struct slice dump, uint8_t *type, struct slice *value);
/* Builds the footer of this value. */
void dump_footer(uint8_t footer[DUMP_FOOTER_BYTES], uint8_t type, struct slice value);

#endif
