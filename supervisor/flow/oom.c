/* Kills for want of memory: /proc/vmstat, or memory.events of the control group. */
#include "supervisor/flow/oom.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { TEXT_BYTES = 65536 };

static struct slice read_text(const char *path, char *out, size_t bytes)
{
    size_t len = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    for (ssize_t n; fd >= 0 && len < bytes && (n = read(fd, out + len, bytes - len)) > 0;)
        len += (size_t)n;
    if (fd >= 0)
        close(fd);
    return slice_of(out, len);
}

static bool next_line(struct slice *text, struct slice *line)
{
    if (!text->len)
        return false;
    const uint8_t *end = memchr(text->data, '\n', text->len);
    size_t n = end ? (size_t)(end - text->data) : text->len;
    *line = slice_of(text->data, n);
    n += end != NULL;
    *text = slice_of(text->data + n, text->len - n);
    return true;
}

static bool after_prefix(struct slice line, const char *prefix, struct slice *rest)
{
    size_t n = strlen(prefix);
    if (line.len < n || memcmp(line.data, prefix, n) != 0)
        return false;
    *rest = slice_of(line.data + n, line.len - n);
    return true;
}

struct oom_count oom_count_in(struct slice text)
{
    struct oom_count count = {0};
    struct slice line, number;
    while (!count.known && next_line(&text, &line))
        count.known = after_prefix(line, "oom_kill ", &number) && slice_to_u64(number, &count.kills);
    return count;
}

/* The line "0::/path" names the group in version 2 of control groups. */
static struct oom_count count_of_control_group(char *scratch)
{
    char path[512] = "";
    struct slice text = read_text("/proc/self/cgroup", scratch, TEXT_BYTES), line, group;
    while (next_line(&text, &line))
        if (after_prefix(line, "0::", &group) && group.len < sizeof path / 2)
            snprintf(path, sizeof path, "/sys/fs/cgroup%.*s/memory.events", (int)group.len,
                     (const char *)group.data);
    return *path ? oom_count_in(read_text(path, scratch, TEXT_BYTES)) : (struct oom_count){0};
}

struct oom_count oom_count_now(void)
{
    static char scratch[TEXT_BYTES];
    struct oom_count count = oom_count_in(read_text("/proc/vmstat", scratch, sizeof scratch));
    return count.known ? count : count_of_control_group(scratch);
}

bool oom_since(struct oom_count before, struct oom_count now)
{
    return !before.known || !now.known || now.kills != before.kills;
}
