/* Log lines in memory. Lost lines are reported once half of the space is free: a reader that takes single lines would
 * otherwise get a report for each. */
#include "common/log/log_queue.h"

#include <stdio.h>
#include <string.h>

#include "common/log/log.h"

static uint64_t count_lines(struct slice lines)
{
    uint64_t n = 0;
    for (size_t i = 0; i < lines.len; i++)
        n += lines.data[i] == '\n';
    return n ? n : 1;
}

void log_queue_tell_lost(struct log_queue *q)
{
    char text[160];
    if (!q->lost_lines || q->kept.len > q->limit_bytes / 2)
        return;
    snprintf(text, sizeof text, "%llu log line%s lost here: %s", (unsigned long long)q->lost_lines,
             q->lost_lines == 1 ? " was" : "s were", q->reason);
    q->told_lines = q->lost_lines;
    q->lost_lines = 0;
    log_format_line(&q->kept, LOG_LEVEL_WARNING, text);
}

void log_queue_put(struct log_queue *q, struct slice lines)
{
    log_queue_tell_lost(q);
    if (q->lost_lines || q->kept.len + lines.len > q->limit_bytes)
        q->lost_lines += count_lines(lines);
    else
        buf_put(&q->kept, lines.data, lines.len);
}

void log_queue_arrived(struct log_queue *q)
{
    q->told_lines = 0;
}

void log_queue_lose(struct log_queue *q, struct slice lines)
{
    q->lost_lines += count_lines(lines);
    if (q->told_lines)
        q->lost_lines += q->told_lines - 1; /* less the line that told it */
    q->told_lines = 0;
}

void log_queue_free(struct log_queue *q)
{
    buf_free(&q->kept);
    q->lost_lines = q->told_lines = 0;
}
