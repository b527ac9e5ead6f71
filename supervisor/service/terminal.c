/* A shell takes its terminal back only from a stopped job. So the process stops, and a timer of the kernel continues it a
 * moment later by SIGCONT, which reaches a stopped process, too. */
#include "supervisor/service/terminal.h"

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <time.h>
#include <unistd.h>

enum { STOPPED_MS = 100 };

static bool has_terminal(void)
{
    int fd = open("/dev/tty", O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

void terminal_leave(void)
{
    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGCONT};
    struct itimerspec soon = {.it_value.tv_nsec = STOPPED_MS * 1000000L};
    if (!has_terminal() || timer_create(CLOCK_MONOTONIC, &event, &timer) != 0)
        return;
    if (timer_settime(timer, 0, &soon, NULL) == 0)
        kill(getpid(), SIGSTOP);
    timer_delete(timer);
}
