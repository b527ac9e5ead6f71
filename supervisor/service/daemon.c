/* fork, setsid, fork: the second child is no session leader, so that no terminal can become its own. The pipe
 * to the foreground carries one byte, the exit code, and for failures their text; without even a byte, the
 * process has died. */
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

static void tell(uint8_t code, const char *text)
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
    tell(0, "");
}

void daemon_tell_failed(int exit_code, const char *text)
{
    tell((uint8_t)exit_code, text);
}

static int wait_for_word(int fd)
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
                len > 1 ? bytes + 1 : "the daemon ended during its start: its log tells why");
    return code;
}

/* What standard error would have got in the meantime goes through the pipe. */
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
        return; /* then this file system cannot be unmounted meanwhile: no reason not to run */
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
        *exit_code = wait_for_word(told[0]);
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
