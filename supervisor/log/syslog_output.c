/* One datagram a line, as glibc's syslog() writes them: "<PRIORITY>Mmm dd hh:mm:ss df2redis[PID]: text". */
#include "supervisor/log/syslog_output.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"

enum { TEXT_MAX_BYTES = 8192, KEPT_MAX_BYTES = 256 * 1024, LAST_MS = 500 };

static struct sockaddr_un address;
static int log_fd = -1;
static struct buf kept; /* datagrams, each behind its length */
static unsigned long long lost;

static void connect_again(void)
{
    if (log_fd >= 0)
        close(log_fd);
    log_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (log_fd >= 0 && connect(log_fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        close(log_fd);
        log_fd = -1;
    }
}

void syslog_output_open(const char *path)
{
    address = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    connect_again();
}

/* A restarted log daemon has another socket under the same name. */
static bool send_one(struct slice datagram)
{
    for (int attempt = 0; attempt < 2; attempt++) {
        if (log_fd >= 0 && send(log_fd, datagram.data, datagram.len, MSG_NOSIGNAL) >= 0)
            return true;
        if (log_fd >= 0 && (errno == EAGAIN || errno == ENOBUFS || errno == EINTR))
            return false;
        if (log_fd >= 0 && errno == EMSGSIZE)
            return true; /* never to be taken */
        connect_again();
    }
    return false;
}

static void keep_line(int priority, struct slice text)
{
    char head[64], when[20];
    time_t now = time(NULL);
    struct tm tm;
    size_t len = text.len < TEXT_MAX_BYTES ? text.len : TEXT_MAX_BYTES;
    strftime(when, sizeof when, "%h %e %T", localtime_r(&now, &tm));
    int n =
        snprintf(head, sizeof head, "<%d>%s df2redis[%ld]: ", LOG_DAEMON | priority, when, (long)getpid());
    uint32_t bytes = (uint32_t)n + (uint32_t)len;
    buf_put(&kept, &bytes, sizeof bytes);
    buf_put(&kept, head, (size_t)n);
    buf_put(&kept, text.data, len);
}

void syslog_output_flush(void)
{
    size_t at = 0;
    while (at < kept.len) {
        uint32_t bytes;
        memcpy(&bytes, kept.data + at, sizeof bytes);
        if (!send_one(slice_of(kept.data + at + sizeof bytes, bytes)))
            break;
        at += sizeof bytes + bytes;
    }
    if (at) {
        memmove(kept.data, kept.data + at, kept.len - at);
        kept.len -= at;
    }
}

void syslog_output_line(int priority, struct slice text)
{
    char note[80];
    syslog_output_flush();
    if (kept.len > KEPT_MAX_BYTES) {
        lost++;
        return;
    }
    if (lost) {
        snprintf(note, sizeof note, "%llu lines are missing here: the log daemon did not take them", lost);
        keep_line(LOG_WARNING, slice_str(note));
        lost = 0;
    }
    keep_line(priority, text);
    syslog_output_flush();
}

void syslog_output_close(void)
{
    uint64_t end_ms = clock_monotonic_ms() + LAST_MS, now_ms;
    syslog_output_flush();
    while (kept.len && log_fd >= 0 && (now_ms = clock_monotonic_ms()) < end_ms) {
        struct pollfd room = {.fd = log_fd, .events = POLLOUT};
        poll(&room, 1, (int)(end_ms - now_ms));
        syslog_output_flush();
    }
    buf_free(&kept);
    if (log_fd >= 0)
        close(log_fd);
    log_fd = -1;
}
