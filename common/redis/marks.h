/* The marks as the target holds them: text in fields of a hash.
 *
 *   flow-N   <master id> <session> <seq> <lsn> <check>
 *   node-N   the same, then <fingerprint of the node's slots, hex> <run id> <replication id>   (cluster)
 *   flushed  <session> <txid> <master id>, and in a cluster the last three of node-N
 *   run      <session>: the supervisor's, of the session that fills the target; in the hash of a slot, of the
 *            session whose worker found no mark there
 *   db-D     the value of `run` when database D got its mark (standalone)
 *
 * seq: of the last entry done; lsn: of the next journal entry wanted, 0 during the snapshot; check: of the
 * last command before it (journal_check.h). Earlier releases wrote no check; such a mark is read, too.
 *
 * The mark of a database, the string df2redis:NAME:db with the database's number, lies in each database that is
 * written to, other than the hash's own: a flush of that database, or SWAPDB, changes it. One that the hash does not name
 * with the present `run` proves nothing.
 *
 * Standalone: one hash, df2redis:NAME. Cluster: one for each slot, df2redis:NAME:{tag}; flow-N vouches for
 * that slot, node-N, in the lowest slot of each node, for all that this FLOW sent to the node. A slot's marks move
 * with it: those of a node name the node that they were written to. */
#ifndef DF2REDIS_COMMON_REDIS_MARKS_H
#define DF2REDIS_COMMON_REDIS_MARKS_H

#include "common/redis/journal_check.h"

#define MARK_RUN_FIELD "run"
#define MARK_FLUSHED_FIELD "flushed"
#define MARK_DATABASE_FIELD "db-"
#define MARK_DATABASE_PATTERN "db%-(%d+)" /* Lua's */
#define MARK_DATABASE_SUFFIX ":db"

enum { MARK_TEXT_BYTES = 192, FLUSHED_TEXT_BYTES = 200, NODE_MARK_TEXT_BYTES = 320 };

/* The position that the target itself carries; all zero when it carries none of this session. */
struct mark {
    bool present;   /* a mark of this FLOW exists, of whatever session */
    bool unchecked; /* written by a release without checks */
    bool claimed;   /* the field run stands beside it. A mark alone was written after a flush */
    uint64_t session, seq, lsn;
    struct journal_check check;
    char master_id[41];
    uint64_t flushed_session, flushed_txid; /* the last global command that was run; 0: none … */
    char flushed_master[41];                /* … and its master, since each numbers from 1; "": unknown */
};

/* A node when something was written to it. */
struct marked_node {
    char run_id[41], replid[41]; /* empty: unknown */
    uint64_t fingerprint;        /* of the slots that it served */
};

/* What a cluster carries of this FLOW in one slot: its own mark, and the node's when it lies in this slot. */
struct slot_mark {
    struct mark own;
    struct mark node;
    struct marked_node marked;     /* the node that the second was written to */
    struct marked_node flushed_on; /* the node that the global command of `own` was run on */
};

/* Writes the mark of a database, unless the hash names it with the present claim. KEYS[1]: the hash; ARGV: its database,
 * the database. */
extern const char mark_database_script[];

void mark_write(const struct mark *m, char out[MARK_TEXT_BYTES]);
void node_mark_write(const char *mark, const struct marked_node *node, char out[NODE_MARK_TEXT_BYTES]);
/* Text into *out; false when it is no mark. flushed is left as it is. */
bool mark_parse(struct slice text, struct mark *out);
/* Into out->node and out->marked. */
bool node_mark_parse(struct slice text, struct slot_mark *out);
void flushed_write(uint64_t session, uint64_t txid, const char *master_id, char out[FLUSHED_TEXT_BYTES]);
/* Of a node of a cluster: what flushed_write() gave, and the node. */
void node_flushed_write(const char *flushed, const struct marked_node *node, char out[FLUSHED_TEXT_BYTES]);
/* Into out->flushed…; earlier releases wrote neither master nor node. node may be NULL. */
bool flushed_parse(struct slice text, struct mark *out, struct marked_node *node);

/* Cuts the first word off *text; false when there is none. */
bool mark_next_word(struct slice *text, struct slice *word);

#endif
