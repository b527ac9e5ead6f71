/* FLUSHALL and FLUSHDB: every FLOW has them, with one txid. Each worker applies what comes before, says
 * AT_GLOBAL and stops decoding; the supervisor, once all are there, lets one run it and the others go on.
 *
 * The flush would wipe the marks as well, and a worker that died then would take the target for one
 * that lost its data. So the marks are carried over it in one script.
 *
 * The script also notes the flush's txid. A FLOW that comes to a flush again, put back to its mark, sees by
 * it whether the target has the flush. If not, the target went back to before it: other FLOWs may be
 * beyond it already, so that it can no longer be put in its place, and only a full sync helps.
 *
 * A target that refuses the flush keeps what the source has no more: nothing that comes after would be right,
 * so the run ends. The marks stand before the flush then, and the next run begins with it. */
#ifndef DF2REDIS_WORKER_PIPELINE_FLUSH_H
#define DF2REDIS_WORKER_PIPELINE_FLUSH_H

#include "worker/pipeline/commit.h"
#include "worker/translate/translator.h"

/* The one at hand, or the last one. */
struct flush {
    struct flow *flow;
    struct router *router;
    struct translator *translator;
    struct commit *commit;

    uint64_t txid, seq;
    uint32_t db;
    char command[32];
    bool again;            /* it was decoded once before */
    uint64_t flushed_txid; /* the newest of this session that the target has */
    uint64_t doubted_txid; /* the target was asked about it */
    uint64_t all_seq,
        all_lsn; /* a cluster: no slot is behind them; the commit's skip_* are of the one ahead of all */
};

bool flush_begin(struct flush *f, const struct entry *e, struct error *error);
void flush_advance(struct flush *f); /* after everything before it is acknowledged */
/* True: its commands are in the open round. */
bool flush_run(struct flush *f, uint64_t txid);
/* age_ms: it was run no longer ago; 0: not known. */
void flush_pass(struct flush *f, uint64_t txid, uint64_t age_ms);
/* The target has refused a part of the flush at hand: the run ends. False: there is none at hand. */
bool flush_refused(struct flush *f, const char *text);
/* A round was, of the flush if there is one at hand. */
void flush_acknowledged(struct flush *f);

#endif
