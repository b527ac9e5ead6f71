/* Removing the marks: one job at the target. Where the state directory alone protects the copy, that ends, too. */
#include "supervisor/cli/clean.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "supervisor/run/earlier_run.h"
#include "supervisor/target/target.h"

struct cleaning {
    const struct settings *settings;
    struct event_base *base;
    struct error error;
    bool done, record_forgotten;
};

/* Returns true if there was a record of a run of this target. It is of no use without the marks, and guards the copy. */
static bool forget_record(const struct settings *settings, const struct capabilities *target)
{
    struct state_dir dir = {.path = state_dir_file(settings, NULL), .lock_fd = -1};
    struct run_record record = {0};
    bool here = !state_dir_active_pid(settings) && run_record_load(&dir, &record) &&
                earlier_run_was_here(settings, &record, target);
    if (here)
        state_dir_forget_run(&dir);
    run_record_free(&record);
    state_dir_close(&dir);
    return here;
}

static void on_target_cleaned(const struct capabilities *capabilities, void *arg)
{
    struct cleaning *c = arg;
    c->record_forgotten = forget_record(c->settings, capabilities);
    c->done = true;
    event_base_loopbreak(c->base);
}

static void on_target_failed(const struct error *error, void *arg)
{
    struct cleaning *c = arg;
    c->error = *error;
    event_base_loopbreak(c->base);
}

static void print_cleaned(const struct settings *settings, const struct target_job *job,
                          bool record_forgotten)
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
    if (record_forgotten)
        printf(", and the state directory's record of its copy");
    putchar('\n');
}

int clean_command(const struct settings *settings)
{
    struct cleaning c = {.settings = settings, .base = event_base_new()};
    struct target_callbacks callbacks = {.arg = &c, .done = on_target_cleaned, .failed = on_target_failed};
    signal(SIGPIPE, SIG_IGN);
    struct target_job *job =
        c.base ? target_start(c.base, settings, TARGET_CLEAN, 0, NULL, &callbacks, &c.error) : NULL;
    if (job)
        event_base_dispatch(c.base);
    if (c.done)
        print_cleaned(settings, job, c.record_forgotten);
    else
        fprintf(stderr, "df2redis: %s\n", c.base ? c.error.text : "cannot set up the event loop");
    target_free(job);
    if (c.base)
        event_base_free(c.base);
    if (c.done)
        return EX_OK;
    return c.error.class == ERROR_FATAL && c.error.exit_code ? c.error.exit_code : EX_UNAVAILABLE;
}
