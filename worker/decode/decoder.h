/* The bytes of one FLOW in, entries out. No I/O, no globals: fed, not reading.
 *
 * The input always begins at decoder_offset(), the first byte of the stream that is still needed,
 * and holds everything received after it that is contiguous in memory. Inside a compressed blob
 * the offset stays at the blob's opcode, so that a successor can start there; what has been
 * decompressed of it is kept and not asked for twice.
 *
 * The state between two entries is small and can be saved (decoder_save) and put back
 * (decoder_restore) by another process, which then continues with exactly the next entry. */
#ifndef DF2REDIS_WORKER_DECODE_DECODER_H
#define DF2REDIS_WORKER_DECODE_DECODER_H

#include "common/base/error.h"
#include "common/redis/journal_check.h"
#include "worker/rdb/entry.h"

struct decoder_config {
    uint64_t restore_limit_bytes; /* a value up to this size that is whole in the stream is given as
                                     ENTRY_VALUE, a larger one or one in chunks element by element */
    uint32_t group_elements;      /* at most so many elements in one ENTRY_ELEMENTS, … */
    uint32_t group_bytes;         /* … and about so many bytes (a single element may be larger) */
    char token[41];               /* the FLOW's EOF token, 40 hex digits */
    uint64_t first_lsn;         /* partial sync: LSN of the first entry to be given, and the stream begins in
                                     the journal; 0: it begins with a snapshot */
    uint64_t asked_lsn;         /* partial sync: LSN of the stream's first entry. Those before first_lsn were
                                     applied already: they are compared and not given */
    struct journal_check check; /* what they are compared with: that command; all others must be PINGs */
    /* Told the command that was compared and is the same; NULL: nobody is. */
    void (*compared)(void *arg, uint32_t db, const struct slice *argv, size_t argc);
    void *compared_arg;
    bool in_blobs; /* partial sync of an older master: it begins as a snapshot does, without a key,
                                     and the journal stands in its JOURNAL_BLOBs until EOF */
};

enum decode_status {
    DECODE_ENTRY, /* *out is filled */
    DECODE_MORE,  /* needs more bytes; see decoder_wanted */
    DECODE_BREAK, /* the journal can be followed no further in this session; *error says why. ERROR_REDIRECT:
                     it is another one than was applied. Nothing was consumed: another call, or a successor,
                     comes to the same */
    DECODE_ERROR, /* the stream is broken or not understood; *error says where (stream offset) and what */
};

struct decoder;

struct decoder *decoder_new(const struct decoder_config *config);
void decoder_free(struct decoder *d);

enum decode_status decoder_next(struct decoder *d, struct slice input, struct entry *out,
                                struct error *error);

/* First byte of the stream that the next input must begin with. */
uint64_t decoder_offset(const struct decoder *d);
/* After DECODE_MORE: contiguous bytes, counted from decoder_offset(), without which another call is
 * of no use. At most INT32_MAX more than was there. */
uint64_t decoder_wanted(const struct decoder *d);
/* Sequence number of the last entry given out; 0 at the start. */
uint64_t decoder_seq(const struct decoder *d);
/* LSN of the next journal entry (what DFLY FLOW would be asked for); 0 while not known. */
uint64_t decoder_next_lsn(const struct decoder *d);
bool decoder_in_journal(const struct decoder *d); /* ENTRY_EOF was given out, or it began there */
/* Entries that were applied already are still to be compared: nothing was given out yet. */
bool decoder_comparing(const struct decoder *d);
/* The last command before this LSN, which is that of the next entry or of the one just given out. */
struct journal_check decoder_check(const struct decoder *d, uint64_t lsn);

/* The state after the last entry given out, appended to *out. */
void decoder_save(const struct decoder *d, struct buf *out);
/* Puts a saved state back; it is checked like anything from outside. */
bool decoder_restore(struct decoder *d, struct slice state, struct error *error);

#endif
