/* `df2redis status --watch` and `df2redis wait`: the status, again and again. */
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/size_text.h"
#include "supervisor/cli/status.h"
#include "supervisor/observe/progress.h"
#include "supervisor/observe/json.h"
#include "supervisor/run/totals.h"

enum {
    WATCH_MS = 1000,
    WAIT_MS = 200,
    APPEAR_MS = 50,
    APPEAR_LIMIT_MS = 10000,
    MAX_LINE = 256,
    DEFAULT_ROWS = 24,
    DEFAULT_COLUMNS = 80
};

/* The snapshot's share; 1 after it; below 0: unknown. */
static double flow_share(const cJSON *flow)
{
    const char *phase = json_text(flow, "phase");
    uint64_t total = json_u64(flow, "snapshot_total_keys");
    if (strcmp(phase, "stable") == 0 || strcmp(phase, "drained") == 0 || strcmp(phase, "full-sync-end") == 0)
        return 1;
    return total ? (double)json_u64(flow, "keys") / (double)total : -1;
}

static void print_flow(const cJSON *flow, size_t columns, FILE *out)
{
    char line[MAX_LINE];
    struct progress_line p = {
        .flow = (uint32_t)json_u64(flow, "id"),
        .phase = json_text(flow, "phase"),
        .share = flow_share(flow),
        .received_bytes = json_u64(flow, "received_bytes"),
        .rate_bytes = json_u64(flow, "rate_bytes"),
        .lag_bytes = json_u64(flow, "lag_bytes"),
        .lag_ms = json_u64(flow, "lag_ms"),
    };
    progress_format(&p, columns, line, sizeof line);
    fprintf(out, "%s\n", line);
}

static void print_sums(const cJSON *flows, FILE *out)
{
    uint64_t rate = 0, lag = 0, spool = 0, restarts = 0, keys = 0;
    const cJSON *flow;
    cJSON_ArrayForEach(flow, flows)
    {
        rate += json_u64(flow, "rate_bytes");
        lag += json_u64(flow, "lag_bytes");
        spool += json_u64(flow, "spool_bytes");
        restarts += json_u64(flow, "restarts");
        keys += json_u64(flow, "keys");
    }
    fprintf(out, "together %s/s, lag %s, spool %s, %llu keys, %llu worker restarts\n", size_text(rate),
            size_text(lag), size_text(spool), (unsigned long long)keys, (unsigned long long)restarts);
}

static void print_all(const cJSON *status, size_t rows, size_t columns, FILE *out)
{
    const cJSON *flow, *flows = cJSON_GetObjectItem(status, "flows");
    size_t shown = 0, most = rows > 12 ? rows - 10 : 2;
    status_print_head(status, out);
    fputc('\n', out);
    cJSON_ArrayForEach(flow, flows)
    {
        if (shown++ < most)
            print_flow(flow, columns, out);
    }
    if (shown > most)
        fprintf(out, "and %zu FLOWs more\n", shown - most);
    print_sums(flows, out);
    status_print_divergences(status, out);
    status_print_advice(status, columns, out);
}

void status_print_live(const cJSON *status, size_t rows, size_t columns, FILE *out)
{
    char *text = NULL;
    size_t bytes = 0, lines = 0;
    FILE *all = open_memstream(&text, &bytes);
    if (!all)
        return;
    print_all(status, rows, columns, all);
    fclose(all);
    /* A wrapped or scrolled line would not be covered by the next picture. */
    for (const char *line = text; *line && lines + 1 < rows; lines++) {
        size_t len = strcspn(line, "\n");
        fprintf(out, "%.*s\n", (int)(len > columns ? columns : len), line);
        line += len + (line[len] == '\n');
    }
    free(text);
}

static void pause_ms(uint64_t ms)
{
    struct timespec t = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&t, NULL);
}

int status_watch_command(const struct settings *settings)
{
    struct error error = {0};
    bool terminal = isatty(STDOUT_FILENO);
    cJSON *status;
    while ((status = status_ask(settings, &error))) {
        struct winsize size = {0};
        if (!terminal || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || !size.ws_col)
            size = (struct winsize){.ws_row = DEFAULT_ROWS, .ws_col = DEFAULT_COLUMNS};
        fputs(terminal ? "\033[H\033[J" : "", stdout);
        status_print_live(status, size.ws_row, size.ws_col - 1u, stdout);
        fputs(terminal ? "" : "\n", stdout);
        cJSON_Delete(status);
        if (fflush(stdout) != 0)
            return EX_OK; /* the reader has gone */
        pause_ms(WATCH_MS);
    }
    fprintf(stderr, "df2redis: %s\n", error.text);
    return error.exit_code;
}

/* Returns the first answer of a run that may only just be starting, in the background of the same shell. */
static cJSON *ask_when_there(const struct settings *settings, uint64_t limit_ms, struct error *error)
{
    uint64_t begun_ms = clock_monotonic_ms();
    for (;;) {
        cJSON *status = status_ask(settings, error);
        uint64_t waited_ms = clock_monotonic_ms() - begun_ms;
        if (status || error->exit_code != EX_UNAVAILABLE || waited_ms >= limit_ms)
            return status;
        pause_ms(limit_ms - waited_ms < APPEAR_MS ? limit_ms - waited_ms : APPEAR_MS);
    }
}

int wait_command(const struct settings *settings, uint64_t timeout_ms)
{
    struct error error = {0};
    uint64_t begun_ms = clock_monotonic_ms(), waited_ms = 0; /* before the answer was asked for */
    uint64_t appear_ms = timeout_ms && timeout_ms < APPEAR_LIMIT_MS ? timeout_ms : APPEAR_LIMIT_MS;
    cJSON *status = ask_when_there(settings, appear_ms, &error);
    for (; status; status = status_ask(settings, &error)) {
        int code = status_exit_code(status);
        uint64_t left_ms = WAIT_MS;
        bool over = timeout_ms && waited_ms >= timeout_ms;
        if (code != EX_OK && over)
            fprintf(stderr, "df2redis: the run %s is not in step after %.1f s: %s\n", settings->name,
                    (double)waited_ms / 1000.0, json_text(status, "in_step_reason"));
        /* The target has everything that was written to the source before the call. */
        bool known = code == EX_OK && json_u64(status, "in_step_age_ms") <= waited_ms;
        cJSON_Delete(status);
        if (known || over)
            return code;
        if (timeout_ms && timeout_ms - waited_ms < left_ms)
            left_ms = timeout_ms - waited_ms;
        pause_ms(left_ms);
        waited_ms = clock_monotonic_ms() - begun_ms;
    }
    fprintf(stderr, "df2redis: %s\n", error.text);
    return error.exit_code;
}
