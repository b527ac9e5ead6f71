/* /proc/PID/stat: "pid (name) state ppid … utime stime … starttime vsize rss …", see proc(5). The name may
 * hold anything, so fields are counted from the last parenthesis. */
#include "supervisor/observe/proc_stat.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    FIELD_STATE = 3,
    FIELD_UTIME = 14,
    FIELD_STIME = 15,
    FIELD_START = 22,
    FIELD_VSIZE = 23,
    FIELD_RSS = 24
};

static bool read_text(const char *path, char *out, size_t bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, out, bytes - 1);
    if (fd >= 0)
        close(fd);
    out[n > 0 ? n : 0] = '\0';
    return n > 0;
}

/* /proc/stat has it too, but a service may not see that file. */
static double boot_unix_seconds(void)
{
    struct timespec now, since_boot;
    clock_gettime(CLOCK_REALTIME, &now);
    clock_gettime(CLOCK_BOOTTIME, &since_boot);
    return (double)(now.tv_sec - since_boot.tv_sec) + (double)(now.tv_nsec - since_boot.tv_nsec) / 1e9;
}

static double count_open_files(void)
{
    double n = -1; /* without the descriptor of this directory */
    DIR *directory = opendir("/proc/self/fd");
    if (!directory)
        return 0;
    for (struct dirent *d; (d = readdir(directory));)
        n += d->d_name[0] != '.';
    closedir(directory);
    return n;
}

bool process_figures_of(long pid, struct process_figures *out)
{
    char path[48], text[1024];
    double tick = (double)sysconf(_SC_CLK_TCK), page = (double)sysconf(_SC_PAGESIZE);
    *out = (struct process_figures){0};
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    char *at = pid > 0 && read_text(path, text, sizeof text) ? strrchr(text, ')') : NULL;
    if (!at)
        return false;
    at++;
    for (int field = FIELD_STATE; field <= FIELD_RSS && *at; field++) {
        at += strspn(at, " ");
        double v = strtod(at, NULL);
        if (field == FIELD_UTIME || field == FIELD_STIME)
            out->cpu_seconds += v / tick;
        else if (field == FIELD_START)
            out->start_unix_seconds = boot_unix_seconds() + v / tick;
        else if (field == FIELD_VSIZE)
            out->virtual_bytes = v;
        else if (field == FIELD_RSS)
            out->resident_bytes = v * page;
        at += strcspn(at, " ");
    }
    if (pid == (long)getpid())
        out->open_files = count_open_files();
    return true;
}
