/* A batch: commands for one node as one piece of RESP, a part of a round (round.h).
 *
 *   [space for ASKING, MULTI][command][command] … [HSET mark][INFO replication][EXEC]
 *
 * A once batch has a command that must not run again: it is sent as MULTI … EXEC with its mark inside, after ASKING if
 * its slot is open; INFO tells whether it was written to the data that the greeting found. A plain batch is sent as it
 * is. Large arguments are borrowed until sent, not copied. */
#ifndef DF2REDIS_WORKER_LINK_BATCH_H
#define DF2REDIS_WORKER_LINK_BATCH_H

#include <sys/uio.h>

#include "worker/link/database_marks.h"
#include "worker/link/output.h"

enum { BATCH_MAX_BORROWED = 64 };

/* Value of mark_new: the target may have a mark or none. */
#define MARK_UNKNOWN UINT32_MAX

struct round;

struct batch {
    struct batch *next;
    struct round *round; /* NULL in tests */
    uint16_t slot;       /* of all keys of a once batch in a cluster */
    struct buf out;
    struct {
        size_t at; /* its position in `out` */
        struct slice data;
    } borrowed[BATCH_MAX_BORROWED];
    size_t borrowed_count;
    size_t borrowed_bytes;
    uint32_t commands;      /* number of commands, without MULTI, INFO and EXEC */
    uint32_t current_db;    /* database of the connection after it; UINT32_MAX: unknown */
    bool once;              /* sent in a MULTI, with a mark */
    bool asking;            /* once: sent after ASKING */
    bool probed;            /* once: names a key that never exists, see output_wants_probe() */
    bool unmarked;          /* asking: may run again, and has no mark */
    bool marked_last;       /* asking: the last command is its mark */
    uint64_t key_hash;      /* asking: of the key of all its commands */
    uint32_t mark_at;       /* number of the command that is its mark; UINT32_MAX: none */
    uint32_t mark_new;      /* maximum of new fields that HSET of the mark may answer; MARK_UNKNOWN */
    bool mark_of_node;      /* the mark is also the node's */
    bool look;              /* once, of the link: has INFO and no commands */
    bool asks;              /* sealed: has INFO */
    bool removing;          /* commands that were not queued are being reported and removed */
    bool stripped;          /* commands unknown to the target are removed */
    bool conflicts;         /* has OUTPUT_CONFLICT commands, see conflict_at */
    struct buf conflict_at; /* uint32_t command numbers, ascending */
    struct buf seqs;        /* uint64_t for each command: seq of its entry */
    /* Used by the link. */
    size_t sent;       /* bytes of `out`, from its begin */
    size_t sent_piece; /* borrowed arguments sent completely */
    size_t sent_in_piece;
    uint32_t answered;
    bool asked; /* ASKING is answered */
};

struct batch *batch_new(void);
void batch_free(struct batch *b);
/* Empties the batch; keeps its memory up to keep_bytes. */
void batch_reset(struct batch *b, size_t keep_bytes);
static inline bool batch_empty(const struct batch *b)
{
    return b->commands == 0;
}
/* Bytes on the wire. */
size_t batch_bytes(const struct batch *b);
/* Adds MULTI and EXEC if needed. No command may be added after that. */
void batch_seal(struct batch *b);
/* Removes the commands with these ascending numbers, which the target did not queue. */
bool batch_remove(struct batch *b, const uint32_t *numbers, size_t count);
/* Sends it again from its beginning. */
void batch_rewind(struct batch *b);
/* The unsent bytes, in at most `max` parts; batch_sent() takes the number sent. */
int batch_parts(const struct batch *b, struct iovec *parts, int max);
void batch_advance(struct batch *b, size_t bytes);
bool batch_sent(const struct batch *b);
/* Position of the first byte to send. */
size_t batch_begin(const struct batch *b);
/* Name and first argument of command number i, from 0, for messages. False: not found. */
bool batch_describe(const struct batch *b, uint32_t i, struct slice *name, struct slice *key);
/* Bytes of its largest argument. */
size_t batch_largest_argument(const struct batch *b);
/* The name and arguments of command i, at most `most`; *db: its database, unchanged if the batch has no SELECT before
 * it. Returns their number. */
size_t batch_command(const struct batch *b, uint32_t i, struct slice *argv, size_t most, uint32_t *db);
/* The seq of the entry of command number i. */
uint64_t batch_command_seq(const struct batch *b, uint32_t i);
bool batch_is_conflict_command(const struct batch *b, uint32_t i);

/* An output writes into one batch at a time. */
struct output *output_new(void);
void output_free(struct output *o);
void output_target(struct output *o, struct batch *b);
/* Writes into a round: its only batch, or, in a cluster, the batch that `route` returns; NULL: the target has the
 * command already. */
typedef struct batch *output_route(void *arg, struct round *r, struct slice key, unsigned flags);
void output_round(struct output *o, struct round *r, output_route *route, void *arg);
/* The marks of databases, which the caller owns, go before the first command of each; not in a cluster. */
void output_mark_databases(struct output *o, struct database_marks *marks);
/* For unit tests of translators: every command is appended to *resp as plain RESP, SELECT when the
 * database changes. once, when not NULL, is set by the first OUTPUT_ONCE command. */
struct output *output_for_tests(struct buf *resp, bool *once);
/* Makes it behave as for a cluster. */
void output_by_slot_for_tests(struct output *o);

#endif
