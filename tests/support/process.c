/* Child processes of a test. */
#include "tests/support/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/testing.h"

enum { STOP_DEADLINE_MS = 300000 };

static void become(const char *output_path, const char *const argv[], pid_t parent)
{
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(127);
    int in = open("/dev/null", O_RDONLY);
    int out = open(output_path, O_WRONLY | O_CREAT | O_APPEND, 0644);
    if (in < 0 || out < 0)
        _exit(127);
    dup2(in, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    dup2(out, STDERR_FILENO);
    for (int fd = 3; fd < 1024; fd++)
        close(fd);
    signal(SIGHUP, SIG_DFL); /* the tests may run under nohup */
    execvp(argv[0], (char *const *)(uintptr_t)argv);
    dprintf(STDERR_FILENO, "cannot run %s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

bool process_start(struct process *p, const char *output_path, const char *const argv[])
{
    *p = (struct process){.output_path = x_strdup(output_path), .status = -1};
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0)
        become(output_path, argv, parent);
    if (pid < 0)
        return false;
    setpgid(pid, pid);
    p->pid = pid;
    return true;
}

bool process_running(struct process *p)
{
    if (!p->pid)
        return false;
    int raw = 0;
    if (waitpid(p->pid, &raw, WNOHANG) != p->pid)
        return true;
    p->status = WIFEXITED(raw) ? WEXITSTATUS(raw) : 128 + WTERMSIG(raw);
    /* What it left behind of its group ends with it. */
    kill(-p->pid, SIGKILL);
    p->pid = 0;
    return false;
}

void process_signal(struct process *p, int signal)
{
    if (p->pid)
        kill(p->pid, signal);
}

static bool ended(void *arg)
{
    return !process_running(arg);
}

int process_wait(struct process *p, uint32_t deadline_ms)
{
    return wait_until(ended, p, deadline_ms) ? p->status : -1;
}

void process_stop(struct process *p)
{
    if (p->pid) {
        kill(-p->pid, SIGKILL);
        kill(p->pid, SIGKILL);
        process_wait(p, STOP_DEADLINE_MS);
    }
    free(p->output_path);
    p->output_path = NULL;
}

char *process_output(const struct process *p)
{
    struct buf b = {0};
    if (p->output_path)
        file_read(p->output_path, &b);
    buf_put_u8(&b, 0);
    return (char *)b.data;
}

bool process_said(const struct process *p, const char *text)
{
    return p->output_path && file_contains(p->output_path, text);
}

char process_state(pid_t pid)
{
    struct buf stat = {0};
    char *path = format_text("/proc/%ld/stat", (long)pid);
    bool there = file_read(path, &stat);
    free(path);
    buf_put_u8(&stat, 0);
    const char *end = there ? strrchr((const char *)stat.data, ')') : NULL;
    char state = end && end[1] ? end[2] : 0;
    buf_free(&stat);
    return state;
}

int process_run(const char *const argv[], uint32_t deadline_ms, char **output)
{
    char *dir = temp_dir_make("run");
    char *path = format_text("%s/output", dir);
    struct process p;
    int status = -1;
    if (process_start(&p, path, argv))
        status = process_wait(&p, deadline_ms);
    if (output)
        *output = process_output(&p);
    process_stop(&p);
    unlink(path);
    rmdir(dir);
    free(path);
    free(dir);
    return status;
}
