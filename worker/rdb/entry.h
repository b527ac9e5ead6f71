/* An entry: one unit of a FLOW, without its encoding.
 *
 * The decoder turns bytes into entries, the translator turns entries into commands. The slices of an entry point into
 * the decoder or its input, and are valid until the next decoder_next().
 *
 * Sequence numbers count from the beginning of the session, and do not depend on how the bytes arrived: each entry
 * takes one, ENTRY_ELEMENTS one per element. A mark in the target covers entries up to and including its seq; it may
 * lie within a group of elements (entry_drop_front). */
#ifndef DF2REDIS_WORKER_RDB_ENTRY_H
#define DF2REDIS_WORKER_RDB_ENTRY_H

#include "common/base/mem.h"

enum entry_kind {
    /* Snapshot: a key with its value. */
    ENTRY_STRING,      /* value: the string, decoded */
    ENTRY_VALUE,       /* value: the bytes of the stream (RDB layout of `type`), at most restore_limit
                          bytes; JSON (type 30): the decoded text, any size */
    ENTRY_BEGIN,       /* a large collection, or one in chunks: its elements follow, possibly with entries
                          of other keys in between; `id` identifies them */
    ENTRY_ELEMENTS,    /* a group of its elements */
    ENTRY_END,         /* end of the collection */
    ENTRY_UNSUPPORTED, /* a skipped value: bloom, cuckoo, CMS, top-k, modules */
    /* Snapshot: about the session. */
    ENTRY_SCRIPT,         /* value: a Lua script to load on the target */
    ENTRY_INDEX,          /* value: a search index definition (AUX search-index, search-synonyms), or
                             empty for index data that was skipped */
    ENTRY_FULLSYNC_END,   /* static data is complete: the FLOW is at the barrier */
    ENTRY_JOURNAL_OFFSET, /* lsn: of the first entry of the journal stream */
    ENTRY_EOF,            /* EOF opcode and this FLOW's token: the journal stream begins */
    /* Journal, inside JOURNAL_BLOBs (in_snapshot) and after EOF. */
    ENTRY_COMMAND, /* argv, lsn */
    ENTRY_PING,    /* takes an LSN; the master waits for an ACK */
    ENTRY_LSN,     /* the master's LSN, equal to the counted one */
};

enum element_class {
    ELEMENT_LIST,        /* a: item */
    ELEMENT_SET,         /* a: member; expire_ms when the source has one */
    ELEMENT_HASH,        /* a: field, b: value; expire_ms when the source has one */
    ELEMENT_ZSET,        /* a: member, score */
    ELEMENT_STREAM_NODE, /* a: 16-byte master id (big-endian ms, seq), b: listpack of many entries */
    ELEMENT_STREAM_TAIL, /* a: everything after the nodes, as the stream has it (see stream.h) */
};

struct element {
    struct slice a, b;
    double score;
    int64_t expire_ms; /* expiry of the field or member, Unix ms; 0: none */
};

enum { KEY_STICKY = 1, KEY_MEMCACHE_FLAGS = 2 }; /* entry.flags, as DF_MASK has them */

struct entry {
    enum entry_kind kind;
    bool in_snapshot;   /* before ENTRY_EOF */
    uint64_t first_seq; /* seq of the entry, or of its first element */
    uint64_t seq;       /* its last */
    uint64_t offset;    /* stream offset of its first byte; inside a compressed blob: of the blob; of skipped
                           data: of its end */
    uint32_t db;

    /* Snapshot keys (all kinds of the first block carry key, type, db, expiry, flags). */
    struct slice key;
    uint8_t type;      /* RDB type byte, PROTOCOL: types */
    uint8_t flags;     /* KEY_* */
    uint32_t mc_flags; /* memcache flags, when KEY_MEMCACHE_FLAGS */
    uint32_t id;       /* BEGIN/ELEMENTS/END: the stream id of its tagged chunks, 0 if not chunked */
    int64_t expire_ms; /* Unix ms, possibly in the past; 0: none */
    struct slice value;
    uint64_t total_elements; /* BEGIN: number announced by the source (fields, members, nodes) */
    enum element_class class;
    const struct element *elements;
    size_t element_count;

    /* Journal. */
    uint64_t lsn; /* in_snapshot: counted from 1, as the master does not send LSNs there */
    uint64_t txid;
    const struct slice *argv;
    size_t argc;
};

/* Removes the elements up to `done_seq` from the entry. False: the entry is done. */
static inline bool entry_drop_front(struct entry *e, uint64_t done_seq)
{
    if (e->seq <= done_seq)
        return false;
    if (e->kind == ENTRY_ELEMENTS && e->first_seq <= done_seq) {
        size_t n = (size_t)(done_seq - e->first_seq + 1);
        e->elements += n;
        e->element_count -= n;
        e->first_seq = done_seq + 1;
    }
    return true;
}

#endif
