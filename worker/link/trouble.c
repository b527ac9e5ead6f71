/* Log messages about failures of the target. */
#include "worker/link/trouble.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "common/base/clock.h"
#include "common/log/log.h"

enum {
    WARN_EVERY_MS = 10000,
    BROKE_TIMES = 5,
    LEAST_ARGUMENT_LIMIT = 1 << 20, /* smallest limit that Redis accepts */
};

static void trouble_warn(struct trouble *t, const char *who, const struct error *error)
{
    uint64_t now = clock_monotonic_ms();
    bool other = strncmp(t->warned, error->text, sizeof t->warned - 1) != 0;
    if (!other && now - t->warned_ms < WARN_EVERY_MS && error->class != ERROR_FATAL)
        return;
    size_t len = strlen(who);
    bool named = strncmp(error->text, who, len) == 0 && error->text[len] == ':';
    log_warning("%s%s%s%s", named ? "" : who, named ? "" : ": ", error->text,
                error->class == ERROR_FATAL      ? "; giving up"
                : error->class == ERROR_REDIRECT ? "" /* the text says what follows */
                                                 : "; everything is kept, trying again: see to the target");
    t->warned_ms = now;
    snprintf(t->warned, sizeof t->warned, "%.*s", (int)sizeof t->warned - 1, error->text);
}

void trouble_note(struct trouble *t, const char *who, uint32_t limit_ms, struct error *error)
{
    uint64_t now = clock_monotonic_ms();
    if (!t->since_ms)
        t->since_ms = now;
    trouble_warn(t, who, error);
    if (error->class != ERROR_FATAL && limit_ms && now - t->since_ms >= limit_ms) {
        struct error last = *error;
        error_fatal(error, EX_UNAVAILABLE,
                    "the target was unavailable for longer than --target-retry; last error: %.300s",
                    last.text);
    }
}

bool trouble_over(struct trouble *t)
{
    if (!t->since_ms)
        return false;
    log_info("target: accepts writes again after %llu ms",
             (unsigned long long)(clock_monotonic_ms() - t->since_ms));
    t->since_ms = t->warned_ms = 0;
    t->warned[0] = '\0';
    return true;
}

void trouble_broke(struct trouble *t, const char *who, size_t argument_bytes)
{
    if (argument_bytes <= LEAST_ARGUMENT_LIMIT)
        return;
    t->broke_times = argument_bytes == t->broke_at_bytes ? t->broke_times + 1 : 1;
    t->broke_at_bytes = argument_bytes;
    if (t->broke_times < BROKE_TIMES)
        return;
    t->argument_bytes = argument_bytes - 1;
    t->broke_times = 0;
    log_warning("%s: closed the connection %d times at an argument of %zu bytes, and its limits are unknown: "
                "arguments "
                "of this size are now left out and counted; allow its user CONFIG|GET, or raise its "
                "proto-max-bulk-len and client-query-buffer-limit",
                who, BROKE_TIMES, argument_bytes);
}

void trouble_took(struct trouble *t, size_t argument_bytes)
{
    if (argument_bytes >= t->broke_at_bytes)
        t->broke_times = 0;
}
