/* df2redis cutover as a process, and its end: what its tests have in common. After cmocka.h. */
#ifndef DF2REDIS_TESTS_CUTOVER_ORDER_H
#define DF2REDIS_TESTS_CUTOVER_ORDER_H

#include <stdio.h>
#include <stdlib.h>

#include "tests/support/run.h"
#include "tests/support/testing.h"

static struct process order;

static inline void order_print(struct df2redis *program)
{
    char *text = process_output(&order);
    fprintf(stderr, "df2redis cutover (status %d) said:\n%s\n", order.status, text);
    free(text);
    df2redis_print(program);
}

/* With this exit code, after it has said this. */
static inline void assert_order_ends(struct df2redis *program, int code, const char *said)
{
    int ended = process_wait(&order, RUN_DEADLINE_MS);
    bool there = process_said(&order, said);
    if (ended != code || !there)
        order_print(program);
    assert_int_equal(ended, code);
    assert_true(there);
}

#endif
