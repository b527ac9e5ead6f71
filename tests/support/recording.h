/* A recorded session: what a real Dragonfly sent on each FLOW, and what was said in the handshake. */
#ifndef DF2REDIS_TESTS_RECORDING_H
#define DF2REDIS_TESTS_RECORDING_H

#include "common/base/mem.h"

struct recorded_flow {
    bool partial;
    bool lsn_given;
    uint64_t lsn; /* asked for in DFLY FLOW */
    char token[41];
    struct buf bytes;
    uint64_t at_startstable; /* bytes that came before DFLY STARTSTABLE was sent */
    uint64_t fullsync_end;   /* one past the FULLSYNC_END opcode; 0 when there is none */
    uint64_t journal_at;     /* where the journal stream begins, after the EOF token; 0 for PARTIAL */
    uint64_t first_lsn;      /* of the first journal entry at journal_at */
    uint64_t end_lsn;        /* next LSN after the last entry: DFLY REPLICAOFFSET */
};

struct recording {
    char *dir;
    char master_id[41], sync_id[32];
    int version; /* as in the reply to REPLCONF capa dragonfly; 0: absent */
    bool lineage;
    size_t flow_count;
    struct recorded_flow *flows;
};

/* Ends the test program when the directory does not hold one. */
void recording_load(struct recording *r, const char *dir);
void recording_free(struct recording *r);

#endif
