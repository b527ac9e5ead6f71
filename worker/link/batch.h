/* A batch: commands for one node as one piece of RESP, a part of a round (round.h).
 *
 *   [room for ASKING, MULTI][command][command] … [HSET mark][EXEC]
 *
 * A batch with a command that must not run twice goes out as MULTI … EXEC with its mark inside, and behind
 * ASKING when its slot is on its way from one node of a cluster to another; any other goes out plain. Large
 * arguments are not copied: they are borrowed until sent. */
#ifndef DF2REDIS_WORKER_LINK_BATCH_H
#define DF2REDIS_WORKER_LINK_BATCH_H

#include <sys/uio.h>

#include "worker/link/output.h"

enum { BATCH_MAX_BORROWED = 64 };

/* Nobody knows what stands where the mark is written. */
#define MARK_UNKNOWN UINT32_MAX

struct round;

struct batch {
    struct batch *next;
    struct round *round; /* it is a part of; NULL in tests */
    uint16_t slot;       /* in a cluster, of a batch with once: all its keys lie there */
    struct buf out;
    struct {
        size_t at; /* position in out that it stands before */
        struct slice data;
    } borrowed[BATCH_MAX_BORROWED];
    size_t borrowed_count;
    size_t borrowed_bytes;
    uint32_t commands;      /* answers expected, without those to MULTI and EXEC */
    uint32_t current_db;    /* the connection's database after it; UINT32_MAX: not known */
    bool once;              /* needs MULTI and a mark */
    bool asking;            /* once: behind ASKING */
    bool probed;            /* once: it names a key that there never is */
    bool unmarked;          /* asking: it could run twice, and carries no mark */
    bool marked_last;       /* asking: the last command is its mark */
    uint64_t key_hash;      /* asking: of the key that all its commands have */
    uint32_t mark_at;       /* the number of the command that is its mark; UINT32_MAX: none */
    uint32_t mark_new;      /* so many fields of the mark's hash the target may not have yet; MARK_UNKNOWN */
    bool mark_of_node;      /* the mark is the node's, too */
    bool removing;          /* what is refused now was not queued, and is taken out */
    bool stripped;          /* of what the target is known not to know */
    bool conflicts;         /* holds OUTPUT_CONFLICT commands: their positions in conflict_at */
    struct buf conflict_at; /* uint32_t command numbers, ascending */
    struct buf seqs;        /* uint64_t of each command: its entry */
    /* The link's. */
    size_t sent;       /* of out, from begin */
    size_t sent_piece; /* borrowed pieces sent whole */
    size_t sent_in_piece;
    uint32_t answered;
    bool asked; /* ASKING was answered */
};

struct batch *batch_new(void);
void batch_free(struct batch *b);
/* Empty again, keeping its memory unless that has grown beyond keep_bytes. */
void batch_reset(struct batch *b, size_t keep_bytes);
static inline bool batch_empty(const struct batch *b)
{
    return b->commands == 0;
}
/* Bytes on the wire. */
size_t batch_bytes(const struct batch *b);
/* Closes it: MULTI and EXEC where needed. Nothing is added after that. */
void batch_seal(struct batch *b);
/* Takes these commands out again, whose numbers ascend (the target refused to queue them). */
bool batch_remove(struct batch *b, const uint32_t *numbers, size_t count);
/* From the beginning again. */
void batch_rewind(struct batch *b);
/* What is still to be sent, in at most `max` parts; then how much of it was. */
int batch_parts(const struct batch *b, struct iovec *parts, int max);
void batch_advance(struct batch *b, size_t bytes);
bool batch_sent(const struct batch *b);
/* First byte to send. */
size_t batch_begin(const struct batch *b);
/* Name and first argument of command number i (0…): for messages. False when it cannot be found. */
bool batch_describe(const struct batch *b, uint32_t i, struct slice *name, struct slice *key);
/* Bytes of its largest argument. */
size_t batch_largest_argument(const struct batch *b);
/* Its first `most` arguments, with the name; *db: the database that it ran in, where the batch tells. Returns
 * how many. */
size_t batch_command(const struct batch *b, uint32_t i, struct slice *argv, size_t most, uint32_t *db);
/* The entry that command number i carries out. */
uint64_t batch_command_seq(const struct batch *b, uint32_t i);
bool batch_is_conflict_command(const struct batch *b, uint32_t i);

/* The output writes into one batch at a time. */
struct output *output_new(void);
void output_free(struct output *o);
void output_target(struct output *o, struct batch *b);
/* The output writes into a round: into its one batch, or, in a cluster, into the batch that `route` says,
 * NULL for a command that the target has already. */
typedef struct batch *output_route(void *arg, struct round *r, struct slice key, unsigned flags);
void output_round(struct output *o, struct round *r, output_route *route, void *arg);
/* For unit tests of translators: every command is appended to *resp as plain RESP, SELECT when the
 * database changes. once, when not NULL, is set by the first OUTPUT_ONCE command. */
struct output *output_for_tests(struct buf *resp, bool *once);
/* The same, taken for a cluster's. */
void output_by_slot_for_tests(struct output *o);

#endif
