/* The display: drawn after each log line and each turn of the timers, erased before the next. */
#include "supervisor/observe/progress.h"

#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/size_text.h"
#include "common/log/log.h"
#include "supervisor/log/log_writer.h"
#include "supervisor/run/run.h"
#include "supervisor/run/totals.h"

enum { BAR_WIDTH = 24, MAX_LINE = 256, MIN_COLUMNS = 40, BACKLOG_BYTES = 16384 };

/* Log hooks take no argument. */
static struct run *shown;
static size_t drawn_lines;

bool progress_active(void)
{
    return shown != NULL;
}

/* False: the terminal is not being read (Ctrl-S), or another job is in its foreground. */
static bool may_draw(void)
{
    pid_t foreground = tcgetpgrp(STDERR_FILENO);
    return log_writer_backlog() <= BACKLOG_BYTES && (foreground < 0 || foreground == getpgrp());
}

void progress_format(const struct progress_line *line, size_t columns, char *out, size_t out_bytes)
{
    char bar[BAR_WIDTH + 1];
    size_t filled = line->share < 0 ? 0 : (size_t)(line->share * (double)BAR_WIDTH + 0.5);
    for (size_t i = 0; i < BAR_WIDTH; i++)
        bar[i] = i < (filled > BAR_WIDTH ? BAR_WIDTH : filled) ? '#' : '.';
    bar[BAR_WIDTH] = '\0';
    char lag[64] = "";
    if (line->lag_bytes)
        snprintf(lag, sizeof lag, "lag %s %.1f s", size_text(line->lag_bytes), (double)line->lag_ms / 1000.0);
    int n = snprintf(out, out_bytes, "FLOW %-3u %-13s [%s] %10s %10s/s %s", line->flow, line->phase, bar,
                     size_text(line->received_bytes), size_text(line->rate_bytes), lag);
    size_t len = n < 0 ? 0 : (size_t)n;
    if (len > columns && columns < out_bytes)
        out[columns] = '\0';
}

/* The snapshot's share, by keys; below 0: the source has not given their number. */
static double flow_share(const struct flow *f, const struct cursor_marks *m)
{
    uint64_t total = m ? totals_expected_keys(f->run) : 0;
    if (f->stable || (f->run->flow_count && f->run->snapshots_done.member[f->number]))
        return 1;
    double share = total ? (double)cursor_get(&m->keys) / (double)total : -1;
    return share < 0.99 ? share : 0.99; /* keys are never spread quite evenly over the FLOWs */
}

static void draw_flows(void)
{
    struct winsize size = {0};
    struct buf text = {0};
    struct run *run = shown;
    uint64_t now_ms = clock_monotonic_ms();
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < MIN_COLUMNS)
        size.ws_col = 80;
    drawn_lines = 0;
    if (!may_draw())
        return;
    size_t rows = size.ws_row > 4 ? (size_t)size.ws_row - 2 : 22;
    for (uint32_t i = 0; i < run->flow_count && drawn_lines < rows; i++, drawn_lines++) {
        struct flow *f = &run->flows[i];
        const struct cursor_marks *m = flow_marks(f);
        char line[MAX_LINE];
        uint64_t waiting_ms = m ? cursor_get(&m->waiting_since_ms) : 0;
        struct progress_line p = {
            .flow = i,
            .phase = f->failed
                         ? "failed"
                         : cursor_phase_name(m ? (enum cursor_phase)cursor_get(&m->phase) : CURSOR_STARTING),
            .share = flow_share(f, m),
            .received_bytes = m ? cursor_get(&m->received_offset) : 0,
            .rate_bytes = f->rate_bytes,
            .lag_bytes = m ? cursor_get(&m->received_offset) - cursor_done_offset(m) : 0,
            .lag_ms = waiting_ms && now_ms > waiting_ms ? now_ms - waiting_ms : 0,
        };
        progress_format(&p, size.ws_col - 1u, line, sizeof line);
        buf_printf(&text, "%s\n", line);
    }
    if (!log_writer_draw(buf_slice(&text)))
        drawn_lines = 0;
    buf_free(&text);
}

static void erase_flows(void)
{
    char text[32];
    if (!drawn_lines)
        return;
    int n = snprintf(text, sizeof text, "\033[%zuA\033[J", drawn_lines);
    log_writer_draw(slice_of(text, (size_t)n));
    drawn_lines = 0;
}

void progress_start(struct run *run)
{
    if (run->settings->progress_off || run->settings->log_format == LOG_FORMAT_JSON || !isatty(STDERR_FILENO))
        return;
    shown = run;
    log_set_hooks(erase_flows, draw_flows);
}

/* The last picture stays. */
void progress_stop(struct run *run)
{
    if (shown != run)
        return;
    log_set_hooks(NULL, NULL);
    shown = NULL;
    drawn_lines = 0;
}

void progress_redraw(void)
{
    if (!shown)
        return;
    erase_flows();
    draw_flows();
}
