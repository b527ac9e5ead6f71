/* Redis's packed encodings: a collection in contiguous memory, read item by item.
 *
 *   listpack  total:4 count:2 (item backlen)* 0xFF           little-endian
 *   ziplist   total:4 tail:4 count:2 (prevlen item)* 0xFF    little-endian but for string lengths
 *   intset    width:4 count:4 integer*                       little-endian
 *   zipmap    count:1 (len field len free value padding)* 0xFF
 *
 * The bytes are validated as untrusted input. Sources: Redis listpack.c, ziplist.c, intset.c, zipmap.c. */
#ifndef DF2REDIS_WORKER_RDB_PACKED_H
#define DF2REDIS_WORKER_RDB_PACKED_H

#include "common/base/mem.h"

enum packed_kind { PACKED_LISTPACK, PACKED_ZIPLIST, PACKED_INTSET, PACKED_ZIPMAP };

struct packed_item {
    struct slice text; /* data NULL: an integer, see `number` */
    int64_t number;
};

/* Position of the first item; 0: invalid. *count: number of items from the header; UINT64_MAX: unknown. */
size_t packed_begin(enum packed_kind kind, struct slice blob, uint64_t *count);
/* Reads the item at *position, which is advanced. 1: *out is set (zipmap: out[0] field, out[1] value), 0: end, -1:
 * invalid. */
int packed_next(enum packed_kind kind, struct slice blob, size_t *position, struct packed_item *out);

/* The same for one kind. A zipmap sets out[0] to a field and out[1] to its value. */
int listpack_next(struct slice blob, size_t *position, struct packed_item *out);
int ziplist_next(struct slice blob, size_t *position, struct packed_item *out);
int zipmap_next(struct slice blob, size_t *position, struct packed_item *out);

#endif
