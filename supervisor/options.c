/* Parsing of the command line. */
#include "supervisor/options.h"

#include <string.h>
#include <sysexits.h>

static const char *const verb_names[] = {"", "replicate", "migrate", "status", "stop", "version", "help"};

struct short_option {
    char letter;
    const char *name;
};
static const struct short_option short_options[] = {{'s', "source"}, {'t', "target"},  {'n', "name"},
                                                    {'h', "help"},   {'V', "version"}, {0, NULL}};

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

/* scheme://user:PASSWORD@host: the password's letters, in place. */
static void blank_password(char *value)
{
    char *begin = strstr(value, "://");
    if (!begin)
        return;
    begin += 3;
    size_t authority = strcspn(begin, "/?");
    char *at = memrchr(begin, '@', authority), *colon = memchr(begin, ':', authority);
    /* A slash inside a password is no valid URI, but it is still a secret. */
    if (!at)
        at = strrchr(begin, '@');
    if (at && colon && colon < at)
        memset(colon + 1, 'x', (size_t)(at - colon - 1));
}

static bool take_setting(struct options *o, const struct setting_help *setting, char *value,
                         struct error *error)
{
    bool ok = settings_set(&o->settings, setting->name, value ? value : "on", error);
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
    if (verb == VERB_NONE)
        return error_fatal(error, EX_USAGE,
                           "\"%.80s\" is not known: say replicate, migrate, status, stop, version or help",
                           word);
    if (o->verb != VERB_NONE)
        return error_fatal(error, EX_USAGE, "say one of %s and %s, not both", verb_name(o->verb), word);
    o->verb = verb;
    return true;
}

/* The options that are no settings. */
static bool take_own(struct options *o, const char *name, size_t len, bool *known)
{
    *known = true;
    if (len == 4 && memcmp(name, "help", 4) == 0) {
        if (o->verb != VERB_HELP)
            o->help_of = o->verb;
        o->verb = VERB_HELP;
    } else if (len == 7 && memcmp(name, "version", 7) == 0) {
        o->verb = VERB_VERSION;
    } else if (len == 4 && memcmp(name, "json", 4) == 0) {
        o->json = true;
    } else {
        *known = false;
    }
    return *known;
}

/* One option beginning at argv[*at]; *at is left on its last argument. */
static bool take_option(struct options *o, int argc, char **argv, int *at, struct error *error)
{
    char *text = argv[*at];
    const char *name = text + 2;
    char *value = NULL;
    size_t len;
    bool known;
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
    if (!value && take_own(o, name, len, &known))
        return true;
    const struct setting_help *setting = find_setting(name, len);
    if (!setting)
        return error_fatal(error, EX_USAGE, "the option --%.*s is not known: see df2redis help replicate",
                           (int)(len < 80 ? len : 80), name);
    if (setting->argument && !value) {
        if (*at + 1 >= argc)
            return error_fatal(error, EX_USAGE, "--%s needs a value: --%s %s", setting->name, setting->name,
                               setting->argument);
        value = argv[++*at];
    }
    return take_setting(o, setting, value, error);
}

static bool check(struct options *o, struct error *error)
{
    bool runs = o->verb == VERB_REPLICATE || o->verb == VERB_MIGRATE;
    if (o->json && o->verb != VERB_STATUS && o->verb != VERB_HELP && o->verb != VERB_VERSION)
        return error_fatal(error, EX_USAGE, "--json is for status");
    if (runs && !o->settings.source_text)
        return error_fatal(error, EX_USAGE, "%s needs --source redis://host:port, the Dragonfly to copy from",
                           verb_name(o->verb));
    if (runs && !o->settings.target_text)
        return error_fatal(error, EX_USAGE,
                           "%s needs --target redis://host:port, the Redis or Valkey to copy to",
                           verb_name(o->verb));
    if (o->verb == VERB_NONE)
        return error_fatal(
            error, EX_USAGE,
            "say what to do: replicate, migrate, status, stop, version or help; see df2redis --help");
    o->settings.migrate = o->verb == VERB_MIGRATE;
    if (o->verb == VERB_HELP || o->verb == VERB_VERSION)
        return true;
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
    return ok && check(out, error);
}

void options_free(struct options *o)
{
    settings_free(&o->settings);
}
