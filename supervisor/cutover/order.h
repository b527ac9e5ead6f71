/* What the operator has ordered, as the line on the control socket has it (JSON after the word "cutover"). */
#ifndef DF2REDIS_SUPERVISOR_CUTOVER_ORDER_H
#define DF2REDIS_SUPERVISOR_CUTOVER_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"

enum cutover_then { CUTOVER_THEN_STOP, CUTOVER_THEN_TAKEOVER, CUTOVER_THEN_REVERSE };

enum {
    CUTOVER_PAUSE_MS = 10000, /* unless told otherwise */
    CUTOVER_PAUSE_LEAST_MS = 200,
    CUTOVER_PAUSE_MOST_MS = 300000,
    CUTOVER_LINE_BYTES = 200,
};

struct cutover_order {
    uint64_t max_pause_ms;
    bool command; /* the command line runs one */
    bool dry_run, accept_divergences;
    enum cutover_then then;
};

const char *cutover_then_name(enum cutover_then then);
/* Returns false for another word. */
bool cutover_then_read(const char *word, enum cutover_then *out);

/* Within CUTOVER_LINE_BYTES. */
void cutover_order_write(const struct cutover_order *order, char *out, size_t out_bytes);
bool cutover_order_read(const char *json, struct cutover_order *out, struct error *error);

#endif
