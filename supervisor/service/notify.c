/* VAR=value lines in one datagram. A datagram that cannot be sent at once is dropped: a manager that does not read must
 * not stop a replica. */
#include "supervisor/service/notify.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/mem.h"

/* Returns half of WATCHDOG_USEC in milliseconds; 0: unset, or WATCHDOG_PID names another process. */
static uint64_t watchdog_from_environment(void)
{
    const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    uint64_t granted_us = 0, meant = 0;
    if (!usec || !slice_to_u64(slice_str(usec), &granted_us) || granted_us < 2000)
        return 0;
    if (pid && (!slice_to_u64(slice_str(pid), &meant) || meant != (uint64_t)getpid()))
        return 0;
    return granted_us / 2000;
}

void notify_open(struct notify *n)
{
    const char *path = getenv("NOTIFY_SOCKET");
    size_t len = path ? strlen(path) : 0;
    *n = (struct notify){.fd = -1, .address.sun_family = AF_UNIX};
    if (len > 1 && len < sizeof n->address.sun_path && (path[0] == '/' || path[0] == '@')) {
        memcpy(n->address.sun_path, path, len);
        if (path[0] == '@')
            n->address.sun_path[0] = '\0'; /* abstract */
        n->address_bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
        n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        n->watchdog_ms = watchdog_from_environment();
    }
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
}

void notify_close(struct notify *n)
{
    if (n->fd >= 0)
        close(n->fd);
    n->fd = -1;
}

static void send_text(const struct notify *n, const char *text)
{
    ssize_t ignored = n->fd < 0 ? 0
                                : sendto(n->fd, text, strlen(text), MSG_NOSIGNAL,
                                         (const struct sockaddr *)&n->address, n->address_bytes);
    (void)ignored;
}

void notify_ready(struct notify *n)
{
    if (!n->ready)
        send_text(n, "READY=1");
    n->ready = true;
}

void notify_stopping(struct notify *n)
{
    if (!n->stopping)
        send_text(n, "STOPPING=1");
    n->stopping = true;
}

void notify_reloading(struct notify *n)
{
    char text[80];
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%llu",
             (unsigned long long)now.tv_sec * 1000000 + (unsigned long long)now.tv_nsec / 1000);
    if (n->ready)
        send_text(n, text);
}

void notify_reloaded(struct notify *n)
{
    if (n->ready)
        send_text(n, "READY=1");
}

static void send_status(struct notify *n, const char *status)
{
    char text[NOTIFY_TEXT_BYTES + 16];
    if (strncmp(status, n->status, sizeof n->status - 1) == 0)
        return;
    snprintf(n->status, sizeof n->status, "%s", status);
    snprintf(text, sizeof text, "STATUS=%s", n->status);
    send_text(n, text);
}

void notify_turn(struct notify *n, uint64_t now_ms, bool in_step, const char *status)
{
    char text[64];
    if (n->fd < 0)
        return;
    if (in_step && !n->stopping)
        notify_ready(n);
    send_status(n, status);
    if (n->watchdog_ms && (!n->watchdog_sent_ms || now_ms - n->watchdog_sent_ms >= n->watchdog_ms)) {
        n->watchdog_sent_ms = now_ms;
        send_text(n, "WATCHDOG=1");
    }
    /* A full sync, or draining, may take any time: the manager's time-out is extended again and again. */
    if ((!n->ready || n->stopping) && (!n->extended_ms || now_ms - n->extended_ms >= NOTIFY_EXTEND_MS / 4)) {
        n->extended_ms = now_ms;
        snprintf(text, sizeof text, "EXTEND_TIMEOUT_USEC=%d000", NOTIFY_EXTEND_MS);
        send_text(n, text);
    }
}
