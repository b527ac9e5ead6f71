/* The FLOWs' cursors tell who works there. */
#include "tests/support/kills.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "common/ipc/cursor.h"
#include "tests/support/testing.h"

enum { TAKEOVER_LIMIT_MS = 300000 };

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

static bool kill_and_wait(struct kills *k, const struct cursor *c, pid_t old)
{
    double begun = now_ms(), took = 0;
    bool killed = old > 0 && kill(old, SIGKILL) == 0;
    bool over = false;
    while (killed && !over && took < TAKEOVER_LIMIT_MS) {
        poll(NULL, 0, 1);
        pid_t now = (pid_t)cursor_get(&c->marks->pid);
        over = now && now != old;
        took = now_ms() - begun;
    }
    if (!over)
        fprintf(stderr, "worker %ld %s\n", (long)old,
                killed ? "was killed, and has no successor" : "was dead already");
    if (over && k->count < KILLS_KEPT)
        k->took_ms[k->count++] = took;
    return over;
}

bool kill_worker(struct kills *k, const struct df2redis *d, uint32_t flow)
{
    struct cursor c = {0};
    if (!open_cursor(d, flow, &c))
        return false;
    bool over = kill_and_wait(k, &c, (pid_t)cursor_get(&c.marks->pid));
    cursor_close(&c);
    return over;
}

/* It may have ended its turn before the signal reached it: then it goes on. */
static bool is_stopped_while_busy(void *arg)
{
    const struct cursor *c = arg;
    pid_t pid = (pid_t)cursor_get(&c->marks->pid);
    if (!cursor_get(&c->marks->busy) || kill(pid, SIGSTOP) != 0)
        return false;
    for (char state = 0; state != 'T';)
        if ((state = process_state(pid)) == 0)
            return false;
    if (cursor_get(&c->marks->busy))
        return true;
    kill(pid, SIGCONT);
    return false;
}

bool kill_busy_worker(struct kills *k, const struct df2redis *d, uint32_t flow, uint32_t limit_ms)
{
    struct cursor c = {0};
    if (!open_cursor(d, flow, &c))
        return false;
    uint64_t end = clock_monotonic_ms() + limit_ms;
    bool stopped = false;
    /* Where processors are scarce it loses its own in the midst of it, rather than we ours while we look. */
    setpriority(PRIO_PROCESS, (id_t)cursor_get(&c.marks->pid), 19);
    while (!stopped && clock_monotonic_ms() < end)
        stopped = is_stopped_while_busy(&c);
    bool over = stopped && kill_and_wait(k, &c, (pid_t)cursor_get(&c.marks->pid));
    cursor_close(&c);
    return over;
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

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void kills_print(const struct kills *k, const char *what)
{
    static double sorted[KILLS_KEPT];
    if (!k->count)
        return;
    memcpy(sorted, k->took_ms, k->count * sizeof *sorted);
    qsort(sorted, k->count, sizeof *sorted, compare);
    fprintf(stderr, "%s: %llu kills, a successor had taken over after %.1f ms (median), %.1f ms at worst\n",
            what, (unsigned long long)k->count, sorted[k->count / 2], sorted[k->count - 1]);
}
