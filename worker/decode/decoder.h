/* Decodes the bytes of one FLOW to entries. No I/O, no global state; the caller passes the input.
 *
 * The input begins at decoder_offset(), the first byte of the stream that is still needed, and has all contiguous bytes
 * received after it. Inside a compressed blob the offset stays at the blob's opcode, so that a restarted worker can
 * begin there; decompressed bytes are kept, and their compressed bytes are not needed again.
 *
 * The state between two entries is small. It can be saved (decoder_save) and restored (decoder_restore) by another
 * process, which continues with the next entry. */
#ifndef DF2REDIS_WORKER_DECODE_DECODER_H
#define DF2REDIS_WORKER_DECODE_DECODER_H

#include "common/base/error.h"
#include "common/redis/journal_check.h"
#include "worker/rdb/entry.h"

struct decoder_config {
    uint64_t restore_limit_bytes; /* a value up to this size, not in chunks, is one ENTRY_VALUE; any other is
                                     returned element by element */
    uint32_t group_elements;      /* maximum of elements in one ENTRY_ELEMENTS, … */
    uint32_t group_bytes;         /* … and approximate maximum of bytes (a single element may be larger) */
    char token[41];               /* the FLOW's EOF token, 40 hex digits */
    uint64_t first_lsn;           /* partial sync: LSN of the first entry to return; the stream begins in the
                                     journal; 0: full sync */
    uint64_t asked_lsn;         /* partial sync: LSN of the stream's first entry. Entries before first_lsn are
                                     applied already: they are compared, and not returned */
    struct journal_check check; /* the command to compare them with; all others must be PINGs */
    /* Called with the compared command if it is equal; may be NULL. */
    void (*compared)(void *arg, uint32_t db, const struct slice *argv, size_t argc);
    void *compared_arg;
    bool in_blobs; /* partial sync of an older master: begins like a snapshot, without keys, with the
                                     journal in JOURNAL_BLOBs until EOF */
};

enum decode_status {
    DECODE_ENTRY, /* *out is set */
    DECODE_MORE,  /* needs more bytes; see decoder_wanted */
    DECODE_BREAK, /* the journal cannot be followed further in this session; see *error. ERROR_REDIRECT: it is
                     not the journal that was applied. Nothing is consumed: another call, or a restarted
                     worker, returns the same */
    DECODE_ERROR, /* the stream is invalid or unsupported; *error has the stream offset and the reason */
};

struct decoder;

struct decoder *decoder_new(const struct decoder_config *config);
void decoder_free(struct decoder *d);

enum decode_status decoder_next(struct decoder *d, struct slice input, struct entry *out,
                                struct error *error);

/* First byte of the stream that the next input must begin with. */
uint64_t decoder_offset(const struct decoder *d);
/* After DECODE_MORE: number of contiguous bytes from decoder_offset() on that the next call needs. At most INT32_MAX
 * more than were there. */
uint64_t decoder_wanted(const struct decoder *d);
/* Sequence number of the last returned entry; 0 at the start. */
uint64_t decoder_seq(const struct decoder *d);
/* LSN of the next journal entry (for DFLY FLOW of a partial sync); 0: unknown. */
uint64_t decoder_next_lsn(const struct decoder *d);
bool decoder_in_journal(
    const struct decoder *d); /* ENTRY_EOF was returned, or the stream began in the journal */
/* Whether applied entries are still to be compared; no entry was returned yet. */
bool decoder_comparing(const struct decoder *d);
/* The last command before this LSN, which must be that of the next entry or of the last returned one. */
struct journal_check decoder_check(const struct decoder *d, uint64_t lsn);

/* Appends the state after the last returned entry to *out. */
void decoder_save(const struct decoder *d, struct buf *out);
/* Restores a saved state, which is validated as untrusted input. */
bool decoder_restore(struct decoder *d, struct slice state, struct error *error);

#endif
