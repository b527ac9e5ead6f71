/* The program under test: build/df2redis (or what DF2REDIS_TEST_BINARY names), with a state directory of its
 * own. */
#ifndef DF2REDIS_TESTS_DF2REDIS_H
#define DF2REDIS_TESTS_DF2REDIS_H

#include <cjson/cJSON.h>

#include "tests/support/process.h"

struct df2redis {
    struct process process;
    char *dir; /* state and log; removed with it */
    unsigned starts;
};

/* Of the build that the tests are of, or what DF2REDIS_TEST_BINARY names. */
const char *df2redis_binary(void);

void df2redis_init(struct df2redis *d);
/* `df2redis VERB --source … --target … --state-dir … --log-level debug` and the further arguments,
 * NULL-terminated. May be called again after an end: the state directory stays. */
void df2redis_start(struct df2redis *d, const char *verb, const char *source, const char *target,
                    const char *const *extra);
/* start, and wait for its end: the exit code, or -1 after the deadline. */
int df2redis_run(struct df2redis *d, const char *verb, const char *source, const char *target,
                 const char *const *extra, uint32_t deadline_ms);
/* SIGKILL to all of it, if it still runs; removes the directory. */
void df2redis_end(struct df2redis *d);

/* `df2redis status --json`; NULL when it does not answer. The caller deletes it. */
cJSON *df2redis_status(const struct df2redis *d);
/* Of the status: a number (also of "flows.0.received_bytes" form), 0 when it is not there. */
double df2redis_status_number(const struct df2redis *d, const char *path);
/* true when the status says so. */
bool df2redis_status_true(const struct df2redis *d, const char *path);
/* Of a part of the status: the text there; "" where there is none, or no such part. */
const char *df2redis_text(const cJSON *part, const char *name);
/* Waits until the field is this text. */
bool df2redis_wait_status(struct df2redis *d, const char *path, const char *text, uint32_t deadline_ms);
/* Waits for in_step; at once false when the process ends. */
bool df2redis_wait_in_step(struct df2redis *d, uint32_t deadline_ms);

/* What it wrote so far holds this text. */
bool df2redis_said(const struct df2redis *d, const char *text);
/* Waits for it; at once false when the process ends without. */
bool df2redis_wait_said(struct df2redis *d, const char *text, uint32_t deadline_ms);
/* Its last lines, to stderr: when a test fails. */
void df2redis_print(const struct df2redis *d);

#endif
