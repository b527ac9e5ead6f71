/* Writes a FLOW's bytes: the encoder to the decoder under test, written from PROTOCOL §3 to §5 alone.
 *
 *   writer_begin, entries …, writer_fullsync_end, [journal blobs], writer_stable, journal entries … */
#ifndef DF2REDIS_TESTS_STREAM_WRITER_H
#define DF2REDIS_TESTS_STREAM_WRITER_H

#include "common/base/mem.h"
#include "tests/support/scripted_dragonfly.h"

struct stream_writer {
    struct buf out;
    struct buf pending; /* of the blob being filled */
    size_t blob_bytes;  /* plain bytes a blob holds before it is compressed; 0: no blobs */
    size_t chunk_bytes; /* entries larger than that go as TAGGED_CHUNKs; 0: whole */
    size_t entry_at;    /* in pending: where the entry, or its chunk at hand, begins */
    uint32_t chunk_id;
    bool in_chunks;
    uint64_t plain_bytes; /* all of it before compression */
    uint64_t next_lsn;
    struct scripted_flow flow; /* its offsets, as they become known */
};

void write_packed(struct buf *out, uint64_t v);
void write_string(struct buf *out, struct slice bytes);

/* Header, AUX fields. */
void writer_begin(struct stream_writer *w, size_t blob_bytes, const char *token);
void writer_select(struct stream_writer *w, uint32_t db);
/* Type, key (with expiry when ≠ 0); the value is then appended to the returned buffer, and writer_entry_end
 * called. */
struct buf *writer_entry(struct stream_writer *w, uint8_t type, struct slice key, int64_t expire_ms);
/* An element of it is whole: a chunk may end here. */
void writer_element_end(struct stream_writer *w);
void writer_entry_end(struct stream_writer *w);
/* Whole entries. */
void writer_string(struct stream_writer *w, struct slice key, struct slice value);
void writer_fullsync_end(struct stream_writer *w);
/* JOURNAL_OFFSET, EOF, token: what follows is the journal stream. */
void writer_stable(struct stream_writer *w, uint64_t first_lsn);
/* A journal entry with its SELECT. In the snapshot: as a JOURNAL_BLOB of its own. */
void writer_command(struct stream_writer *w, uint32_t db, uint64_t txid, size_t argc,
                    const struct slice *argv);
void writer_ping(struct stream_writer *w);
void writer_lsn(struct stream_writer *w);
/* The finished FLOW; the writer is empty afterwards. */
struct scripted_flow writer_finish(struct stream_writer *w);

/* The bytes of one journal entry alone, for scripted_append. Words are separated by spaces. */
void write_journal(struct buf *out, uint32_t db, uint64_t txid, const char *words);
void write_journal_args(struct buf *out, uint32_t db, uint64_t txid, size_t argc, const struct slice *argv);

/* Listpacks (Redis): begin, items, end. */
void listpack_begin(struct buf *out);
void listpack_item(struct buf *out, struct slice bytes);
void listpack_end(struct buf *out, size_t begin, uint32_t count);

#endif
