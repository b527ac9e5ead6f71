/* One mutex, held only to move bytes in memory. A thread that hangs in write(2) at the end is abandoned together with
 * its state; the state is allocated for that reason, and the thread frees it. */
#include "supervisor/log/log_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/log/log_queue.h"

enum { PIECE_BYTES = 16384, FULL_RETRY_MS = 100 };

struct log_writer {
    pthread_mutex_t lock;
    pthread_cond_t filled, emptied;
    pthread_t thread;
    struct log_queue queue;
    bool writing, ending;
    bool left_alone;     /* the thread is detached, and frees this if its write(2) returns */
    int next_fd;         /* -1: none … */
    char *next_path;     /* … or to be opened; NULL: none */
    int open_failure;    /* errno of the last attempt, until it is told */
    size_t before_bytes; /* the queue's first bytes, which still go to the present descriptor */
};

static struct log_writer *writer;

/* EAGAIN: another process has made the open file non-blocking. */
static bool write_all(const uint8_t *data, size_t len)
{
    while (len) {
        ssize_t n = write(STDERR_FILENO, data, len);
        if (n >= 0) {
            data += n;
            len -= (size_t)n;
        } else if (errno == EAGAIN) {
            struct pollfd room = {STDERR_FILENO, POLLOUT, 0};
            poll(&room, 1, FULL_RETRY_MS);
        } else if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

int log_writer_open(const char *path)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
    int flags = fd < 0 ? -1 : fcntl(fd, F_GETFL);
    if (flags >= 0)
        fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
    return fd;
}

static bool next_is_due(const struct log_writer *w)
{
    return w->next_fd >= 0 || w->next_path;
}

/* Unlocks meanwhile. A descriptor, or another path, may have come then, and counts. */
static void open_next_path(struct log_writer *w)
{
    char *path = w->next_path;
    w->next_path = NULL;
    w->writing = true;
    pthread_mutex_unlock(&w->lock);
    int fd = log_writer_open(path), failure = errno;
    free(path);
    pthread_mutex_lock(&w->lock);
    w->writing = false;
    if (fd < 0)
        w->open_failure = failure;
    else if (next_is_due(w))
        close(fd);
    else
        w->next_fd = fd;
}

static void take_next_fd(struct log_writer *w)
{
    dup2(w->next_fd, STDERR_FILENO);
    if (w->next_fd != STDERR_FILENO)
        close(w->next_fd);
    w->next_fd = -1;
    w->queue.reason = "the log file could not be written, or not in time";
}

static size_t take_piece(struct log_writer *w, uint8_t *piece)
{
    size_t n = w->queue.kept.len < PIECE_BYTES ? w->queue.kept.len : PIECE_BYTES;
    if (next_is_due(w) && n > w->before_bytes)
        n = w->before_bytes;
    memcpy(piece, w->queue.kept.data, n);
    buf_consume(&w->queue.kept, n);
    if (next_is_due(w))
        w->before_bytes -= n;
    return n;
}

static void free_writer(struct log_writer *w)
{
    if (w->next_fd >= 0)
        close(w->next_fd);
    free(w->next_path);
    log_queue_free(&w->queue);
    pthread_cond_destroy(&w->filled);
    pthread_cond_destroy(&w->emptied);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

static void *write_lines(void *arg)
{
    struct log_writer *w = arg;
    uint8_t piece[PIECE_BYTES];
    pthread_mutex_lock(&w->lock);
    for (;;) {
        if (w->next_path && !w->before_bytes)
            open_next_path(w);
        if (w->next_fd >= 0 && !w->before_bytes)
            take_next_fd(w);
        if (next_is_due(w) && !w->before_bytes)
            continue;
        if (!w->queue.kept.len) {
            pthread_cond_broadcast(&w->emptied);
            if (w->ending)
                break;
            pthread_cond_wait(&w->filled, &w->lock);
            continue;
        }
        size_t n = take_piece(w, piece);
        w->writing = true;
        pthread_mutex_unlock(&w->lock);
        bool written = write_all(piece, n);
        pthread_mutex_lock(&w->lock);
        w->writing = false;
        if (written)
            log_queue_arrived(&w->queue);
        else
            log_queue_lose(&w->queue, slice_of(piece, n));
    }
    bool left_alone = w->left_alone;
    pthread_mutex_unlock(&w->lock);
    if (left_alone)
        free_writer(w);
    return NULL;
}

/* The main thread takes all signals. */
static int start_thread(struct log_writer *w)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failure = pthread_create(&w->thread, NULL, write_lines, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failure;
}

bool log_writer_start(void)
{
    struct log_writer *w = x_calloc(1, sizeof *w);
    pthread_condattr_t monotonic;
    w->next_fd = -1;
    w->queue.limit_bytes = LOG_WRITER_BYTES;
    w->queue.reason = "standard error was not read in time";
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->filled, NULL);
    pthread_cond_init(&w->emptied, &monotonic);
    pthread_condattr_destroy(&monotonic);
    int failure = start_thread(w);
    if (!failure) {
        writer = w;
        return true;
    }
    free_writer(w);
    errno = failure;
    return false;
}

bool log_writer_running(void)
{
    return writer != NULL;
}

void log_writer_put(struct slice lines)
{
    pthread_mutex_lock(&writer->lock);
    log_queue_put(&writer->queue, lines);
    pthread_cond_signal(&writer->filled);
    pthread_mutex_unlock(&writer->lock);
}

bool log_writer_draw(struct slice bytes)
{
    pthread_mutex_lock(&writer->lock);
    bool room = writer->queue.kept.len + bytes.len <= writer->queue.limit_bytes / 2;
    if (room)
        buf_put(&writer->queue.kept, bytes.data, bytes.len);
    pthread_cond_signal(&writer->filled);
    pthread_mutex_unlock(&writer->lock);
    return room;
}

size_t log_writer_backlog(void)
{
    pthread_mutex_lock(&writer->lock);
    size_t bytes = writer->queue.kept.len;
    pthread_mutex_unlock(&writer->lock);
    return bytes;
}

void log_writer_turn(void)
{
    pthread_mutex_lock(&writer->lock);
    log_queue_tell_lost(&writer->queue);
    pthread_cond_signal(&writer->filled);
    pthread_mutex_unlock(&writer->lock);
}

/* One that is not even reached is dropped: its lines go to the newest. */
static void replace(int fd, char *path)
{
    pthread_mutex_lock(&writer->lock);
    if (!next_is_due(writer))
        writer->before_bytes = writer->queue.kept.len;
    if (writer->next_fd >= 0)
        close(writer->next_fd);
    free(writer->next_path);
    writer->next_fd = fd;
    writer->next_path = path;
    pthread_cond_signal(&writer->filled);
    pthread_mutex_unlock(&writer->lock);
}

void log_writer_replace(int fd)
{
    replace(fd, NULL);
}

void log_writer_reopen(const char *path)
{
    replace(-1, x_strdup(path));
}

int log_writer_open_failure(void)
{
    pthread_mutex_lock(&writer->lock);
    int failure = writer->open_failure;
    writer->open_failure = 0;
    pthread_mutex_unlock(&writer->lock);
    return failure;
}

static struct timespec after_ms(uint32_t ms)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += ms / 1000;
    t.tv_nsec += (long)(ms % 1000) * 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    return t;
}

bool log_writer_flush(uint32_t limit_ms)
{
    struct timespec end = after_ms(limit_ms);
    bool in_time = true;
    pthread_mutex_lock(&writer->lock);
    log_queue_tell_lost(&writer->queue);
    pthread_cond_signal(&writer->filled);
    while (in_time && (writer->queue.kept.len || writer->writing || next_is_due(writer)))
        in_time = pthread_cond_timedwait(&writer->emptied, &writer->lock, &end) != ETIMEDOUT;
    pthread_mutex_unlock(&writer->lock);
    return in_time;
}

void log_writer_stop(uint32_t limit_ms)
{
    struct log_writer *w = writer;
    if (!w)
        return;
    bool flushed = log_writer_flush(limit_ms);
    writer = NULL;
    pthread_mutex_lock(&w->lock);
    w->ending = true;
    w->left_alone = !flushed;
    pthread_t thread = w->thread;
    pthread_cond_signal(&w->filled);
    pthread_mutex_unlock(&w->lock);
    if (!flushed) {
        pthread_detach(thread); /* from here on w is the thread's */
        return;
    }
    pthread_join(thread, NULL);
    free_writer(w);
}
