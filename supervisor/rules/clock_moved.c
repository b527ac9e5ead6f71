#include "supervisor/rules/clock_moved.h"

enum { DRIFT_PER_S_US = 1000 };

static int64_t boot_time(struct clock_pair t)
{
    return t.unix_us - t.boot_us;
}

static int64_t distance(int64_t a, int64_t b)
{
    return a > b ? a - b : b - a;
}

/* The common part with what was known, which drift has made wider since. Without one the newer range counts. */
static void narrow(struct clock_watch *w, const struct clock_reading *r, int64_t least_us, int64_t most_us)
{
    int64_t drift_us = (r->answered.boot_us - w->taken_us) / 1000000 * DRIFT_PER_S_US + DRIFT_PER_S_US;
    int64_t was_least_us = w->least_us - drift_us, was_most_us = w->most_us + drift_us;
    bool apart = !w->known || least_us > was_most_us || most_us < was_least_us;
    w->least_us = apart || least_us > was_least_us ? least_us : was_least_us;
    w->most_us = apart || most_us < was_most_us ? most_us : was_most_us;
    w->taken_us = r->answered.boot_us;
    w->known = true;
}

enum clock_verdict clock_watch_take(struct clock_watch *w, const struct clock_reading *r, int64_t *by_us)
{
    enum clock_verdict verdict = CLOCK_AS_BEFORE;
    int64_t own_us = boot_time(r->answered);
    int64_t least_us = r->told_us - r->answered.unix_us, most_us = r->told_us - r->asked.unix_us;
    *by_us = 0;
    if (distance(own_us, boot_time(r->asked)) > CLOCK_TOLERANCE_US)
        return CLOCK_AS_BEFORE; /* set while the answer was on its way: the next one tells */
    if (w->known && distance(own_us, w->own_us) > CLOCK_TOLERANCE_US) {
        verdict = CLOCK_OWN_SET;
        *by_us = own_us - w->own_us;
    } else if (w->known && least_us > w->most_us + CLOCK_TOLERANCE_US) {
        verdict = CLOCK_SET;
        *by_us = least_us - w->most_us;
    } else if (w->known && most_us < w->least_us - CLOCK_TOLERANCE_US) {
        verdict = CLOCK_SET;
        *by_us = most_us - w->least_us;
    }
    if (verdict != CLOCK_AS_BEFORE)
        w->known = false;
    w->own_us = own_us;
    narrow(w, r, least_us, most_us);
    return verdict;
}
