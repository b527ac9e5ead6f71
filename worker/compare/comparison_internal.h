/* The comparison's insides, shared by comparison*.c only. A file calls what stands to its right.
 *
 *   comparison.c ── _exec.c ── _large.c ── _batch.c ── _ask.c ── _value.c
 *
 *   comparison.c         stages: which question follows which; connections; the end of a batch
 *   comparison_exec.c    the last stage: equal or not, and what makes them equal
 *   comparison_large.c   one value that is read in pieces
 *   comparison_batch.c   commands of a batch as questions, guarded where WATCH does not suffice
 *   comparison_ask.c     questions to both servers and their answers
 *   comparison_value.c   values of both sides
 *   comparison_trouble.c what ends it early; all of them call it
 *
 * An answer comes to comparison.c, by x->on_answer, and from there to the function of its stage. */
#ifndef DF2REDIS_WORKER_COMPARE_COMPARISON_INTERNAL_H
#define DF2REDIS_WORKER_COMPARE_COMPARISON_INTERNAL_H

#include "common/net/client.h"
#include "worker/compare/comparison.h"
#include "worker/compare/digest.h"
#include "worker/compare/large.h"
#include "worker/link/batch.h"
#include "worker/translate/translator.h"

enum { TARGET, SOURCE };
/* A value above it would hold up the server that has to put it into one answer. */
enum { COMPARISON_VALUE_MAX_BYTES = 32 << 20 };
enum { ANSWER_TIMEOUT_MS = 20000, BATCH_MAX_BYTES = 48 << 20 };
enum { NO_EXPIRY = -1, NO_KEY = -2 }; /* as PEXPIRETIME answers */

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
    uint64_t bytes; /* what it takes, on the side where that is more */
    struct digest target, source;
    struct {
        uint64_t bytes;   /* 0: there is none */
        uint8_t tail[10]; /* the last: version and checksum */
    } target_dump;
    int64_t target_expire_ms, source_expire_ms;
    struct buf payload; /* of the source */
    bool differs;
    bool large;          /* read in pieces, alone in its batch */
    bool wants_copy;     /* the source's has to be written beside the key first … */
    bool differs_surely; /* … since nothing was written meanwhile */
    bool guarded;        /* its commands are one EVAL, which looks whether the value is still that */
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
    struct uri node; /* of the target: what we were told, or sent to */
    unsigned redirects;
    struct event *soon; /* what must not happen within a callback */

    enum comparison_stage stage;
    client_reply on_answer; /* to every question */
    size_t awaited, got;
    struct pair *asked[COMPARISON_KEYS]; /* about whom, in the order of the answers */
    size_t asked_count;
    struct pair pairs[COMPARISON_KEYS];
    size_t count;
    int64_t clock_ms; /* the target's, where it does not tell when a key ends */
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
    struct pair *writing; /* whose value is being translated */

    struct { /* comparison_large.c */
        int step;
        bool copying, over;
        struct large_walk walk;
        struct buf beside;
        struct slice argv[LARGE_ARGS_MAX];
    } large;
};

/* comparison_trouble.c */
/* All of the batch is AGAIN; within a callback of a client it is told afterwards. */
void comparison_fail(struct comparison *x, const struct error *why);
void comparison_fail_answer(struct comparison *x, int side, const redisReply *reply);
/* "MOVED 3999 127.0.0.1:6381": the slot's master is there. */
void comparison_follow(struct comparison *x, const char *text);
/* Nothing can ever be said of this key. */
void comparison_impossible(struct pair *p, const char *reason, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* comparison_ask.c: x->awaited answers follow, each told to the function of its stage as number x->got. */
void comparison_ask(struct comparison *x, int side, size_t argc, const struct slice *argv);
void comparison_ask_word(struct comparison *x, int side, const char *word);
void comparison_ask_sizes(struct comparison *x, int side);
void comparison_on_size(struct comparison *x, const redisReply *reply);
/* So many as memory allows; the others come another time. */
void comparison_choose_by_size(struct comparison *x);
void comparison_ask_values(struct comparison *x, int side);
void comparison_on_target_value(struct comparison *x, const redisReply *reply);
void comparison_on_source_value(struct comparison *x, const redisReply *reply);
void comparison_select_db(struct comparison *x, int side);
/* When the key ends; before it the clock, where the server only tells how long it still lives. */
void comparison_ask_expiry(struct comparison *x, int side, struct slice key);
void comparison_on_expiry(struct comparison *x, int side, struct pair *p, const redisReply *reply);
void comparison_on_value_error(struct comparison *x, int side, const redisReply *reply);
void comparison_ask_json(struct comparison *x); /* perhaps nothing */
void comparison_ask_offsets(struct comparison *x);
void comparison_on_offsets(struct comparison *x, const redisReply *reply);

/* comparison_batch.c: what x->batch holds, to the target, without a MULTI. */
void comparison_ask_batch(struct comparison *x);
/* The same for the EXEC: which answers are a pair's is noted in it. The commands are in the order of the pairs. */
void comparison_ask_all(struct comparison *x);

/* comparison_exec.c */
void comparison_ask_exec(struct comparison *x);
void comparison_on_exec(struct comparison *x, const redisReply *reply);

/* comparison_large.c: of the only key of the batch. */
void comparison_large_begin(struct comparison *x);
enum comparison_large_state {
    COMPARISON_LARGE_GOES_ON,
    COMPARISON_LARGE_READ,      /* the source's value is that of a moment */
    COMPARISON_LARGE_UNDECIDED, /* perhaps another time */
};
enum comparison_large_state comparison_on_large(struct comparison *x, const redisReply *reply);
/* They differ: into x->batch what puts the copy in the key's place, or it is noted that one is needed. */
void comparison_large_write(struct comparison *x);
/* After EXEC: true: the copy was begun. */
bool comparison_large_copies(struct comparison *x);

/* comparison_value.c */
void comparison_values_init(struct comparison *x);
void comparison_values_free(struct comparison *x);
/* A payload, or none, as it came from one side. */
void comparison_take_target(struct comparison *x, struct pair *p, const redisReply *dump);
void comparison_take_source(struct comparison *x, struct pair *p, const redisReply *dump);
/* The target's document, asked for because its payload is the module's own. */
bool comparison_wants_json(const struct comparison *x, const struct pair *p);
void comparison_take_json(struct comparison *x, struct pair *p, const redisReply *text);
bool comparison_is_equal(const struct comparison *x, const struct pair *p);
/* Commands into x->batch: the source's value in the key's place; UNLINK. */
void comparison_write_value(struct comparison *x, struct pair *p);
void comparison_unlink(struct comparison *x, struct slice key);

#endif
