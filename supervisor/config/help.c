/* The texts of --help and `help VERB`. The settings' lines come from their own table. */
#include <string.h>

#include "common/base/version.h"
#include "supervisor/config/options.h"

enum { COLUMNS = 79, TEXT_COLUMN = 26 };

struct verb_help {
    const char *usage, *text;
    const char *const *settings; /* NULL: all */
};

static const char *const name_settings[] = {"name", "state-dir", NULL};

static const char *const clean_settings[] = {"target",   "name",    "target-password-file", "tls-ca",
                                             "tls-cert", "tls-key", "tls-insecure",         "connect-timeout",
                                             NULL};

static const struct verb_help verbs[] = {
    [VERB_REPLICATE] = {"df2redis replicate --source URI --target URI [OPTION ...]",
                        "Copies a live Dragonfly into a Redis or Valkey and keeps it in step until it is\n"
                        "stopped (df2redis stop, Ctrl-C, SIGTERM); what the source has then is\n"
                        "applied first.\n",
                        NULL},
    [VERB_MIGRATE] = {"df2redis migrate --source URI --target URI [OPTION ...]",
                      "Copies a live Dragonfly into a Redis or Valkey with all that is written meanwhile,\n"
                      "and ends by itself once the copy is complete.\n",
                      NULL},
    [VERB_STATUS] = {"df2redis status [--json | --watch] [--name NAME] [--state-dir DIR]",
                     "Shows a run. Exit code 0: in step; 75: running, not in step; 69: no such run.\n",
                     name_settings},
    [VERB_WAIT] = {"df2redis wait --in-step [--timeout TIME] [--name NAME] [--state-dir DIR]",
                   "Waits until a run is in step. Exit code 0: it is; 75: not in time; 69: no such run.\n",
                   name_settings},
    [VERB_STOP] = {"df2redis stop [--name NAME] [--state-dir DIR]",
                   "Lets a run apply what its source has and end; waits for that.\n"
                   "Its exit code is the run's.\n",
                   name_settings},
    [VERB_CLEAN] = {"df2redis clean --target URI [--name NAME] [OPTION ...]",
                    "Removes from a target what an ended run of that name has left there: its position\n"
                    "(marks). Without them the run cannot be taken up again. Refused while it goes on.\n",
                    clean_settings},
    [VERB_VERSION] = {"df2redis version", "Prints the version.\n", NULL},
    [VERB_HELP] = {"df2redis help [VERB]", "Prints help.\n", NULL},
};

/* Prints the words of text from TEXT_COLUMN on, wrapped. */
static void print_wrapped(const char *text, int column, FILE *out)
{
    while (*text) {
        int len = (int)strcspn(text, " ");
        if (column > TEXT_COLUMN && column + 1 + len > COLUMNS) {
            fprintf(out, "\n%*s", TEXT_COLUMN, "");
            column = TEXT_COLUMN;
        } else if (column > TEXT_COLUMN) {
            fputc(' ', out);
            column++;
        }
        fprintf(out, "%.*s", len, text);
        column += len;
        text += len + (text[len] == ' ');
    }
    fputc('\n', out);
}

/* Options that are not settings. */
static const struct setting_help config_option = {"config", "FILE",
                                                  "settings from there (with -n: /etc/df2redis/NAME.conf)"};
static const struct setting_help check_option = {"check-config", NULL, "check all settings, and end"};
static const struct setting_help json_option = {"json", NULL, "one line of JSON for programs"};
static const struct setting_help watch_option = {"watch", NULL, "again each second, until the run ends"};
static const struct setting_help in_step_option = {"in-step", NULL,
                                                   "until the target has what the source has"};
static const struct setting_help timeout_option = {"timeout", "TIME", "wait no longer"};

static char short_form(const char *name)
{
    static const char *const names[] = {"source", "target", "name", "config", "daemon", NULL};
    for (size_t i = 0; names[i]; i++)
        if (strcmp(name, names[i]) == 0)
            return names[i][0];
    return '\0';
}

static void print_setting(const struct setting_help *h, FILE *out)
{
    char letter = short_form(h->name);
    int n = letter ? fprintf(out, "  -%c, --%s", letter, h->name) : fprintf(out, "      --%s", h->name);
    if (h->argument)
        n += fprintf(out, " %s", h->argument);
    if (n + 1 < TEXT_COLUMN)
        fprintf(out, "%*s", TEXT_COLUMN - n, "");
    else
        fprintf(out, "\n%*s", TEXT_COLUMN, "");
    print_wrapped(h->help, TEXT_COLUMN, out);
}

static bool name_among(const char *name, const char *const *names)
{
    if (!names)
        return true;
    for (; *names; names++)
        if (strcmp(name, *names) == 0)
            return true;
    return false;
}

static void print_settings(const char *const *names, FILE *out)
{
    for (const struct setting_help *h = settings_help(); h->name; h++)
        if (name_among(h->name, names))
            print_setting(h, out);
}

/* Fits a terminal of 80 columns and 24 lines, with the prompt after it. */
static void print_overview(FILE *out)
{
    fprintf(out, "df2redis %s: copies a live Dragonfly into Redis or Valkey, in step\n\n", DF2REDIS_VERSION);
    fputs("  df2redis replicate -s URI -t URI   copy, and follow until stopped\n"
          "  df2redis migrate   -s URI -t URI   copy until complete, and end\n"
          "  df2redis status [--json|--watch]   how a run is doing\n"
          "  df2redis wait --in-step            wait until a run is in step\n"
          "  df2redis stop                      have a run apply what the source has, end\n"
          "  df2redis clean -t URI              remove the marks of an ended run\n"
          "  df2redis help VERB                 all options of one; version: the version\n\n"
          "  -s, --source URI        redis://[user[:password]@]host[:port]; rediss: TLS\n"
          "  -t, --target URI        the same; also unix:///path; of a cluster any node\n"
          "  -n, --name NAME         of the run, and of /etc/df2redis/NAME.conf (default)\n"
          "  -c, --config FILE       settings from there instead\n"
          "  -d, --daemon            into the background once the start has worked\n"
          "      --on-conflict WHAT  the target's keys: overwrite, skip or stop\n"
          "      --flush-target      empty the target first\n"
          "      --include GLOB, --exclude GLOB, --db A[:B],...   copy only these\n"
          "      --max-rate BYTES    apply at most so much per second, e.g. 20m\n"
          "      --metrics [ADDR:]PORT   a page to watch, /metrics, /healthz, /readyz\n\n"
          "Passwords: in DF2REDIS_SOURCE_PASSWORD, DF2REDIS_TARGET_PASSWORD, or in files\n"
          "(--source-password-file). All else: man df2redis\n",
          out);
}

static void print_own(enum verb verb, FILE *out)
{
    print_setting(&config_option, out);
    if (verb == VERB_REPLICATE || verb == VERB_MIGRATE) {
        print_setting(&check_option, out);
    } else if (verb == VERB_STATUS) {
        print_setting(&json_option, out);
        print_setting(&watch_option, out);
    } else if (verb == VERB_WAIT) {
        print_setting(&in_step_option, out);
        print_setting(&timeout_option, out);
    }
}

void help_print(enum verb verb, FILE *out)
{
    if (verb == VERB_NONE) {
        print_overview(out);
        return;
    }
    fprintf(out, "%s\n\n%s", verbs[verb].usage, verbs[verb].text);
    if (verb == VERB_VERSION || verb == VERB_HELP)
        return;
    fputs("\nOptions:\n", out);
    print_own(verb, out);
    print_settings(verbs[verb].settings, out);
}
