/* /proc/PID/stat and /proc/PID/status of a process's children. */
#include "tests/support/usage.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/support/testing.h"

static char *proc_text(pid_t pid, const char *file)
{
    struct buf b = {0};
    char *path = format_text("/proc/%d/%s", (int)pid, file);
    file_read(path, &b);
    free(path);
    buf_put_u8(&b, 0);
    return (char *)b.data;
}

static void find_children(struct usage *u)
{
    char *file = format_text("task/%d/children", (int)u->parent);
    char *text = proc_text(u->parent, file);
    char *rest = text, *end;
    for (long pid; (pid = strtol(rest, &end, 10)) > 0 && end != rest; rest = end) {
        size_t i = 0;
        while (i < u->count && u->processes[i].pid != (pid_t)pid)
            i++;
        if (i == u->count && u->count < USAGE_PROCESSES)
            u->processes[u->count++].pid = (pid_t)pid;
    }
    free(text);
    free(file);
}

/* Fields 14 and 15, counted after the name in parentheses. */
static double cpu_seconds(pid_t pid)
{
    char *text = proc_text(pid, "stat");
    const char *after = strrchr(text, ')');
    unsigned long user = 0, system = 0;
    if (after)
        sscanf(after + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system);
    free(text);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static uint64_t anon_bytes(pid_t pid)
{
    char *text = proc_text(pid, "status");
    const char *at = strstr(text, "RssAnon:");
    uint64_t kib = at ? strtoull(at + 8, NULL, 10) : 0;
    free(text);
    return kib * 1024;
}

uint64_t usage_reads(pid_t pid)
{
    char *text = proc_text(pid, "io");
    const char *at = strstr(text, "syscr:");
    uint64_t reads = at ? strtoull(at + 6, NULL, 10) : 0;
    free(text);
    return reads;
}

void usage_sample(struct usage *u)
{
    find_children(u);
    for (size_t i = 0; i < u->count; i++) {
        double cpu = cpu_seconds(u->processes[i].pid);
        uint64_t anon = anon_bytes(u->processes[i].pid);
        if (cpu > u->processes[i].cpu_s)
            u->processes[i].cpu_s = cpu;
        if (anon > u->processes[i].peak_anon_bytes)
            u->processes[i].peak_anon_bytes = anon;
    }
}

double usage_cpu_s(const struct usage *u)
{
    double sum = 0;
    for (size_t i = 0; i < u->count; i++)
        sum += u->processes[i].cpu_s;
    return sum;
}

uint64_t usage_peak_anon_bytes(const struct usage *u)
{
    uint64_t peak = 0;
    for (size_t i = 0; i < u->count; i++)
        if (u->processes[i].peak_anon_bytes > peak)
            peak = u->processes[i].peak_anon_bytes;
    return peak;
}
