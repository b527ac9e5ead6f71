/* FLUSHALL and FLUSHDB: every FLOW has them, with one txid. Each worker applies the entries before it, sends AT_GLOBAL
 * and stops decoding; once all have arrived, the supervisor sends RUN_GLOBAL to one and PASS_GLOBAL to the others.
 *
 * The flush would delete the marks as well, and a restarted worker would take the target for one that lost its data. So
 * one script flushes and keeps the marks.
 *
 * The script also stores the flush's txid, the flush note. A FLOW that is back at its mark and reaches the flush again
 * reads from it whether the target has the flush. If not, the target has lost it: other FLOWs may be past it, so
 * it can no longer run in order, and a full sync is needed. A full sync is also needed if the target has the flush,
 * and lacks entries before it: they would be applied behind it. A flush that deletes nothing here, as it is filtered or of
 * a database that is not copied, leaves its note as well: the FLOW need not wait for others, which are past it.
 *
 * A FLOW that was not held while the flush ran, and read no note before it applied entries again, is told so with
 * PASS_GLOBAL (unheld): these entries may stand behind the flush, and a full sync is needed.
 *
 * A target that refuses the flush keeps keys that the source has deleted, so the run ends. The marks are before the
 * flush, and the next run begins with it. */
#ifndef DF2REDIS_WORKER_PIPELINE_FLUSH_H
#define DF2REDIS_WORKER_PIPELINE_FLUSH_H

#include "worker/pipeline/commit.h"
#include "worker/translate/translator.h"

/* The current flush, or the last one. */
struct flush {
    struct flow *flow;
    struct router *router;
    struct translator *translator;
    struct commit *commit;

    uint64_t txid, seq, lsn;
    uint64_t arrival;      /* number of AT_GLOBAL: an answer to an earlier one is void */
    uint64_t restored_seq; /* where the decoder began after the last greeting of the target */
    uint32_t db;
    char command[32];
    bool again;            /* decoded before */
    uint64_t flushed_txid; /* the newest flush of this session that the target has; 0: none */
    uint64_t doubted_txid; /* the flush that the last reconnect was for */
    /* A cluster: every slot has the entries up to here, though not one slot both; the commit's skip_* are of the most
     * advanced slots. */
    uint64_t all_seq, all_lsn;
};

bool flush_begin(struct flush *f, const struct entry *e, struct error *error);
void flush_advance(struct flush *f); /* does nothing until all rounds are acknowledged */
/* RUN_GLOBAL. True: the commands of the flush are in the open round. */
bool flush_run(struct flush *f, uint64_t txid, uint64_t arrival);
/* PASS_GLOBAL. age_ms: the flush ran at most so long ago; 0: not known. unheld: it may have run while the FLOW was not
 * held at it. */
void flush_pass(struct flush *f, uint64_t txid, uint64_t arrival, uint64_t age_ms, bool unheld);
/* The target has refused a command of the current flush: the run ends. False: no flush is running. */
bool flush_refused(struct flush *f, const char *text);
/* The connection to the target is lost: the FLOW waits no longer, as what stands before the flush may be lost, too. */
void flush_leave(struct flush *f);
/* A round is acknowledged: that of the flush, if one is running. */
void flush_acknowledged(struct flush *f);

#endif
