/* COMMAND and its guard.
 *
 *   df2redis cutover ──fork──→ guard ──fork──→ /bin/sh -c COMMAND, a process group of its own
 *          └── pipe `life`: the guard sees its end ──┘
 *          ┌── pipe `outcome`: how COMMAND ended ────┘
 *
 * If any of the three is killed, COMMAND does not go on alone: a switch that nobody awaits any more would move the clients
 * although writes go on at the source. */
#include "supervisor/cli/cutover.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/clock.h"

enum ended { ENDED_BY_ITSELF, ENDED_LATE, ENDED_UNSTARTED };

struct outcome {
    enum ended ended;
    int status; /* of waitpid, or errno */
};

static int life = -1; /* held open by this process */

static void become_command(const char *command, const char *const *environment, pid_t guard,
                           const sigset_t *signals)
{
    int null = open("/dev/null", O_RDONLY);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != guard)
        _exit(EX_OSERR);
    if (null >= 0)
        dup2(null, STDIN_FILENO);
    for (const char *const *e = environment; *e; e++)
        putenv((char *)*e);
    sigprocmask(SIG_SETMASK, signals, NULL);
    signal(SIGPIPE, SIG_DFL);
    execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    _exit(127);
}

/* Waits for COMMAND, its deadline, or the end of the process that awaits it. */
static struct outcome guard_command(pid_t child, int life_fd, int children, uint64_t deadline_ms)
{
    struct outcome out = {.ended = ENDED_BY_ITSELF};
    for (;;) {
        uint64_t now_ms = clock_monotonic_ms();
        struct pollfd fds[] = {{.fd = life_fd, .events = POLLIN}, {.fd = children, .events = POLLIN}};
        bool late = now_ms >= deadline_ms;
        int n = late ? 0 : poll(fds, 2, (int)(deadline_ms - now_ms < 60000 ? deadline_ms - now_ms : 60000));
        if (waitpid(child, &out.status, WNOHANG) == child)
            return out;
        if (!late && !(n > 0 && fds[0].revents))
            continue;
        out.ended = ENDED_LATE;
        kill(-child, SIGKILL);
        kill(child, SIGKILL); /* before it has a group */
        while (waitpid(child, &out.status, 0) < 0 && errno == EINTR)
            ;
        return out;
    }
}

static void become_guard(const char *command, const char *const *environment, int life_fd, int outcome_fd,
                         uint64_t deadline_ms)
{
    sigset_t mask, before;
    struct outcome out = {.ended = ENDED_UNSTARTED};
    /* Ctrl-C reaches the process that awaits COMMAND, and `life` ends. */
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGQUIT, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&mask);
    sigaddset(&mask, SIGCHLD);
    sigprocmask(SIG_BLOCK, &mask, &before);
    int children = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    pid_t self = getpid(), child = children >= 0 ? fork() : -1;
    if (child == 0) {
        signal(SIGINT, SIG_DFL);
        signal(SIGTERM, SIG_DFL);
        signal(SIGHUP, SIG_DFL);
        signal(SIGQUIT, SIG_DFL);
        become_command(command, environment, self, &before);
    }
    out.status = errno;
    if (child > 0)
        out = guard_command(child, life_fd, children, deadline_ms);
    if (child > 0 && !(WIFEXITED(out.status) && WEXITSTATUS(out.status) == 0))
        kill(-child, SIGKILL); /* its children, too */
    ssize_t written = write(outcome_fd, &out, sizeof out);
    _exit(written == (ssize_t)sizeof out ? 0 : 1);
}

int cutover_exec_start(const char *command, const char *const *environment, uint64_t deadline_ms,
                       struct error *error)
{
    int to_guard[2], from_guard[2];
    deadline_ms += clock_monotonic_ms();
    if (pipe2(to_guard, O_CLOEXEC) != 0)
        goto failed;
    if (pipe2(from_guard, O_CLOEXEC) != 0) {
        close(to_guard[0]);
        close(to_guard[1]);
        goto failed;
    }
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        close(to_guard[1]);
        close(from_guard[0]);
        become_guard(command, environment, to_guard[0], from_guard[1], deadline_ms);
    }
    close(to_guard[0]);
    close(from_guard[1]);
    life = to_guard[1];
    if (pid > 0)
        return from_guard[0];
    close(from_guard[0]);
failed:
    error_fatal(error, EX_OSERR, "cannot start the command: %s", strerror(errno));
    return -1;
}

bool cutover_exec_end(int fd, char *text, size_t text_bytes)
{
    struct outcome out;
    ssize_t n;
    if (life >= 0)
        close(life);
    life = -1;
    while ((n = read(fd, &out, sizeof out)) < 0 && errno == EINTR)
        ;
    close(fd);
    if (n != (ssize_t)sizeof out)
        snprintf(text, text_bytes, "was killed, together with its guard");
    else if (out.ended == ENDED_UNSTARTED)
        snprintf(text, text_bytes, "could not be started: %s", strerror(out.status));
    else if (out.ended == ENDED_LATE)
        snprintf(text, text_bytes, "has not ended before the pause does, and was killed (--max-pause)");
    else if (WIFSIGNALED(out.status))
        snprintf(text, text_bytes, "was killed by signal %d", WTERMSIG(out.status));
    else if (WEXITSTATUS(out.status) != 0)
        snprintf(text, text_bytes, "has ended with exit code %d", WEXITSTATUS(out.status));
    else
        return true;
    return false;
}
