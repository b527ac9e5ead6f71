/* One datagram a line, as glibc's syslog() writes them: "<PRIORITY>Mmm dd hh:mm:ss df2redis[PID]: text". */
#include "supervisor/syslog_output.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

enum { TEXT_MAX_BYTES = 8192 };

static int log_fd = -1;
static unsigned long long lost;

void syslog_output_open(void)
{
    static const struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
    syslog_output_close();
    log_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (log_fd >= 0 && connect(log_fd, (const struct sockaddr *)&address, sizeof address) != 0)
        syslog_output_close();
}

static bool send_datagram(int priority, struct slice text)
{
    char head[64] = "", when[20];
    time_t now = time(NULL);
    struct tm tm;
    size_t len = text.len < TEXT_MAX_BYTES ? text.len : TEXT_MAX_BYTES;
    strftime(when, sizeof when, "%h %e %T", localtime_r(&now, &tm));
    int n =
        snprintf(head, sizeof head, "<%d>%s df2redis[%ld]: ", LOG_DAEMON | priority, when, (long)getpid());
    struct iovec parts[] = {{head, (size_t)n}, {(void *)(uintptr_t)text.data, len}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    return sendmsg(log_fd, &message, MSG_NOSIGNAL) >= 0;
}

/* A log daemon that was started anew has another socket under the same name. */
static bool send_or_connect_again(int priority, struct slice text)
{
    if (log_fd >= 0) {
        if (send_datagram(priority, text))
            return true;
        if (errno == EAGAIN || errno == ENOBUFS || errno == EMSGSIZE || errno == EINTR)
            return false;
    }
    syslog_output_open();
    return log_fd >= 0 && send_datagram(priority, text);
}

void syslog_output_line(int priority, struct slice text)
{
    char note[80];
    if (lost) {
        snprintf(note, sizeof note, "%llu lines are missing here: syslog did not take them", lost);
        if (!send_or_connect_again(LOG_WARNING, slice_str(note))) {
            lost++;
            return;
        }
        lost = 0;
    }
    if (!send_or_connect_again(priority, text))
        lost++;
}

void syslog_output_close(void)
{
    if (log_fd >= 0)
        close(log_fd);
    log_fd = -1;
}
