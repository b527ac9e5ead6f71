/* The messages between supervisor and worker: SOCK_SEQPACKET, one message a packet, descriptors by SCM_RIGHTS. Only
 * message.c encodes and decodes them.
 *
 *   worker → supervisor                         supervisor → worker
 *   HELLO          pid, version                 START          the FLOW, and where to begin (+ FLOW fd)
 *   FLOW_OPENED    TLS only: FULL or PARTIAL    ENTER_STABLE   STARTSTABLE was answered +OK
 *   SNAPSHOT_DONE  FULLSYNC_END decoded         RUN_GLOBAL     all FLOWs are at txid: run it
 *   STABLE         EOF token seen               PASS_GLOBAL    another one ran it: go on
 *   PING           acknowledge at once          DRAIN          apply up to an LSN, or what is received,
 *                                                               then say DRAINED
 *   AT_GLOBAL      waiting at txid              STOP           end now
 *   LEFT_GLOBAL    waiting no longer            RECONFIGURE    settings that may change live
 *   GLOBAL_DONE    txid was run
 *   DIVERGENCE     what could not be carried; it is in divergences.log, or could not be written there
 *   LOGGED         divergences.log has lines for which there was no room here
 *   HEALED         a key was not as on the source, and is now
 *   FAILED         class, text; then it exits
 *   DRAINED        everything that DRAIN named is acknowledged; or all received, after the source's end
 *   BREAK          the journal can be followed no further in this session
 *   SPOOL_FULL     why: nothing more is read      CLOCK          the target's, against ours; perhaps connect anew
 *
 * A worker that verifies (df2redis verify) is told VERIFY instead of START, and again when the session of the run is
 * another one; it tells VERIFY_REPORT, and FAILED.
 *
 * Beside the messages the two programs share files in this folder: cursor.c (where a worker is) calls statefile.c (a file
 * of shared memory, torn by no death); divergence_log.c (what the target lacks) is a log; message.c calls none of them.
 */
#ifndef DF2REDIS_COMMON_IPC_MESSAGE_H
#define DF2REDIS_COMMON_IPC_MESSAGE_H

#include "common/base/error.h"
#include "common/redis/journal_check.h"

#define MESSAGE_VERSION 11
#define MESSAGE_MAX_BYTES 65536 /* a packet's size; settings are the largest part of one */

enum message_type {
    /* worker → supervisor */
    MESSAGE_HELLO = 1,
    MESSAGE_FLOW_OPENED,
    MESSAGE_SNAPSHOT_DONE,
    MESSAGE_STABLE,
    MESSAGE_PING,
    MESSAGE_AT_GLOBAL,
    MESSAGE_LEFT_GLOBAL,
    MESSAGE_GLOBAL_DONE,
    MESSAGE_DIVERGENCE,
    MESSAGE_LOGGED,
    MESSAGE_HEALED,
    MESSAGE_FAILED,
    MESSAGE_DRAINED,
    MESSAGE_BREAK,
    MESSAGE_SPOOL_FULL,
    MESSAGE_COMPARE_ALL,
    MESSAGE_WENT_BACK,
    /* supervisor → worker */
    MESSAGE_START,
    MESSAGE_ENTER_STABLE,
    MESSAGE_RUN_GLOBAL,
    MESSAGE_PASS_GLOBAL,
    MESSAGE_DRAIN,
    MESSAGE_STOP,
    MESSAGE_RECONFIGURE,
    MESSAGE_VERIFY,
    MESSAGE_VERIFY_REPORT, /* worker → supervisor */
    MESSAGE_CLOCK,
};

enum start_mode {
    START_FULL = 1, /* a snapshot follows */
    START_PARTIAL,  /* the journal from first_lsn follows */
    START_RESUME,   /* a successor: spool and cursor of this session are there, the socket goes on */
};

struct message {
    enum message_type type;
    int fd; /* -1, or a descriptor that came or goes along; the receiver owns it */
    union {
        struct {
            uint32_t version; /* MESSAGE_VERSION: both programs must be of one build */
            uint32_t pid;
        } hello;
        struct {
            uint32_t full; /* 1 FULL, 0 PARTIAL */
            char token[41];
        } flow_opened;
        struct {
            uint64_t txid;
            char command[32]; /* FLUSHALL, FLUSHDB */
            uint64_t
                arrival; /* AT_GLOBAL: a number of the worker's; RUN_GLOBAL, PASS_GLOBAL: the one it answers */
            uint64_t age_ms; /* PASS_GLOBAL: upper limit of the time since it ran; 0: unknown */
            uint32_t unheld; /* PASS_GLOBAL: 1: it may have run while the FLOW was not held */
        } global;            /* AT_GLOBAL, LEFT_GLOBAL, GLOBAL_DONE, RUN_GLOBAL, PASS_GLOBAL */
        struct {
            char reason[48];  /* one of the words of the manual's list: the status key */
            char command[64]; /* or the type's name */
            char key[440];    /* as log_key shows it; "in database N" behind it */
            char text[160];   /* the target's error; "": none */
            uint64_t id;      /* divergence_id; HEALED: 0 */
        } divergence;         /* HEALED, too */
        struct {
            uint32_t class;     /* enum error_class */
            uint32_t exit_code; /* sysexits.h, for fatal */
            uint64_t offset;    /* stream offset it happened at */
            char text[480];
        } failed;
        struct {
            char text[480]; /* why */
        } source_break;
        struct {
            char text[480];
        } spool_full;
        struct {
            char reason[160]; /* why single keys are not enough */
        } compare_all;
        struct {
            uint64_t seq; /* the target may lack what was written behind this entry */
        } went_back;
        struct {
            uint32_t flow, flow_count;
            uint32_t mode; /* enum start_mode */
            uint64_t session;
            uint64_t first_lsn;         /* PARTIAL: of the next entry wanted */
            uint64_t asked_lsn;         /* PARTIAL: of the first one that comes, to be compared */
            struct journal_check check; /* with what */
            uint32_t in_blobs; /* PARTIAL: 1: after SYNC, in JOURNAL_BLOBs, as older masters send it */
            char
                last_master_id[41]; /* marks of that master count: this one goes on with its journal; or "" */
            struct buf
                asked; /* TLS: what DFLY FLOW is asked behind the FLOW's number; owned by the message */
            uint64_t received_base;  /* bytes the supervisor read from the socket for the handshake */
            uint32_t source_release; /* 14001: Dragonfly 1.40.1; 0: not known */
            char token[41];          /* the EOF token */
            char master_id[41];
            char sync_id[32];
            char masters[1024];  /* of a cluster, "host:port" each and a blank between, as many as there is
                                    room for: when the target's address does not answer one of them may */
            struct buf settings; /* settings_encode; owned by the message */
        } start;                 /* + the FLOW's socket, none with TLS to the source */
        struct {
            uint64_t lsn; /* entries before it are waited for; 0: what is received now is all */
        } drain;
        struct {
            struct buf settings;
        } reconfigure;
        struct {
            int64_t ahead_ms; /* the fastest master's, of ours */
            uint32_t anew;    /* 1: the target's import mode has changed, which a new connection learns */
        } clock;
        struct {
            uint32_t active; /* 1: beside a run, whose session this is; 0: no run */
            uint64_t session;
            uint32_t flow_count;
            char master_id[41];
            uint32_t repair, again;   /* again: 1: not from where an earlier one was killed */
            uint32_t by_run;          /* 1: for the run itself, with rests */
            uint32_t source_only;     /* 1: keys that only the target has are left as they are */
            uint32_t sample_ppm;      /* of the keys, 1 to 1,000,000 */
            uint64_t keys_per_second; /* 0: no limit */
            struct buf settings;      /* empty when the session alone is another one; owned by the message */
        } verify;
        struct {
            struct buf report; /* verify_report.h; owned by the message */
        } verify_report;
    };
};

const char *message_name(enum message_type type);
/* Frees what the message owns (not its fd). */
void message_free(struct message *m);

/* Bytes of a message, without its descriptor. */
bool message_encode(const struct message *m, struct buf *out, struct error *error);
bool message_decode(struct slice bytes, struct message *m, struct error *error);

enum message_status { MESSAGE_OK, MESSAGE_AGAIN, MESSAGE_CLOSED, MESSAGE_BROKEN };
/* One message to or from a socketpair end. Received descriptors are close-on-exec. */
enum message_status message_send(int socket, const struct message *m, struct error *error);
enum message_status message_receive(int socket, struct message *m, struct error *error);

#endif
