/* Redis's small encodings: a collection in one piece of memory, walked item by item.
 *
 *   listpack  total:4 count:2 (item backlen)* 0xFF           little-endian
 *   ziplist   total:4 tail:4 count:2 (prevlen item)* 0xFF    little-endian but for string lengths
 *   intset    width:4 count:4 integer*                       little-endian
 *   zipmap    count:1 (len field len free value padding)* 0xFF
 *
 * Everything is checked: the bytes come from outside. Sources: Redis listpack.c, ziplist.c, intset.c,
 * zipmap.c. */
#ifndef DF2REDIS_WORKER_RDB_PACKED_H
#define DF2REDIS_WORKER_RDB_PACKED_H

#include "common/base/mem.h"

enum packed_kind { PACKED_LISTPACK, PACKED_ZIPLIST, PACKED_INTSET, PACKED_ZIPMAP };

struct packed_item {
    struct slice text; /* data NULL: it is the number */
    int64_t number;
};

/* Where the first item is; 0: broken. *count: items as the header says, UINT64_MAX when it does not know. */
size_t packed_begin(enum packed_kind kind, struct slice blob, uint64_t *count);
/* Item at *position; *position then is the next one's. 1: *out filled (of a zipmap out[0] and out[1]: field
 * and value), 0: that was all, -1: broken. */
int packed_next(enum packed_kind kind, struct slice blob, size_t *position, struct packed_item *out);

/* One kind each; position as above. A zipmap gives a field and its value at once: out[0], out[1]. */
int listpack_next(struct slice blob, size_t *position, struct packed_item *out);
int ziplist_next(struct slice blob, size_t *position, struct packed_item *out);
int zipmap_next(struct slice blob, size_t *position, struct packed_item *out);

#endif
