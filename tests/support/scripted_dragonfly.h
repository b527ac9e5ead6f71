/* A Dragonfly master that is played from bytes: recordings or generated streams.
 *
 * It speaks the handshake as PROTOCOL §1 has it and holds the replica to it: a phase command that a real
 * server would not survive, or any other step out of order, is a violation. Then it behaves as the
 * real one would (it is gone: every connection is closed), and the text says what was wrong.
 *
 * Runs in a thread of the test (scripted_start), or as a program (scripted_dragonfly). */
#ifndef DF2REDIS_TESTS_SCRIPTED_DRAGONFLY_H
#define DF2REDIS_TESTS_SCRIPTED_DRAGONFLY_H

#include <stdio.h>

#include "tests/support/recording.h"

enum scripted_reply {
    REPLY_AUTO,    /* FULL without an LSN; PARTIAL from any LSN that the journal here has, FULL from others */
    REPLY_FULL,    /* always */
    REPLY_PARTIAL, /* always, from the LSN asked for or from the first one */
    REPLY_ERROR,   /* -ERR and flow.error */
    REPLY_CLOSE,   /* closes the connection instead */
    REPLY_SILENCE, /* never answers */
};

#define NEVER UINT64_MAX

/* One FLOW: what is answered to DFLY FLOW, and its bytes. Offsets are into bytes. */
struct scripted_flow {
    enum scripted_reply reply;
    const char *error;
    char token[41];
    struct buf bytes;        /* owned */
    uint64_t at_startstable; /* so many are sent after SYNC, the rest after STARTSTABLE */
    uint64_t fullsync_end;   /* STARTSTABLE before this offset was sent is a violation */
    uint64_t journal_at;     /* the journal stream: first byte, and LSN of the first entry */
    uint64_t first_lsn;
    uint64_t ring_lsn;        /* what comes before that is no longer there for PARTIAL */
    uint64_t close_at;        /* the FLOW is closed once so many were sent; NEVER */
    uint64_t end_at, end_lsn; /* up to where LSNs were counted, and the next one there; 0: not yet */
};

/* What one sync session (REPLCONF capa dragonfly) gets. */
struct scripted_session {
    size_t flow_count;
    struct scripted_flow *flows;          /* owned */
    bool refuse_sync, refuse_startstable; /* the phase command is answered with an error */
};
struct scripted_session scripted_session_new(size_t flow_count);
struct scripted_session scripted_session_of(const struct recording *r);
void scripted_session_free(struct scripted_session *s);

enum scripted_kind {
    SCRIPTED_DRAGONFLY,
    SCRIPTED_REDIS,   /* answers +OK to REPLCONF capa dragonfly */
    SCRIPTED_REPLICA, /* a Dragonfly that is a replica */
};

struct scripted_options {
    enum scripted_kind kind;
    uint16_t port;               /* 0: a free one */
    const char *user, *password; /* what AUTH must say; NULL: none is asked for */
    bool refuse_client_id;
    uint32_t refuse_database; /* SELECT of it; 0: none */
    bool omits_untold;        /* INFO has no total_journal_omits */
    uint64_t omits;           /* what each SYNC adds to total_journal_omits of INFO */
    char master_id[41];
    char promoted_from[41]; /* it was a replica of that master; "" */
    int version;            /* in the greeting; 0: absent */
    const char *release;    /* "1.40.1" */
    bool
        sync_after_partial; /* as v1.31 to v1.34: STARTSTABLE alone is refused, the journal comes in JOURNAL_BLOBs */
    bool lineage;
    /* Bytes a send: 0 as many as fit; with random_split 1 … piece. */
    size_t piece;
    bool random_split;
    uint64_t seed;
    const char
        *keyspace;    /* answered to INFO beside the usual; "db0:keys=10\r\n…"; NULL: that of data_port, or
                             no such section */
    const char *info; /* the same, any "name:value\r\n…" */
    const char *config_databases; /* CONFIG GET databases; NULL: refused */
    const char *dflycluster;      /* the answer to it, a line of RESP */
    const char *cluster_slots;    /* the same for CLUSTER; NULL: unknown */
    const char *readwrite;        /* the same */
    /* Of a Redis that has its data: DUMP and the like are answered by it, and what ordinary clients write is carried
     * out there and journaled, but for a CLIENT PAUSE. 0: there is none. */
    uint16_t data_port;
    bool trust_acks; /* do not check ACKs against the journal: for benchmarks */
    FILE *log;       /* every event as it happens; NULL */
    /* Session i gets sessions[i], all later ones the last. Owned by the master from scripted_start on. */
    struct scripted_session *sessions;
    size_t session_count;
};
/* Defaults: a v1.40.1 without password. */
void scripted_options_init(struct scripted_options *o);
/* The same with the identity of the recording and it as the one session. */
void scripted_options_recording(struct scripted_options *o, const char *dir);
/* One more session at the end. */
void scripted_options_add(struct scripted_options *o, struct scripted_session session);

struct scripted; /* a running master */

struct scripted *scripted_start(const struct scripted_options *options);
void scripted_stop(struct scripted *m);
/* The loop itself, for the program: returns after a violation or when scripted_stop_soon was called. */
struct scripted *scripted_new(const struct scripted_options *options);
void scripted_run(struct scripted *m);
void scripted_stop_soon(struct scripted *m);
void scripted_free(struct scripted *m);

uint16_t scripted_port(const struct scripted *m);
const char *scripted_uri(const struct scripted *m);

/* What went against the protocol; "" when nothing did. Valid until the master ends. */
const char *scripted_violation(struct scripted *m);

/* Events: every command received ("DFLY SYNC SYNC1"), "accepted", "closed by peer", and what this side does
 * ("fullsync end sent", "all sent"). `who`: "control", "flow 0", or NULL for any; text: how it begins. */
size_t scripted_count(struct scripted *m, const char *who, const char *text);
/* Microseconds (monotonic) of the nth event, from 0; 0 when there is none. */
uint64_t scripted_time_us(struct scripted *m, const char *who, const char *text, size_t nth);
/* Those from one time on until before another. */
size_t scripted_count_between(struct scripted *m, const char *who, const char *text, uint64_t from_us,
                              uint64_t until_us);
/* `who` of the newest of them: of a connection without a part in the session, for as long as it lasts. False: there
 * is none. */
bool scripted_sender(struct scripted *m, const char *text, char who[16]);
/* Waits for so many of them. */
bool scripted_wait(struct scripted *m, const char *who, const char *text, size_t count, uint32_t deadline_ms);
void scripted_print(struct scripted *m, FILE *out);

/* Of the newest session. */
uint64_t scripted_sent(struct scripted *m, size_t flow);
bool scripted_all_sent(struct scripted *m);
uint64_t scripted_script_bytes(struct scripted *m, size_t flow); /* sent and to be sent */
uint64_t scripted_acked(struct scripted *m, size_t flow);        /* last REPLCONF ACK; 0: none yet */
uint64_t scripted_end_lsn(struct scripted *m, size_t flow);
bool scripted_wait_acked(struct scripted *m, uint32_t deadline_ms); /* every FLOW up to its end */

/* Holds a FLOW back once so many of its bytes were sent; NEVER lets it go on. For all sessions. */
void scripted_hold(struct scripted *m, size_t flow, uint64_t at);
/* More journal for a FLOW: sent at once when it is in stable sync, and kept for PARTIAL. */
void scripted_append(struct scripted *m, size_t flow, struct slice journal);
/* From now on it is that. A replica refuses every REPLCONF, also ACK on a FLOW: an error line in the stream. */
void scripted_become(struct scripted *m, enum scripted_kind kind);
/* options.keyspace, or options.info, from now on. */
void scripted_keyspace(struct scripted *m, const char *keyspace);
void scripted_info(struct scripted *m, const char *info);
/* It is another one from now on, promoted from a replica of the one before: each FLOW's
 * ring begins so many entries before its end. */
void scripted_promote(struct scripted *m, const char *master_id, uint64_t before_end);
/* A command of words is carried out on its data and journaled for that FLOW: nobody sees the one without the
 * other. True: the data took it. */
bool scripted_carry_out(struct scripted *m, size_t flow, uint32_t db, const char *words);
/* options.data_port from now on. */
void scripted_answer_from(struct scripted *m, uint16_t data_port);
/* As a network failure would: closes the FLOW's connection, the control one, or all. */
void scripted_cut_flow(struct scripted *m, size_t flow);
void scripted_cut_control(struct scripted *m);
void scripted_cut_all(struct scripted *m);
/* The same with RST instead of FIN. */
void scripted_reset_flow(struct scripted *m, size_t flow);
void scripted_reset_control(struct scripted *m);
/* All connections are forgotten without a word to the other side, as by a machine that lost power. False: not
 * permitted. */
bool scripted_vanish(struct scripted *m);
/* Connections stay, and new ones are made, but nobody reads or answers. */
void scripted_deaf(struct scripted *m, bool deaf);
/* DFLY STARTSTABLE is not answered, and no journal is sent. */
void scripted_hold_stable(struct scripted *m, bool hold);
/* The question whether it is a master (REPLCONF listening-port once more) is not answered. */
void scripted_hold_roles(struct scripted *m, bool hold);
/* DFLY REPLICAOFFSET is answered with this (an error without its -) instead of LSNs; NULL: with LSNs again. */
void scripted_refuse_offsets(struct scripted *m, const char *error);
/* … and with LSNs so much smaller than they are: those of another history. */
void scripted_set_back_offsets(struct scripted *m, uint64_t by);
/* Refuses connections until told otherwise. */
void scripted_listen(struct scripted *m, bool listen);

#endif
