/* Removing the marks: one job at the target. */
#include "supervisor/cli/clean.h"

#include <signal.h>
#include <stdio.h>
#include <sysexits.h>

#include "supervisor/target/target.h"

struct cleaning {
    struct event_base *base;
    struct error error;
    bool done;
};

static void on_target_cleaned(const struct capabilities *capabilities, void *arg)
{
    (void)capabilities;
    struct cleaning *c = arg;
    c->done = true;
    event_base_loopbreak(c->base);
}

static void on_target_failed(const struct error *error, void *arg)
{
    struct cleaning *c = arg;
    c->error = *error;
    event_base_loopbreak(c->base);
}

static void print_cleaned(const struct settings *settings, const struct target_job *job)
{
    struct target_cleaned cleaned = target_cleaned(job);
    char name[256], masters[40] = "";
    uri_display(&settings->target, name, sizeof name);
    if (target_nodes(job) > 1)
        snprintf(masters, sizeof masters, " (%zu masters)", target_nodes(job));
    printf("target %s%s: %llu key%s with marks of run \"%s\" removed", name, masters,
           (unsigned long long)cleaned.marks, cleaned.marks == 1 ? "" : "s", settings->name);
    if (cleaned.leftovers)
        printf(", and %llu half-built value%s", (unsigned long long)cleaned.leftovers,
               cleaned.leftovers == 1 ? "" : "s");
    putchar('\n');
}

int clean_command(const struct settings *settings)
{
    struct cleaning c = {.base = event_base_new()};
    struct target_callbacks callbacks = {.arg = &c, .done = on_target_cleaned, .failed = on_target_failed};
    signal(SIGPIPE, SIG_IGN);
    struct target_job *job =
        c.base ? target_start(c.base, settings, TARGET_CLEAN, 0, NULL, &callbacks, &c.error) : NULL;
    if (job)
        event_base_dispatch(c.base);
    if (c.done)
        print_cleaned(settings, job);
    else
        fprintf(stderr, "df2redis: %s\n", c.base ? c.error.text : "cannot set up the event loop");
    target_free(job);
    if (c.base)
        event_base_free(c.base);
    if (c.done)
        return EX_OK;
    return c.error.class == ERROR_FATAL && c.error.exit_code ? c.error.exit_code : EX_UNAVAILABLE;
}
