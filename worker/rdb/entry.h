/* An entry: one thing that a FLOW says, whatever it was wrapped in.
 *
 * The decoder makes entries out of bytes, the translator makes commands out of entries. Everything
 * an entry points to belongs to the decoder or to the bytes it was given, and lives until the next
 * decoder_next().
 *
 * Sequence numbers count from the session's start and do not depend on how the bytes arrived: each
 * entry takes one, but ENTRY_ELEMENTS takes as many as it has elements. A mark in the target says
 * "done up to and including seq"; a group of elements may be cut there (entry_drop_front). */
#ifndef DF2REDIS_WORKER_RDB_ENTRY_H
#define DF2REDIS_WORKER_RDB_ENTRY_H

#include "common/base/mem.h"

enum entry_kind {
    /* Snapshot: a key with its value. */
    ENTRY_STRING,      /* value: the string itself, decoded */
    ENTRY_VALUE,       /* value: the whole value as the stream has it (RDB layout of `type`), at most
                          restore_limit bytes; JSON (type 30): the decoded text, any size */
    ENTRY_BEGIN,       /* a collection too large, or sent in pieces: its elements follow, perhaps with
                          other entries (of other keys) in between; `id` tells which belong together */
    ENTRY_ELEMENTS,    /* elements of it */
    ENTRY_END,         /* all were sent */
    ENTRY_UNSUPPORTED, /* parsed past, nothing of the value kept: bloom, cuckoo, CMS, top-k, modules */
    /* Snapshot: about the session. */
    ENTRY_SCRIPT,         /* value: a Lua script to load on the target */
    ENTRY_INDEX,          /* value: a search index definition (AUX search-index, search-synonyms), or
                             empty for index data that was skipped */
    ENTRY_FULLSYNC_END,   /* static data is complete: the barrier's signal */
    ENTRY_JOURNAL_OFFSET, /* lsn: of the first entry of the journal stream */
    ENTRY_EOF,            /* EOF opcode and this FLOW's token seen: the journal stream begins */
    /* Journal, inside JOURNAL_BLOBs (in_snapshot) and after EOF. */
    ENTRY_COMMAND, /* argv; lsn is this entry's own */
    ENTRY_PING,    /* takes an LSN; the master waits for an ACK */
    ENTRY_LSN,     /* the master's own count, already checked against ours */
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
    int64_t expire_ms; /* Unix time in ms of this field's or member's end; 0 = none */
};

enum { KEY_STICKY = 1, KEY_MEMCACHE_FLAGS = 2 }; /* entry.flags, as DF_MASK has them */

struct entry {
    enum entry_kind kind;
    bool in_snapshot;   /* came before ENTRY_EOF */
    uint64_t first_seq; /* seq of the entry, or of its first element */
    uint64_t seq;       /* its last */
    uint64_t offset;    /* stream offset of the top-level byte it began at (a compressed blob's start
                           for what is inside it; where it ended for what was passed by) */
    uint32_t db;

    /* Snapshot keys (all kinds of the first block carry key, type, db, expiry, flags). */
    struct slice key;
    uint8_t type;      /* RDB type byte, PROTOCOL: types */
    uint8_t flags;     /* KEY_* */
    uint32_t mc_flags; /* memcache flags, when KEY_MEMCACHE_FLAGS */
    uint32_t id;       /* BEGIN/ELEMENTS/END: the stream id of its tagged chunks, 0 if not chunked */
    int64_t expire_ms; /* Unix time in ms; 0 = none. May lie in the past */
    struct slice value;
    uint64_t total_elements; /* BEGIN: as announced by the source (fields, members, nodes) */
    enum element_class class;
    const struct element *elements;
    size_t element_count;

    /* Journal. */
    uint64_t lsn; /* in_snapshot: only counted, from 1 on: the master does not tell these */
    uint64_t txid;
    const struct slice *argv;
    size_t argc;
};

/* Removes what lies at or before `done_seq` from the entry; false when nothing is left of it. */
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
