/* Shared by comparison*.c only. A file calls those to its right.
 *
 *   comparison.c ── _exec.c ── _large.c ── _batch.c ── _ask.c ── _value.c
 *
 *   comparison.c         stages: order of the questions; connections; end of a batch
 *   comparison_exec.c    the last stage: equal or not, and the commands that heal
 *   comparison_large.c   one value that is read in pieces
 *   comparison_batch.c   commands of a batch as questions, guarded where WATCH is not enough
 *   comparison_ask.c     questions to both servers, and their answers
 *   comparison_value.c   values of both sides
 *   comparison_trouble.c early ends; called by all of them
 *
 * Answers arrive in comparison.c, by x->on_answer, which calls the function of the stage. */
#ifndef DF2REDIS_WORKER_COMPARE_COMPARISON_INTERNAL_H
#define DF2REDIS_WORKER_COMPARE_COMPARISON_INTERNAL_H

#include "common/net/client.h"
#include "worker/compare/comparison.h"
#include "worker/compare/digest.h"
#include "worker/compare/large.h"
#include "worker/link/batch.h"
#include "worker/translate/translator.h"

enum { TARGET, SOURCE };
/* A larger value would block the server that builds one answer of it. */
enum { COMPARISON_VALUE_MAX_BYTES = 32 << 20 };
enum { ANSWER_TIMEOUT_MS = 20000, BATCH_MAX_BYTES = 48 << 20 };
enum { NO_EXPIRY = -1, NO_KEY = -2 }; /* answers of PEXPIRETIME */

enum comparison_stage {
    STAGE_IDLE,
    STAGE_CONNECTING,
    STAGE_TARGET_SIZES,
    STAGE_SOURCE_SIZES,
    STAGE_LARGE,
    STAGE_TARGET_VALUES,
    STAGE_SOURCE_VALUES,
    STAGE_TARGET_JSON,
    STAGE_OFFSETS,
    STAGE_WAITING,
    STAGE_EXEC,
};

/* A key of the batch. */
struct pair {
    struct compared told;
    bool decided;
    uint64_t bytes; /* memory of the value, the larger of both sides */
    struct digest target, source;
    struct {
        uint64_t bytes;   /* 0: no payload */
        uint8_t tail[10]; /* its last bytes: version and checksum */
    } target_dump;
    int64_t target_expire_ms, source_expire_ms;
    struct buf payload; /* of the source's value */
    bool differs;
    bool recurs;         /* … as before the key was rewritten */
    bool large;          /* read in pieces, alone in its batch */
    bool wants_copy;     /* differs, and the source's value must be written to a temporary key first */
    bool differs_surely; /* differs, and neither side was written meanwhile */
    bool guarded;        /* its commands are in one EVAL, which checks that the value is unchanged */
    uint32_t first_command, commands; /* of the EXEC */
};

struct comparison_side {
    struct client *client;
    bool ready;
    uint32_t db;
};

struct comparison {
    struct event_base *base;
    struct comparison_config config;
    struct capabilities target;
    struct comparison_side sides[2];
    struct uri node;  /* of the target: given by the caller, or by a redirection */
    char process[41]; /* its run id, by its own answer; empty: not known */
    unsigned redirects;
    struct event *soon; /* for work that must not run within a callback of a client */

    enum comparison_stage stage;
    client_reply on_answer; /* to every question */
    size_t awaited, got;
    struct pair *asked[COMPARISON_KEYS]; /* keys of the questions, in the order of the answers */
    size_t asked_count;
    struct pair pairs[COMPARISON_KEYS];
    size_t count;
    int64_t clock_ms; /* clock of a target without PEXPIRETIME */
    uint64_t lsns[1024];
    size_t lsn_count;
    uint64_t deadline_ms;
    struct error trouble;
    bool queue_refused;
    char queue_text[160];

    struct digest_scratch *scratch;
    struct translator translator;
    struct output *output;
    struct batch *batch;
    struct pair *writing; /* the key that is being translated */

    struct { /* comparison_large.c */
        int step;
        bool copying, over;
        struct large_walk walk;
        struct buf beside;
        struct slice argv[LARGE_ARGS_MAX];
    } large;
};

/* comparison_trouble.c */
/* The whole batch is AGAIN; `done` is called later, outside of the client's callback. */
void comparison_fail(struct comparison *x, const struct error *why);
void comparison_fail_answer(struct comparison *x, int side, const redisReply *reply);
/* Follows "MOVED 3999 127.0.0.1:6381" to the slot's master. */
void comparison_follow(struct comparison *x, const char *text);
/* The key cannot be compared or healed, now or later. */
void comparison_impossible(struct pair *p, const char *reason, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* comparison_ask.c: x->awaited answers follow; the function of the stage is called for each, as number x->got. */
void comparison_ask(struct comparison *x, int side, size_t argc, const struct slice *argv);
void comparison_ask_word(struct comparison *x, int side, const char *word);
void comparison_ask_sizes(struct comparison *x, int side);
void comparison_on_size(struct comparison *x, const redisReply *reply);
/* Keeps as many keys in the batch as memory allows; the others are AGAIN. */
void comparison_choose_by_size(struct comparison *x);
void comparison_ask_values(struct comparison *x, int side);
void comparison_on_target_value(struct comparison *x, const redisReply *reply);
void comparison_on_source_value(struct comparison *x, const redisReply *reply);
void comparison_select_db(struct comparison *x, int side);
/* When the key expires: PEXPIRETIME, or PTTL relative to the clock that was asked for before. */
void comparison_ask_expiry(struct comparison *x, int side, struct slice key);
void comparison_on_expiry(struct comparison *x, int side, struct pair *p, const redisReply *reply);
void comparison_on_value_error(struct comparison *x, int side, const redisReply *reply);
void comparison_ask_json(struct comparison *x); /* asks nothing if no key needs it */
void comparison_ask_offsets(struct comparison *x);
void comparison_on_offsets(struct comparison *x, const redisReply *reply);

/* comparison_batch.c: the commands of x->batch, to the target, without a MULTI. */
void comparison_ask_batch(struct comparison *x);
/* The same within a MULTI; sets first_command and commands of each pair. The commands are in the order of the pairs. */
void comparison_ask_all(struct comparison *x);

/* comparison_exec.c */
void comparison_ask_exec(struct comparison *x);
void comparison_on_exec(struct comparison *x, const redisReply *reply);

/* comparison_large.c: for the only key of the batch. */
void comparison_large_begin(struct comparison *x);
enum comparison_large_state {
    COMPARISON_LARGE_GOES_ON,
    COMPARISON_LARGE_READ,      /* the source's value was not written while it was read */
    COMPARISON_LARGE_UNDECIDED, /* AGAIN, or impossible */
};
enum comparison_large_state comparison_on_large(struct comparison *x, const redisReply *reply);
/* The values differ: adds to x->batch the commands that replace the key by its copy, or sets wants_copy. */
void comparison_large_write(struct comparison *x);
/* After EXEC. True: copying has begun. */
bool comparison_large_copies(struct comparison *x);

/* comparison_value.c */
void comparison_values_init(struct comparison *x);
void comparison_values_free(struct comparison *x);
/* A payload, or nil, as one side answered it. (MEMORY USAGE may not have told its size.) */
void comparison_take_target(struct comparison *x, struct pair *p, const redisReply *dump);
void comparison_take_source(struct comparison *x, struct pair *p, const redisReply *dump);
/* A JSON document of the target, read as text, as its payload is in the module's format. */
bool comparison_wants_json(const struct comparison *x, const struct pair *p);
void comparison_take_json(struct comparison *x, struct pair *p, const redisReply *text);
bool comparison_is_equal(const struct comparison *x, const struct pair *p);
enum verify_kind comparison_kind(const struct pair *p);
/* A hash of both values, which differ; never 0. */
uint64_t comparison_difference(const struct comparison *x, const struct pair *p);
/* Add to x->batch the commands that write the source's value to the key; UNLINK. */
void comparison_write_value(struct comparison *x, struct pair *p);
void comparison_unlink(struct comparison *x, struct slice key);

#endif
