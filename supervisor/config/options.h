/* The command line: a verb, and options before or after it. Every setting of common/settings/settings.h is an option
 * of the same name; -s, -t, -n, -c and -d are short for --source, --target, --name, --config and --daemon. */
#ifndef DF2REDIS_SUPERVISOR_CONFIG_OPTIONS_H
#define DF2REDIS_SUPERVISOR_CONFIG_OPTIONS_H

#include <stdio.h>

#include "common/settings/settings.h"
#include "supervisor/config/config.h"

enum verb {
    VERB_NONE,
    VERB_CHECK,
    VERB_REPLICATE,
    VERB_MIGRATE,
    VERB_STATUS,
    VERB_WAIT,
    VERB_CUTOVER,
    VERB_STOP,
    VERB_CLEAN,
    VERB_VERIFY,
    VERB_VERSION,
    VERB_HELP
};

struct options {
    enum verb verb;
    enum verb help_of; /* with VERB_HELP; VERB_NONE: the overview */
    bool json, watch, in_step, check_config, acl;
    uint64_t timeout_ms;  /* of wait; 0: none */
    bool repair, restart; /* of verify, like the next two */
    uint32_t sample_ppm;  /* 0: not given */
    uint64_t keys_per_second;
    const char *max_rate; /* as given: for verify it is keys, otherwise a setting in bytes */
    struct {              /* of cutover */
        bool dry_run, verify, accept_divergences;
        uint64_t max_pause_ms;      /* 0: the default */
        const char *command, *then; /* NULL: none; the default */
    } cutover;
    struct config config;
    struct settings given;    /* from file and command line, for the comparison after SIGHUP */
    struct settings settings; /* the same, completed by passwords, absolute paths and defaults */
};

/* Fills *out, which options_free frees in any case. Passwords in the arguments are overwritten, out of the process list.
 * EX_USAGE errors name the argument and the possible ones. */
bool options_parse(struct options *out, int argc, char **argv, struct error *error);
void options_free(struct options *o);

const char *verb_name(enum verb verb);

/* help.c */
void help_print(enum verb verb, FILE *out);

#endif
