/* Where a FLOW goes on in a cluster after trouble: all facts first, then one judgement, without I/O.
 *
 * The principle is one change at a time. Between two judgements either slots move or masters change. If only slots have
 * moved, every master is still the process that acknowledged its writes, and MIGRATE has brought the keys: memory
 * counts. If only masters have changed, each has the slots that it had, from a replica or from its disk, and its own
 * mark in this data tells how old the data is: the mark counts. If both have happened, a key may have moved to data that
 * was lost, or from data that has come back: only a resync helps.
 *
 *   since the last judgement                    slots stood still                  slots moved    a slot is, or was, open
 *   every master is the process that it was     memory                             memory         memory
 *     … and a flush is not over                 memory; run again, or not          resync         memory
 *   some master is another process, or silent   its slots: its mark, of the        resync         resync
 *                                               present placement; others: memory
 *     … and it has no such mark                 resync                             resync         resync
 *
 * The placement is a number that each mark of a node carries. It grows when a judgement finds that slots have moved, or
 * that one is open or was; and when a flush is passed. So data with a mark of the present placement was copied after the
 * last move, the last open slot and the last flush: it has each slot of its node as a whole, up to the mark, and no key
 * that a flush deleted. A seq does not show this, as it stands still while nothing is written.
 *
 * A master counts if it has slots, or had some at the last judgement, or is a side of an open slot; if slots have moved,
 * each master counts that has answered since, as a slot may have passed through it. A master that was no member at the
 * last judgement is unchanged if it was never a replica and has been up since then. A master descends from itself and
 * from the master whose replica it was: if it has all slots of that one and no others, they stood still.
 *
 * The facts come from CLUSTER NODES, INFO and the marks of every master. No answer in five seconds is a fact. They are
 * gathered in any doubt and every two seconds (a look); if CLUSTER SLOTS changes meanwhile, once more. What leaves no
 * trace between two looks cannot be judged: a slot whose keys move away and back while its node goes back to a copy from
 * in between; a master that joins, loses keys of a slot, and is forgotten; SETSLOT NODE without the keys. */
#ifndef DF2REDIS_WORKER_CLUSTER_VERDICT_H
#define DF2REDIS_WORKER_CLUSTER_VERDICT_H

#include "worker/cluster/members.h"

/* What a slot has: the entries of this session up to seq, and the journal before lsn (0: unknown). */
struct place {
    uint64_t seq, lsn;
};

/* A mark of this FLOW. Of an earlier session only the lsn counts. */
struct mark_fact {
    bool present, of_session;
    struct place place;
    uint64_t placement; /* of a node */
};

/* A master of the last or of the present topology, as it answers now. */
struct master_fact {
    char id[41], run_id[41], replid[41];
    char replid_before[41]; /* empty: it was never a replica */
    char replica_of[41]; /* id of the master whose replica it was at the last judgement; empty: it was none */
    uint64_t fingerprint; /* of the slots that it serves; 0: none */
    bool silent;          /* now, or at a look since the last judgement */
    bool absent;          /* silent now, at each look since the last judgement, and then */
    bool up_all_along;    /* since the last judgement, if it was no member then */
    bool open; /* side of an open slot, by any master's CLUSTER NODES, now or since the last judgement */
    struct mark_fact mark; /* of the node, in its lowest slot … */
    uint64_t flushed_txid; /* … and the flush note beside it; 0: none of this session */
};

struct facts {
    const struct identity *was; /* the masters by the last judgement */
    size_t was_count;
    /* Those of `was`, of the present topology, and of each look in between. */
    const struct master_fact *is;
    size_t is_count;
    bool moved;            /* a look since the last judgement saw a slot at another master than then */
    size_t slots;          /* number of slots; below: by slot */
    const uint16_t *owner; /* index in `is` */
    const struct place
        *memory; /* acknowledged to this process; to its predecessor, by the cursor (and held_seq) */
    const struct mark_fact *slot_marks; /* read where the hash of the slot is */
    uint64_t placement;
    uint64_t flushed_txid; /* the newest flush that all masters have run, by the last judgement and since */
    uint64_t noted_txid;   /* of the newest flush note in any slot; 0: none of this session */
    uint64_t first_lsn;    /* the journal of this session begins there; 0: it began with a snapshot */
};

enum judgement {
    BY_MEMORY,
    BY_MARKS,
    RESYNC_MOVED,
    RESYNC_OPEN,
    RESYNC_UNMARKED,
    RESYNC_FLUSH,
    RESYNC_JOURNAL,
    JUDGEMENTS
};

struct verdict {
    enum judgement judgement;
    size_t master;         /* RESYNC: the reason, index in `is`; is_count: the cluster */
    bool replaced;         /* the placement grows by 1, and is saved before anything is sent */
    uint64_t flushed_txid; /* going on: the newest flush that every master with slots has run */
};

/* places: one for each slot, set unless a resync is needed. */
struct verdict verdict(const struct facts *f, struct place *places);
static inline bool verdict_goes_on(const struct verdict *v)
{
    return v->judgement <= BY_MARKS;
}
/* What an operator reads after the name of the master, or of the cluster. NULL: the run goes on. */
const char *verdict_reason(enum judgement j);

#endif
