/* Parsing of the command line. */
#include "supervisor/config/options.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

static const char *const verb_names[] = {"",        "check", "replicate", "migrate", "status",  "wait",
                                         "cutover", "stop",  "clean",     "verify",  "version", "help"};

struct short_option {
    char letter;
    const char *name;
};
static const struct short_option short_options[] = {{'s', "source"},  {'t', "target"}, {'n', "name"},
                                                    {'c', "config"},  {'d', "daemon"}, {'h', "help"},
                                                    {'V', "version"}, {0, NULL}};

const char *verb_name(enum verb verb)
{
    return verb_names[verb];
}

static enum verb find_verb(const char *word)
{
    for (unsigned i = 1; i < sizeof verb_names / sizeof *verb_names; i++)
        if (strcmp(word, verb_names[i]) == 0)
            return (enum verb)i;
    return VERB_NONE;
}

static const struct setting_help *find_setting(const char *name, size_t len)
{
    for (const struct setting_help *h = settings_help(); h->name; h++)
        if (strlen(h->name) == len && memcmp(h->name, name, len) == 0)
            return h;
    return NULL;
}

/* Overwrites the password of scheme://user:PASSWORD@host in place. */
static void blank_password(char *value)
{
    char *begin = strstr(value, "://");
    if (!begin)
        return;
    begin += 3;
    size_t authority = strcspn(begin, "/?");
    char *at = memrchr(begin, '@', authority), *colon = memchr(begin, ':', authority);
    /* A URI with a slash in its password is invalid, but the password is still a secret. */
    if (!at)
        at = strrchr(begin, '@');
    if (at && colon && colon < at)
        memset(colon + 1, 'x', (size_t)(at - colon - 1));
}

static bool take_setting(struct options *o, const struct setting_help *setting, char *value,
                         struct error *error)
{
    if (strcmp(setting->name, "max-rate") == 0)
        o->max_rate = value;
    bool ok = settings_set(&o->settings, setting->name, value ? value : "on", error);
    if (ok)
        config_give(&o->config, setting->name, value ? value : "on");
    if (value && (strcmp(setting->name, "source") == 0 || strcmp(setting->name, "target") == 0))
        blank_password(value);
    return ok;
}

static bool take_word(struct options *o, const char *word, struct error *error)
{
    enum verb verb = find_verb(word);
    if (o->verb == VERB_HELP && o->help_of == VERB_NONE && verb != VERB_NONE) {
        o->help_of = verb;
        return true;
    }
    if (verb == VERB_NONE && o->verb != VERB_NONE)
        return error_fatal(
            error, EX_USAGE,
            "\"%.80s\" is one word too many: after the verb %s give options only, as --name value", word,
            verb_name(o->verb));
    if (verb == VERB_NONE)
        return error_fatal(
            error, EX_USAGE,
            "\"%.80s\" is not known: use check, replicate, migrate, verify, status, wait, cutover, "
            "stop, clean, version or help",
            word);
    if (o->verb != VERB_NONE)
        return error_fatal(error, EX_USAGE, "%s and %s contradict each other: give one of them",
                           verb_name(o->verb), word);
    o->verb = verb;
    return true;
}

static bool name_is(const char *name, size_t len, const char *word)
{
    return len == strlen(word) && memcmp(name, word, len) == 0;
}

/* Takes a flag that is not a setting. False: no such flag. */
static bool take_own_flag(struct options *o, const char *name, size_t len)
{
    bool help = name_is(name, len, "help"), version = name_is(name, len, "version");
    bool *flag = name_is(name, len, "json")                 ? &o->json
                 : name_is(name, len, "watch")              ? &o->watch
                 : name_is(name, len, "in-step")            ? &o->in_step
                 : name_is(name, len, "check-config")       ? &o->check_config
                 : name_is(name, len, "acl")                ? &o->acl
                 : name_is(name, len, "repair")             ? &o->repair
                 : name_is(name, len, "restart")            ? &o->restart
                 : name_is(name, len, "dry-run")            ? &o->cutover.dry_run
                 : name_is(name, len, "verify")             ? &o->cutover.verify
                 : name_is(name, len, "accept-divergences") ? &o->cutover.accept_divergences
                                                            : NULL;
    if (help && o->verb != VERB_HELP)
        o->help_of = o->verb;
    if (help || version)
        o->verb = help ? VERB_HELP : VERB_VERSION;
    if (flag)
        *flag = true;
    return help || version || flag;
}

/* "10", "0.5%": percent with up to four decimals. */
static bool take_sample(struct options *o, const char *value, struct error *error)
{
    char *end;
    double percent = strtod(value, &end);
    if (end == value || (*end && strcmp(end, "%") != 0) || !(percent >= 0.0001) || percent > 100)
        return error_fatal(error, EX_USAGE,
                           "sample: \"%.80s\" is not a percentage such as 10%% or 0.5%% (0.0001%% to 100%%)",
                           value);
    o->sample_ppm = (uint32_t)(percent * 10000 + 0.5);
    return true;
}

/* Options with a value that are not settings. */
static const struct setting_help own_values[] = {{"config", "FILE", NULL},    {"timeout", "TIME", NULL},
                                                 {"sample", "PERCENT", NULL}, {"max-pause", "TIME", NULL},
                                                 {"exec", "COMMAND", NULL},   {"then", "WHAT", NULL},
                                                 {NULL, NULL, NULL}};

static const struct setting_help *find_own_value(const char *name, size_t len)
{
    const struct setting_help *own = own_values;
    while (own->name && !name_is(name, len, own->name))
        own++;
    return own->name ? own : NULL;
}

static bool take_own_value(struct options *o, const char *name, const char *value, struct error *error)
{
    if (strcmp(name, "config") == 0)
        return config_choose(&o->config, value, error);
    if (strcmp(name, "sample") == 0)
        return take_sample(o, value, error);
    if (strcmp(name, "exec") == 0)
        o->cutover.command = value;
    else if (strcmp(name, "then") == 0)
        o->cutover.then = value;
    if (strcmp(name, "exec") == 0 || strcmp(name, "then") == 0)
        return true;
    uint64_t *time_ms = strcmp(name, "timeout") == 0 ? &o->timeout_ms : &o->cutover.max_pause_ms;
    if (settings_time(value, time_ms) && *time_ms)
        return true;
    return error_fatal(error, EX_USAGE, "%s: \"%.80s\" is not a time such as 30, 500ms or 5m", name, value);
}

/* Takes the option that begins at argv[*at]; *at ends on its last argument. */
static bool take_option(struct options *o, int argc, char **argv, int *at, struct error *error)
{
    char *text = argv[*at];
    const char *name = text + 2;
    char *value = NULL;
    size_t len;
    if (text[1] != '-') {
        const struct short_option *s = short_options;
        while (s->name && s->letter != text[1])
            s++;
        if (!s->name)
            return error_fatal(error, EX_USAGE, "the option -%c is not known: see df2redis --help", text[1]);
        name = s->name;
        len = strlen(name);
        value = text[2] ? text + 2 + (text[2] == '=') : NULL;
    } else {
        len = strcspn(name, "=");
        value = name[len] ? text + 2 + len + 1 : NULL;
    }
    if (!value && take_own_flag(o, name, len))
        return true;
    const struct setting_help *own = find_own_value(name, len),
                              *setting = own ? own : find_setting(name, len);
    if (!setting)
        return error_fatal(error, EX_USAGE, "the option --%.*s is not known: see df2redis help replicate",
                           (int)(len < 80 ? len : 80), name);
    if (setting->argument && !value) {
        if (*at + 1 >= argc)
            return error_fatal(error, EX_USAGE, "--%s needs a value: --%s %s", setting->name, setting->name,
                               setting->argument);
        value = argv[++*at];
    }
    if (own)
        return take_own_value(o, own->name, value, error);
    return take_setting(o, setting, value, error);
}

static bool check_cutover_options(const struct options *o, struct error *error)
{
    const char *then = o->cutover.then;
    bool any = o->cutover.dry_run || o->cutover.verify || o->cutover.accept_divergences ||
               o->cutover.max_pause_ms || o->cutover.command || then;
    if (any && o->verb != VERB_CUTOVER)
        return error_fatal(
            error, EX_USAGE,
            "--max-pause, --exec, --then, --dry-run, --verify and --accept-divergences are for cutover");
    if (then && strcmp(then, "stop") != 0 && strcmp(then, "takeover") != 0 && strcmp(then, "reverse") != 0)
        return error_fatal(error, EX_USAGE, "then: \"%.80s\" is none of stop, takeover, reverse", then);
    if (o->cutover.command && !o->cutover.command[0])
        return error_fatal(error, EX_USAGE, "exec: the command is empty");
    if (o->cutover.max_pause_ms && (o->cutover.max_pause_ms < 200 || o->cutover.max_pause_ms > 300000))
        return error_fatal(error, EX_USAGE, "max-pause: from 200ms to 5m");
    return true;
}

/* False: an option does not belong to the verb. */
static bool check_verb_options(const struct options *o, struct error *error)
{
    bool help = o->verb == VERB_HELP || o->verb == VERB_VERSION;
    bool runs = o->verb == VERB_REPLICATE || o->verb == VERB_MIGRATE;
    if (o->verb == VERB_NONE)
        return error_fatal(
            error, EX_USAGE,
            "a verb is missing: check, replicate, migrate, verify, status, wait, cutover, stop, "
            "clean, version or help; see df2redis --help");
    if (help)
        return true;
    if (o->json && o->verb != VERB_STATUS && o->verb != VERB_CHECK && o->verb != VERB_VERIFY)
        return error_fatal(error, EX_USAGE, "--json is for status, check and verify");
    if ((o->repair || o->restart || o->sample_ppm) && o->verb != VERB_VERIFY)
        return error_fatal(error, EX_USAGE, "--%s is for verify",
                           o->repair    ? "repair"
                           : o->restart ? "restart"
                                        : "sample");
    if (o->watch && o->verb != VERB_STATUS)
        return error_fatal(error, EX_USAGE, "--watch is for status");
    if (o->acl && o->verb != VERB_CHECK)
        return error_fatal(error, EX_USAGE, "--acl is for check");
    if (o->json && o->acl)
        return error_fatal(error, EX_USAGE, "--json and --acl contradict each other: give one of them");
    if (o->json && o->watch)
        return error_fatal(error, EX_USAGE, "--json and --watch contradict each other: give one of them");
    if ((o->in_step || o->timeout_ms) && o->verb != VERB_WAIT)
        return error_fatal(error, EX_USAGE, "--%s is for wait", o->in_step ? "in-step" : "timeout");
    if (o->check_config && !runs)
        return error_fatal(error, EX_USAGE, "--check-config is for replicate and migrate");
    return check_cutover_options(o, error);
}

/* Keeps only the settings that lead to a run: name, state directory and log. */
static void keep_name(struct settings *s)
{
    struct settings kept;
    settings_init(&kept);
    settings_set(&kept, "name", s->name, NULL);
    if (s->state_dir)
        settings_set(&kept, "state-dir", s->state_dir, NULL);
    kept.log_level = s->log_level;
    kept.log_format = s->log_format;
    settings_free(s);
    *s = kept;
}

/* --max-rate of verify: keys a second. */
static bool take_key_rate(struct options *o, struct error *error)
{
    if (!o->max_rate)
        return true;
    return slice_to_u64(slice_str(o->max_rate), &o->keys_per_second) ||
           error_fatal(error, EX_USAGE, "max-rate: \"%.80s\" is not a number of keys per second",
                       o->max_rate);
}

static bool build_settings(struct options *o, bool runs, struct error *error)
{
    bool chosen = o->config.path != NULL;
    if (!chosen && config_value_given(&o->config, "name"))
        config_find(&o->config, o->settings.name);
    if (!o->config.path)
        return true;
    settings_free(&o->settings);
    if (config_build(&o->config, &o->settings, error))
        return true;
    if (runs || chosen || error->exit_code != EX_NOPERM)
        return false;
    /* Permission to ask a run does not include its file. */
    free(o->config.path);
    o->config.path = NULL;
    settings_free(&o->settings);
    return config_build(&o->config, &o->settings, error);
}

static bool check_options(struct options *o, struct error *error)
{
    bool runs = o->verb == VERB_REPLICATE || o->verb == VERB_MIGRATE;
    if (!check_verb_options(o, error))
        return false;
    if (o->verb == VERB_HELP || o->verb == VERB_VERSION)
        return true;
    bool checks = o->verb == VERB_CHECK, verifies = o->verb == VERB_VERIFY;
    bool connects = runs || checks || o->verb == VERB_CLEAN;
    if (!build_settings(o, connects, error) || (verifies && !take_key_rate(o, error)))
        return false;
    runs |= checks && !o->acl;
    const char *in_file = o->config.path ? ", on the command line or in the file" : "";
    if (runs && !o->settings.source_text)
        return error_fatal(error, EX_USAGE,
                           "%s needs --source redis://host:port, the Dragonfly to copy from%s",
                           verb_name(o->verb), in_file);
    if (runs && !o->settings.target_text)
        return error_fatal(error, EX_USAGE,
                           "%s needs --target redis://host:port, the Redis or Valkey to copy to%s",
                           verb_name(o->verb), in_file);
    if (o->verb == VERB_CLEAN && (!o->settings.target_text || o->settings.target.null_sink))
        return error_fatal(
            error, EX_USAGE,
            "clean needs --target redis://host:port, the Redis or Valkey to remove marks from%s", in_file);
    if (!connects && !verifies)
        keep_name(&o->settings);
    o->settings.migrate = o->verb == VERB_MIGRATE;
    settings_copy(&o->given, &o->settings);
    return settings_finish(&o->settings, error);
}

bool options_parse(struct options *out, int argc, char **argv, struct error *error)
{
    *out = (struct options){0};
    settings_init(&out->settings);
    bool ok = true, words_only = false;
    for (int i = 1; ok && i < argc; i++) {
        if (!words_only && strcmp(argv[i], "--") == 0)
            words_only = true;
        else if (!words_only && argv[i][0] == '-' && argv[i][1])
            ok = take_option(out, argc, argv, &i, error);
        else
            ok = take_word(out, argv[i], error);
    }
    return ok && check_options(out, error);
}

void options_free(struct options *o)
{
    config_free(&o->config);
    settings_free(&o->given);
    settings_free(&o->settings);
}
