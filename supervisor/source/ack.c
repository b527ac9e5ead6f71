/* *3 $8 REPLCONF $3 ACK $n <lsn>: the master does not reply. */
#include "supervisor/source/ack.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#include "common/log/log.h"

static void send_rest(struct ack *a)
{
    ssize_t n = send(a->fd, a->rest, a->rest_len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        n = 0;
    } else if (n < 0) {
        /* The end of the link is noticed where it is read. */
        log_debug("cannot acknowledge: %s", strerror(errno));
        a->rest_len = 0;
        return;
    }
    a->rest_len -= (size_t)n;
    memmove(a->rest, a->rest + n, a->rest_len);
    if (a->rest_len)
        event_add(a->writable, NULL);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    send_rest(arg);
}

void ack_init(struct ack *a, struct event_base *base, int fd)
{
    *a = (struct ack){.fd = fd};
    if (fd >= 0)
        a->writable = event_new(base, fd, EV_WRITE, on_writable, a);
}

void ack_free(struct ack *a)
{
    if (a->writable)
        event_free(a->writable);
    *a = (struct ack){.fd = -1};
}

void ack_ping(struct ack *a)
{
    a->ping = true;
    a->ping_answered = false;
}

bool ack_due(const struct ack *a, uint64_t applied_lsn, uint64_t now_ms)
{
    if (applied_lsn == 0 || applied_lsn < a->sent_lsn)
        return false;
    if (a->ping && (!a->ping_answered || applied_lsn != a->sent_lsn))
        return true;
    return applied_lsn - a->sent_lsn >= ACK_ENTRIES || now_ms - a->sent_ms >= ACK_INTERVAL_MS;
}

void ack_poll(struct ack *a, const struct cursor_marks *marks, uint64_t lsn, uint64_t now_ms)
{
    if (a->fd < 0 || a->rest_len || !ack_due(a, lsn, now_ms))
        return;
    char number[24];
    size_t digits = format_u64(number, lsn);
    int len = snprintf((char *)a->rest, sizeof a->rest,
                       "*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$%zu\r\n%.*s\r\n", digits, (int)digits, number);
    a->rest_len = (size_t)len;
    a->sent_lsn = lsn;
    a->sent_ms = now_ms;
    a->ping_answered = true;
    uint64_t ping_lsn = cursor_get(&marks->ping_lsn);
    if (lsn > ping_lsn || (lsn == ping_lsn && lsn == cursor_get(&marks->received_lsn)))
        a->ping = false;
    send_rest(a);
}
