/* fork, exec, and the channel to a worker. */
#include "supervisor/flow/worker_process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/log/log.h"

static const char *const PROGRAM = "df2redis-worker";

static char *executable_path(const char *directory, size_t directory_len, const char *below)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%.*s/%s%s", (int)directory_len, directory, below, PROGRAM);
    if (n < 0 || (size_t)n >= sizeof path || access(path, X_OK) != 0)
        return NULL;
    return x_strdup(path);
}

static char *find_in_path(void)
{
    const char *path = getenv("PATH");
    while (path && *path) {
        size_t len = strcspn(path, ":");
        char *found = len ? executable_path(path, len, "") : NULL;
        if (found)
            return found;
        path += len + (path[len] == ':');
    }
    return NULL;
}

char *worker_process_find(struct error *error)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    char *found = NULL;
    if (n > 0) {
        self[n] = '\0';
        char *slash = strrchr(self, '/');
        size_t len = slash ? (size_t)(slash - self) : 0;
        found = executable_path(self, len, "");
        if (!found)
            found = executable_path(self, len, "../libexec/df2redis/");
    }
    if (!found)
        found = find_in_path();
    if (!found)
        error_fatal(
            error, EX_OSFILE,
            "cannot find the program %s: looked beside %s, in ../libexec/df2redis and in PATH; install "
            "both programs together",
            PROGRAM, n > 0 ? self : "this one");
    return found;
}

void worker_process_init(struct worker_process *w)
{
    *w = (struct worker_process){.channel = -1, .log_fd = -1};
}

/* In the child: only async-signal-safe calls from here to exec. */
static void become_worker(const char *path, char *const argv[], int channel, int log_fd, pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(EX_UNAVAILABLE);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGCHLD, SIG_DFL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGTSTP, SIG_IGN);
    signal(SIGTTIN, SIG_IGN);
    signal(SIGTTOU, SIG_IGN);
    if (dup2(log_fd, STDERR_FILENO) < 0)
        _exit(EX_OSERR);
    if (channel == WORKER_CHANNEL_FD) {
        int flags = fcntl(channel, F_GETFD);
        if (flags < 0 || fcntl(channel, F_SETFD, flags & ~FD_CLOEXEC) < 0)
            _exit(EX_OSERR);
    } else if (dup2(channel, WORKER_CHANNEL_FD) < 0) {
        _exit(EX_OSERR);
    }
    execv(path, argv);
    _exit(WORKER_EXEC_FAILED);
}

/* Passes on the worker's standard error, whole lines at a time. */
static void relay_lines(struct worker_process *w, bool all)
{
    size_t end = w->log_partial.len;
    if (!all)
        while (end && w->log_partial.data[end - 1] != '\n')
            end--;
    if (!end && w->log_partial.len < 65536)
        return;
    if (!end)
        end = w->log_partial.len;
    w->on_log(slice_of(w->log_partial.data, end), w->arg);
    buf_consume(&w->log_partial, end);
}

/* Reads at most `limit` pieces, so that the other workers get their turn. */
static void read_log(struct worker_process *w, unsigned limit)
{
    while (limit--) {
        uint8_t *room = buf_reserve(&w->log_partial, 4096);
        ssize_t n = read(w->log_fd, room, 4096);
        if (n > 0) {
            w->log_partial.len += (size_t)n;
            relay_lines(w, false);
            continue;
        }
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0 && w->log_readable)
            event_del(w->log_readable);
        return;
    }
}

static void on_log(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    read_log(arg, 16);
}

static void close_channel(struct worker_process *w)
{
    if (w->readable)
        event_free(w->readable);
    w->readable = NULL;
    if (w->channel >= 0)
        close(w->channel);
    w->channel = -1;
}

/* Reads at most `limit` messages, so that the other workers get their turn. */
static void read_messages(struct worker_process *w, unsigned limit)
{
    while (w->channel >= 0 && limit--) {
        struct message m;
        struct error error = {0};
        switch (message_receive(w->channel, &m, &error)) {
        case MESSAGE_OK:
            w->on_message(w, &m, w->arg);
            if (m.fd >= 0)
                close(m.fd);
            message_free(&m);
            break;
        case MESSAGE_AGAIN:
            return;
        case MESSAGE_CLOSED:
            close_channel(w);
            break;
        case MESSAGE_BROKEN:
            log_error("worker %ld: %s; it is ended", (long)w->pid, error.text);
            close_channel(w);
            worker_process_kill(w);
            break;
        }
    }
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    read_messages(arg, 256);
}

static bool listen_to(struct worker_process *w, struct event_base *base)
{
    w->readable = event_new(base, w->channel, EV_READ | EV_PERSIST, on_readable, w);
    if (!w->readable || event_add(w->readable, NULL) != 0)
        return false;
    w->log_readable = event_new(base, w->log_fd, EV_READ | EV_PERSIST, on_log, w);
    return w->log_readable && event_add(w->log_readable, NULL) == 0;
}

bool worker_process_start_as(struct worker_process *w, struct event_base *base, const char *path,
                             const char *role, struct error *error)
{
    int pair[2], log_pipe[2];
    char title[48]; /* in the process list */
    snprintf(title, sizeof title, "%s: %s", PROGRAM, role);
    char *const argv[] = {title, NULL};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0)
        return error_set(error, ERROR_RETRY, "cannot make a socket pair for the worker (%s): %s", role,
                         strerror(errno));
    if (pipe2(log_pipe, O_CLOEXEC) != 0) {
        int failed = errno;
        close(pair[0]);
        close(pair[1]);
        return error_set(error, ERROR_RETRY, "cannot make a pipe for the worker (%s): %s", role,
                         strerror(failed));
    }
    pid_t self = getpid(), pid = fork();
    if (pid == 0)
        become_worker(path, argv, pair[1], log_pipe[1], self);
    int failure = errno;
    close(pair[1]);
    close(log_pipe[1]);
    w->pid = pid > 0 ? pid : 0;
    w->channel = pair[0];
    w->log_fd = log_pipe[0];
    evutil_make_socket_nonblocking(w->log_fd);
    if (pid > 0 && listen_to(w, base))
        return true;
    if (pid > 0)
        worker_process_kill(w);
    else
        worker_process_forget(w);
    return error_set(error, ERROR_RETRY, "cannot start the worker (%s): %s", role,
                     strerror(pid < 0 ? failure : ENOMEM));
}

bool worker_process_start(struct worker_process *w, struct event_base *base, const char *path, uint32_t flow,
                          struct error *error)
{
    char role[24];
    snprintf(role, sizeof role, "flow %u", flow);
    return worker_process_start_as(w, base, path, role, error);
}

bool worker_process_send(struct worker_process *w, const struct message *m)
{
    struct error error = {0};
    if (w->channel < 0)
        return false;
    enum message_status status = message_send(w->channel, m, &error);
    if (status == MESSAGE_OK)
        return true;
    if (status == MESSAGE_CLOSED) { /* the end of a worker is logged elsewhere */
        log_debug("worker %ld has ended before %s", (long)w->pid, message_name(m->type));
        return false;
    }
    log_warning("worker %ld: sending %s: %s", (long)w->pid, message_name(m->type),
                status == MESSAGE_AGAIN ? "it does not read its messages" : error.text);
    return false;
}

bool worker_process_send_plain(struct worker_process *w, enum message_type type)
{
    struct message m = {.type = type, .fd = -1};
    return worker_process_send(w, &m);
}

void worker_process_drain(struct worker_process *w)
{
    read_messages(w, UINT_MAX);
    if (w->log_fd >= 0) {
        read_log(w, UINT_MAX);
        relay_lines(w, true);
    }
}

void worker_process_kill(struct worker_process *w)
{
    if (w->pid > 0)
        kill(w->pid, SIGKILL);
}

void worker_process_forget(struct worker_process *w)
{
    close_channel(w);
    if (w->log_readable)
        event_free(w->log_readable);
    w->log_readable = NULL;
    if (w->log_fd >= 0)
        close(w->log_fd);
    w->log_fd = -1;
    buf_free(&w->log_partial);
    w->pid = 0;
}
