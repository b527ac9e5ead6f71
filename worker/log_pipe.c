/* Sets O_NONBLOCK on the writing end of the pipe, which no other process shares. */
#include "worker/log_pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/log/log.h"
#include "common/log/log_queue.h"

enum { KEPT_BYTES = 256 * 1024, LAST_MS = 200 };

static struct log_queue queue = {.limit_bytes = KEPT_BYTES,
                                 .reason = "the supervisor did not read them in time"};
static bool opened;

static void flush_queue(void)
{
    size_t at = 0;
    while (at < queue.kept.len) {
        ssize_t n = write(STDERR_FILENO, queue.kept.data + at, queue.kept.len - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        at += (size_t)n;
    }
    buf_consume(&queue.kept, at);
}

static void put_line(struct slice line)
{
    flush_queue();
    log_queue_put(&queue, line);
    flush_queue();
}

void log_pipe_open(void)
{
    struct stat st;
    int flags = fcntl(STDERR_FILENO, F_GETFL);
    opened = flags >= 0 && fstat(STDERR_FILENO, &st) == 0 && S_ISFIFO(st.st_mode) &&
             fcntl(STDERR_FILENO, F_SETFL, flags | O_NONBLOCK) == 0;
    if (opened)
        log_set_sink(put_line);
}

void log_pipe_turn(void)
{
    if (!opened)
        return;
    flush_queue();
    log_queue_tell_lost(&queue);
    flush_queue();
}

void log_pipe_close(void)
{
    uint64_t end_ms = clock_monotonic_ms() + LAST_MS, now_ms;
    if (!opened)
        return;
    log_pipe_turn();
    while (queue.kept.len && (now_ms = clock_monotonic_ms()) < end_ms) {
        struct pollfd room = {.fd = STDERR_FILENO, .events = POLLOUT};
        if (poll(&room, 1, (int)(end_ms - now_ms)) == 1 && (room.revents & (POLLERR | POLLNVAL)))
            break;
        log_pipe_turn();
    }
    log_set_sink(NULL);
    log_queue_free(&queue);
    opened = false;
}
