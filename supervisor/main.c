/* df2redis: performs the verb and exits with its exit code. */
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "common/base/version.h"
#include "common/log/log.h"
#include "supervisor/check/check.h"
#include "supervisor/cli/clean.h"
#include "supervisor/cli/cutover.h"
#include "supervisor/cli/status.h"
#include "supervisor/config/options.h"
#include "supervisor/service/daemon.h"
#include "supervisor/service/service.h"
#include "supervisor/supervisor.h"
#include "supervisor/verify/verify.h"

static int run_here(struct options *o)
{
    struct error error = {0};
    int code;
    if (service_begin(&o->settings, &error)) {
        code = supervisor_run(o);
    } else {
        code = error.exit_code ? error.exit_code : EX_OSERR;
        fprintf(stderr, "df2redis: %s\n", error.text);
        daemon_tell_failed(code, error.text);
    }
    service_end();
    return code;
}

static int run_verb(struct options *o)
{
    struct error error = {0};
    int code = EX_OSERR;
    if (o->check_config) {
        printf("%s: configuration is valid\n", o->config.path ? o->config.path : "the options");
        return EX_OK;
    }
    /* A service manager with NOTIFY_SOCKET follows this process, not a child. */
    if (!o->settings.daemon || getenv("NOTIFY_SOCKET"))
        return run_here(o);
    switch (daemon_start(&code, &error)) {
    case DAEMON_RUN:
        return run_here(o);
    case DAEMON_FAILED:
        fprintf(stderr, "df2redis: %s\n", error.text);
        break;
    case DAEMON_STARTED:
        break;
    }
    return code;
}

static int perform_cutover(const struct options *o)
{
    struct cutover_order order = {.max_pause_ms =
                                      o->cutover.max_pause_ms ? o->cutover.max_pause_ms : CUTOVER_PAUSE_MS,
                                  .command = o->cutover.command != NULL,
                                  .dry_run = o->cutover.dry_run,
                                  .accept_divergences = o->cutover.accept_divergences};
    if (o->cutover.then)
        cutover_then_read(o->cutover.then, &order.then);
    int code = o->cutover.verify ? verify_command(o) : EX_OK;
    if (code == EX_OK)
        return cutover_command(&o->settings, &order, o->cutover.command);
    fprintf(
        stderr,
        "df2redis: cut-over of run %s: not begun: the verification before it has ended with exit code %d\n",
        o->settings.name, code);
    return code;
}

static int perform_verb(struct options *o)
{
    switch (o->verb) {
    case VERB_REPLICATE:
    case VERB_MIGRATE:
        return run_verb(o);
    case VERB_CHECK:
        return o->acl ? check_acl_command(&o->settings) : check_command(&o->settings, o->json);
    case VERB_STATUS:
        return o->watch ? status_watch_command(&o->settings) : status_command(&o->settings, o->json);
    case VERB_WAIT:
        return wait_command(&o->settings, o->timeout_ms);
    case VERB_CUTOVER:
        return perform_cutover(o);
    case VERB_STOP:
        return stop_command(&o->settings);
    case VERB_CLEAN:
        return clean_command(&o->settings);
    case VERB_VERIFY:
        return verify_command(o);
    case VERB_VERSION:
        printf("df2redis %s\n", DF2REDIS_VERSION);
        return EX_OK;
    case VERB_HELP:
        help_print(o->help_of, stdout);
        return EX_OK;
    case VERB_NONE:
        break;
    }
    return EX_USAGE;
}

int main(int argc, char **argv)
{
    struct options options;
    struct error error = {0};
    int code;
    if (options_parse(&options, argc, argv, &error)) {
        log_setup(options.settings.log_level, options.settings.log_format);
        code = perform_verb(&options);
    } else {
        fprintf(stderr, "df2redis: %s\n", error.text);
        code = error.exit_code ? error.exit_code : EX_USAGE;
    }
    options_free(&options);
    return code;
}
