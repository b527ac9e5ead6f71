/* Bytes read so far = bytes that arrived in order (tcpi_bytes_received) − unread bytes (SIOCINQ).
 *
 * The FIN takes one sequence number, which tcpi_bytes_received counts and SIOCINQ does not: one is subtracted once it
 * has arrived (Linux: tcp_rcv_nxt_update(), tcp_inq(), tcp_fin()). The state of the connection tells whether it has,
 * except in TCP_CLOSE, where an RST may have come with or without a FIN before it. There the TCP_INQ control message,
 * which counts the FIN, tells. */
#include "worker/source/received.h"

#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sched.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "common/base/clock.h"

#define SETTLE_MS 2000 /* without a reader the socket's buffer is full long before */

enum kernel_tcp_state {
    STATE_TIME_WAIT = 6,
    STATE_CLOSE = 7,
    STATE_CLOSE_WAIT = 8,
    STATE_LAST_ACK = 9,
    STATE_CLOSING = 11
};

static bool tcp_info_get(int fd, struct tcp_info *info)
{
    socklen_t bytes = sizeof *info;
    memset(info, 0, sizeof *info);
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &bytes) != 0)
        return false;
    if (bytes < offsetof(struct tcp_info, tcpi_bytes_received) + sizeof info->tcpi_bytes_received) {
        errno = ENOTSUP;
        return false;
    }
    return true;
}

/* Reads both numbers for the same instant: repeats the two calls until nothing has arrived in between. */
static bool read_counters(int fd, struct tcp_info *info, int *waiting)
{
    uint64_t deadline = clock_monotonic_ms() + SETTLE_MS;
    for (;;) {
        struct tcp_info after;
        if (!tcp_info_get(fd, info) || ioctl(fd, SIOCINQ, waiting) != 0 || !tcp_info_get(fd, &after))
            return false;
        if (info->tcpi_bytes_received == after.tcpi_bytes_received && info->tcpi_state == after.tcpi_state)
            return true;
        if (clock_monotonic_ms() > deadline) {
            errno = ETIMEDOUT;
            return false;
        }
        sched_yield();
    }
}

/* For TCP_CLOSE: with a FIN the TCP_INQ message is one more than SIOCINQ, and a read at the end succeeds; after an RST
 * without a FIN that read fails. */
static bool fin_before_close(int fd, int waiting)
{
    int on = 1, off = 0, hint = waiting;
    uint8_t byte;
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec part = {&byte, sizeof byte};
    struct msghdr m = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    if (setsockopt(fd, IPPROTO_TCP, TCP_INQ, &on, sizeof on) != 0)
        return false;
    if (recvmsg(fd, &m, MSG_PEEK | MSG_DONTWAIT) >= 0)
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
            if (c->cmsg_level == IPPROTO_TCP && c->cmsg_type == TCP_CM_INQ)
                memcpy(&hint, CMSG_DATA(c), sizeof hint);
    setsockopt(fd, IPPROTO_TCP, TCP_INQ, &off, sizeof off);
    return hint > waiting;
}

bool received_from_kernel(int fd, uint64_t *bytes)
{
    struct tcp_info info;
    int waiting;
    bool fin;
    if (!read_counters(fd, &info, &waiting))
        return false;
    switch (info.tcpi_state) {
    case STATE_TIME_WAIT:
    case STATE_CLOSE_WAIT:
    case STATE_LAST_ACK:
    case STATE_CLOSING:
        fin = true;
        break;
    case STATE_CLOSE:
        fin = fin_before_close(fd, waiting);
        break;
    default:
        fin = false;
    }
    uint64_t not_read = (uint64_t)waiting + (fin ? 1 : 0);
    *bytes = info.tcpi_bytes_received - not_read;
    return true;
}
