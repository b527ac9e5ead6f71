/* The advice below a status: what to do next, and where the divergences are described. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/cli/status.h"
#include "supervisor/observe/json.h"

static bool is_phase(const cJSON *status, const char *phase)
{
    return strcmp(json_text(status, "phase"), phase) == 0;
}

/* Prints the FLOWs that were given up, or that cannot reach the target: " 1, 4". False: none. */
static bool print_flows(const cJSON *status, bool failed, FILE *out)
{
    const cJSON *flow, *contact;
    bool any = false;
    cJSON_ArrayForEach(flow, cJSON_GetObjectItem(status, "flows"))
    {
        contact = cJSON_GetObjectItem(flow, "in_contact");
        bool gone = strcmp(json_text(flow, "phase"), "failed") == 0;
        if (failed ? gone
                   : !gone && strcmp(json_text(flow, "phase"), "stable") == 0 && cJSON_IsFalse(contact)) {
            if (out)
                fprintf(out, "%s %.0f", any ? "," : "",
                        cJSON_GetNumberValue(cJSON_GetObjectItem(flow, "id")));
            any = true;
        }
    }
    return any;
}

static void print_stable(const cJSON *status, FILE *out)
{
    if (print_flows(status, false, NULL)) {
        fputs("the target cannot be reached by FLOW", out);
        print_flows(status, false, out);
        fputs(": start it, or repair the network to it. The run then continues automatically. Until then the "
              "source is "
              "buffered in the spool\n",
              out);
    } else if (json_is_true(status, "in_step")) {
        fprintf(
            out,
            "leave it running; or, to move the clients to %s: df2redis cutover -n %s --exec COMMAND; or stop "
            "the writers, then df2redis stop -n %s\n",
            json_text(status, "target"), json_text(status, "name"), json_text(status, "name"));
    } else {
        fprintf(out,
                "wait: df2redis wait --in-step -n %s. If the lag grows, the target is too slow, or held by "
                "max-rate\n",
                json_text(status, "name"));
    }
}

static void print_step(const cJSON *status, FILE *out)
{
    if (json_is_true(status, "degraded")) {
        fputs("FLOW", out);
        print_flows(status, true, out);
        fprintf(out,
                " was given up, and its keys go stale: see the log, then df2redis stop -n %s and a new full "
                "copy\n",
                json_text(status, "name"));
    } else if (cJSON_GetObjectItem(status, "retry_in_ms")) {
        fputs("nothing; it retries automatically. If the reason above stays the same, remove its cause\n",
              out);
    } else if (json_is_true(status, "spool_full")) {
        fputs("make the target faster, or raise --spool-limit: the spool was full, so the session with the "
              "source was ended. What was received is applied, then the source is asked for the rest\n",
              out);
    } else if (is_phase(status, "stable")) {
        print_stable(status, out);
    } else if (is_phase(status, "draining")) {
        fputs("wait: what was received is applied, then it ends\n", out);
    } else if (is_phase(status, "failed") || is_phase(status, "stopped")) {
        fputs("nothing; the run is ending. Its log and its exit code show how it ended\n", out);
    } else if (strcmp(json_text(status, "mode"), "migrate") == 0) {
        fputs("wait: the run ends when the copy is complete\n", out);
    } else {
        fprintf(out, "wait: df2redis wait --in-step -n %s\n", json_text(status, "name"));
    }
}

/* Prints the words with a margin of nine, in lines of at most so many columns. */
static void print_wrapped(const char *text, size_t columns, FILE *out)
{
    enum { MARGIN = 9 };
    size_t column = MARGIN;
    while (*text) {
        size_t len = strcspn(text, " \n");
        if (column > MARGIN && column + 1 + len > columns) {
            fprintf(out, "\n%*s", MARGIN, "");
            column = MARGIN;
        }
        column += (size_t)fprintf(out, column > MARGIN ? " %.*s" : "%.*s", (int)len, text);
        text += len;
        text += strspn(text, " \n");
    }
    fputc('\n', out);
}

void status_print_advice(const cJSON *status, size_t columns, FILE *out)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *step = open_memstream(&text, &bytes);
    if (!step)
        return;
    print_step(status, step);
    fclose(step);
    fputs("next     ", out);
    print_wrapped(text, columns, out);
    free(text);
    if (cJSON_GetArraySize(cJSON_GetObjectItem(status, "divergences"))) {
        fprintf(out, "%9s", "");
        print_wrapped(
            "read divergences.log in the run's state directory; the words: df2redis(1), DIVERGENCES", columns,
            out);
    }
}
