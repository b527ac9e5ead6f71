/* fork, setsid, fork: the second child is no session leader, and so cannot acquire a controlling terminal. The pipe to
 * the foreground carries one byte, the exit code, and the text of a failure. An empty pipe: the daemon has died. */
#include "supervisor/service/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

static int told_fd = -1;

static void tell_foreground(uint8_t code, const char *text)
{
    char bytes[512];
    if (told_fd < 0)
        return;
    int len = snprintf(bytes, sizeof bytes, "%c%s", code, text);
    if (len < 0 || (size_t)len >= sizeof bytes)
        len = sizeof bytes - 1;
    if (!len)
        len = 1;
    ssize_t ignored = write(told_fd, bytes, (size_t)len);
    (void)ignored;
    close(told_fd);
    told_fd = -1;
}

void daemon_tell_ready(void)
{
    tell_foreground(0, "");
}

void daemon_tell_failed(int exit_code, const char *text)
{
    tell_foreground((uint8_t)exit_code, text);
}

static int wait_for_exit_code(int fd)
{
    char bytes[512];
    size_t len = 0;
    ssize_t n;
    while (len < sizeof bytes - 1 && (n = read(fd, bytes + len, sizeof bytes - 1 - len)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            break;
        len += (size_t)n;
    }
    bytes[len] = '\0';
    int code = len ? (uint8_t)bytes[0] : EX_SOFTWARE;
    if (code)
        fprintf(stderr, "df2redis: %s\n",
                len > 1 ? bytes + 1 : "the daemon ended during its start: see its log");
    return code;
}

/* Until the end of the start, the pipe carries failures in place of standard error. */
static void leave_terminal(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0) {
        dup2(null, STDIN_FILENO);
        dup2(null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
        if (null > STDERR_FILENO)
            close(null);
    }
    umask(027);
    if (chdir("/") != 0)
        return; /* the present directory's file system cannot be unmounted; the daemon works all the same */
}

enum daemon_side daemon_start(int *exit_code, struct error *error)
{
    int told[2];
    if (pipe2(told, O_CLOEXEC) != 0) {
        error_fatal(error, EX_OSERR, "cannot make a pipe to the background: %s", strerror(errno));
        return DAEMON_FAILED;
    }
    pid_t pid = fork();
    if (pid < 0) {
        error_fatal(error, EX_OSERR, "cannot go into the background: %s", strerror(errno));
        close(told[0]);
        close(told[1]);
        return DAEMON_FAILED;
    }
    if (pid > 0) {
        close(told[1]);
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            ;
        *exit_code = wait_for_exit_code(told[0]);
        close(told[0]);
        return DAEMON_STARTED;
    }
    close(told[0]);
    told_fd = told[1];
    setsid();
    pid = fork();
    if (pid != 0)
        _exit(pid < 0 ? EX_OSERR : EX_OK);
    leave_terminal();
    return DAEMON_RUN;
}
