/* Whether a server's clock was set, by its answers to TIME.
 *
 *   this machine   asked ─────────────── answered
 *   server                  told             told - answered <= ahead <= told - asked
 *
 * A late answer makes the range wider, and never wrong: load alone moves no clock. The clock was set if two ranges are
 * further apart than the tolerance; the time of this machine was set if it runs apart from the time since its boot.
 *
 * Pure: no sockets, no clock. */
#ifndef DF2REDIS_SUPERVISOR_RULES_CLOCK_MOVED_H
#define DF2REDIS_SUPERVISOR_RULES_CLOCK_MOVED_H

#include <stdbool.h>
#include <stdint.h>

enum { CLOCK_TOLERANCE_US = 200000 };

/* Of this machine: Unix time, and the time since its boot. */
struct clock_pair {
    int64_t unix_us, boot_us;
};

struct clock_reading {
    struct clock_pair asked, answered;
    int64_t told_us; /* Unix time of the server */
};

/* Initialised with zeros. */
struct clock_watch {
    bool known;
    int64_t least_us, most_us; /* so far the server's clock is ahead of this machine's */
    int64_t own_us;            /* Unix time of this machine when it booted, by its clock */
    int64_t taken_us;          /* since its boot: the last reading */
};

enum clock_verdict {
    CLOCK_AS_BEFORE, /* or not known before */
    CLOCK_SET,       /* the server's */
    CLOCK_OWN_SET,   /* that of this machine */
};

/* *by_us: forward by so much at least; negative: back. */
enum clock_verdict clock_watch_take(struct clock_watch *w, const struct clock_reading *r, int64_t *by_us);

#endif
