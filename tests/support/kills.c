/* The FLOWs' cursors tell who works there. */
#include "tests/support/kills.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>

#include "common/cursor.h"
#include "tests/support/testing.h"

enum { TAKEOVER_LIMIT_MS = 10000 };

static bool open_cursor(const struct df2redis *d, uint32_t flow, struct cursor *c)
{
    char *directory = format_text("%s/default", d->dir);
    bool ok = cursor_open_readonly(c, directory, flow, NULL);
    free(directory);
    return ok;
}

pid_t worker_pid(const struct df2redis *d, uint32_t flow)
{
    struct cursor c = {0};
    if (!open_cursor(d, flow, &c))
        return 0;
    pid_t pid = (pid_t)cursor_get(&c.marks->pid);
    cursor_close(&c);
    return pid;
}

uint64_t worker_received(const struct df2redis *d, uint32_t flow)
{
    struct cursor c = {0};
    if (!open_cursor(d, flow, &c))
        return 0;
    uint64_t received = cursor_get(&c.marks->received_offset);
    cursor_close(&c);
    return received;
}

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

bool kill_worker(struct kills *k, const struct df2redis *d, uint32_t flow)
{
    struct cursor c = {0};
    if (!open_cursor(d, flow, &c))
        return false;
    pid_t old = (pid_t)cursor_get(&c.marks->pid);
    double begun = now_ms(), took = 0;
    bool killed = old > 0 && kill(old, SIGKILL) == 0;
    bool over = false;
    while (killed && !over && took < TAKEOVER_LIMIT_MS) {
        poll(NULL, 0, 1);
        over = (pid_t)cursor_get(&c.marks->pid) != old;
        took = now_ms() - begun;
    }
    cursor_close(&c);
    if (!over)
        return false;
    k->count++;
    k->sum_ms += took;
    if (took > k->worst_ms)
        k->worst_ms = took;
    return true;
}

struct replaced {
    const struct df2redis *d;
    uint32_t flow;
    pid_t old;
};

static bool is_replaced(void *arg)
{
    const struct replaced *r = arg;
    return worker_pid(r->d, r->flow) != r->old;
}

bool worker_replaced(const struct df2redis *d, uint32_t flow, pid_t old)
{
    struct replaced r = {d, flow, old};
    return wait_until(is_replaced, &r, TAKEOVER_LIMIT_MS);
}

void kills_print(const struct kills *k, const char *what)
{
    fprintf(stderr, "%s: %llu kills, a successor had taken over after %.1f ms on average, %.1f ms at worst\n",
            what, (unsigned long long)k->count, k->count ? k->sum_ms / (double)k->count : 0, k->worst_ms);
}
