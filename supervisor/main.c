/* df2redis: the verbs. Everything returns an exit code to here. */
#include <stdio.h>
#include <sysexits.h>

#include "common/log.h"
#include "common/version.h"
#include "supervisor/options.h"
#include "supervisor/status.h"
#include "supervisor/supervisor.h"

static int perform(const struct options *o)
{
    switch (o->verb) {
    case VERB_REPLICATE:
    case VERB_MIGRATE:
        return supervisor_run(&o->settings);
    case VERB_STATUS:
        return status_command(&o->settings, o->json);
    case VERB_STOP:
        return stop_command(&o->settings);
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
        code = perform(&options);
    } else {
        fprintf(stderr, "df2redis: %s\n", error.text);
        code = error.exit_code ? error.exit_code : EX_USAGE;
    }
    options_free(&options);
    return code;
}
