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

static const char *const verify_settings[] = {"source",
                                              "target",
                                              "name",
                                              "state-dir",
                                              "include",
                                              "exclude",
                                              "db",
                                              "connect-timeout",
                                              "source-password-file",
                                              "target-password-file",
                                              "tls-ca",
                                              "tls-cert",
                                              "tls-key",
                                              "tls-insecure",
                                              "confine",
                                              "progress",
                                              NULL};

static const struct verb_help verbs[] = {
    [VERB_CHECK] = {"df2redis check --source URI --target URI [--json] [OPTION ...]\n"
                    "df2redis check --acl [OPTION ...]",
                    "Finds what would stand in the way of a run with these options, and writes\n"
                    "nothing. Ends within ten seconds. --acl prints the ACL SETUSER lines for the\n"
                    "users of source and target.\n"
                    "Exit code 0: nothing found; 65: warnings; otherwise as the run would end.\n",
                    NULL},
    [VERB_REPLICATE] = {"df2redis replicate --source URI --target URI [OPTION ...]",
                        "Copies a live Dragonfly into a Redis or Valkey and follows the source until it\n"
                        "is stopped (df2redis stop, Ctrl-C, SIGTERM). Before it ends it applies\n"
                        "everything that the source has.\n",
                        NULL},
    [VERB_MIGRATE] = {"df2redis migrate --source URI --target URI [OPTION ...]",
                      "Copies a live Dragonfly into a Redis or Valkey, including writes made\n"
                      "meanwhile, and ends when the copy is complete. Later writes are not copied:\n"
                      "stop the writers first, or use replicate.\n",
                      NULL},
    [VERB_STATUS] = {"df2redis status [--json | --watch] [--name NAME] [--state-dir DIR]",
                     "Shows the state of a run and the next step.\n"
                     "Exit code 0: in step; 75: running, not in step; 69: no such run.\n",
                     name_settings},
    [VERB_WAIT] = {"df2redis wait --in-step [--timeout TIME] [--name NAME] [--state-dir DIR]",
                   "Waits until a run is in step: the target has what the source has.\n"
                   "Exit code 0: in step; 75: not in time; 69: no such run.\n",
                   name_settings},
    [VERB_CUTOVER] = {"df2redis cutover [--exec COMMAND] [--then WHAT] [--max-pause TIME] [--verify]\n"
                      "                 [--dry-run] [--name NAME] [--state-dir DIR]",
                      "Moves the clients: pauses writes on the source, waits until the target has\n"
                      "everything, runs COMMAND, which switches the clients, and ends the run. Any\n"
                      "failure before the end of COMMAND undoes it.\n"
                      "Exit code 0: done; 65, 75, 77, 78: refused or undone, the run goes on; 76: the\n"
                      "clients are switched, but the last step failed; 69: no such run.\n",
                      name_settings},
    [VERB_STOP] = {"df2redis stop [--name NAME] [--state-dir DIR]",
                   "Lets a run apply everything that its source has, ends it, and waits for the\n"
                   "end. The exit code is that of the run.\n",
                   name_settings},
    [VERB_CLEAN] = {"df2redis clean --target URI [--name NAME] [OPTION ...]",
                    "Removes the marks (the position) that an ended run of that name has left in a\n"
                    "target. The run cannot be resumed without them. Refused while the run is\n"
                    "active.\n",
                    clean_settings},
    [VERB_VERIFY] = {"df2redis verify [--name NAME] [--repair] [OPTION ...]\n"
                     "df2redis verify --source URI --target URI [OPTION ...]",
                     "Compares every key of source and target. Beside an active run of that name the\n"
                     "result is exact, whatever is written meanwhile, and --repair writes the source's\n"
                     "value where the target differs. Without a run both sides are read repeatedly,\n"
                     "which is exact only if neither is written. A killed verification goes on where\n"
                     "it was when the same command is given again.\n"
                     "Exit code 0: no difference, or all repaired; 65: differences; 75: keys that\n"
                     "could not be decided, or interrupted; 69: no such run, or no connection.\n",
                     verify_settings},
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
static const struct setting_help config_option = {
    "config", "FILE", "read settings from this file (with -n: /etc/df2redis/NAME.conf)"};
static const struct setting_help check_option = {"check-config", NULL, "check all settings, then end"};
static const struct setting_help json_option = {"json", NULL, "one line of JSON, for programs"};
static const struct setting_help acl_option = {"acl", NULL, "print the rights of both users"};
static const struct setting_help watch_option = {"watch", NULL, "redraw each second, until the run ends"};
static const struct setting_help in_step_option = {"in-step", NULL,
                                                   "wait until the target has what the source has"};
static const struct setting_help timeout_option = {"timeout", "TIME", "longest time to wait"};
static const struct setting_help repair_option = {"repair", NULL,
                                                  "write the source's value where the target differs"};
static const struct setting_help restart_option = {"restart", NULL, "begin anew, not where it was killed"};
static const struct setting_help sample_option = {"sample", "PERCENT", "compare only this share of the keys"};
static const struct setting_help rate_option = {"max-rate", "KEYS", "read at most so many keys per second"};

static const struct setting_help cutover_options[] = {
    {"exec", "COMMAND", "switch the clients by this, run by /bin/sh -c"},
    {"then", "stop|takeover|reverse",
     "last step: stop the run (default), let the source shut down by DFLY TAKEOVER, "
     "or make it a replica of the target"},
    {"max-pause", "TIME", "longest pause of writes on the source (10s)"},
    {"verify", NULL, "first compare every key, as df2redis verify does; refused with differences"},
    {"accept-divergences", NULL, "go on although the run counts divergences"},
    {"dry-run", NULL, "check everything, pause nothing"},
    {NULL, NULL, NULL}};

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
    fprintf(out, "df2redis %s: copies a live Dragonfly into Redis or Valkey, and follows it\n\n",
            DF2REDIS_VERSION);
    fputs("  df2redis check     -s URI -t URI   find what stands in the way, write nothing\n"
          "  df2redis replicate -s URI -t URI   copy, then follow the source until stopped\n"
          "  df2redis migrate   -s URI -t URI   copy, then end\n"
          "  df2redis verify [--repair]         compare all keys, while a run goes on\n"
          "  df2redis status [--json|--watch]   show the state of a run and the next step\n"
          "  df2redis wait --in-step            wait until a run is in step\n"
          "  df2redis cutover --exec COMMAND    move the clients, then end a run\n"
          "  df2redis stop                      apply what the source has, then end a run\n"
          "  df2redis clean -t URI              remove the marks of an ended run\n"
          "  df2redis help VERB                 options of a verb; version: the version\n\n"
          "  -s, --source URI        redis://[user[:password]@]host[:port]; rediss: TLS\n"
          "  -t, --target URI        the same; or unix:///path, or any node of a cluster\n"
          "  -n, --name NAME         name of the run (default)\n"
          "  -c, --config FILE       settings (with -n: /etc/df2redis/NAME.conf)\n"
          "  -d, --daemon            detach once the target accepts writes\n"
          "      --flush-target, --on-conflict overwrite|skip|stop   if it holds keys\n"
          "      --include GLOB, --exclude GLOB, --db A[:B],...   copy only these\n"
          "      --metrics [ADDR:]PORT   a live page, /metrics, /healthz, /readyz\n\n"
          "Passwords: --source-password-file, DF2REDIS_SOURCE_PASSWORD. More: man df2redis\n",
          out);
}

static void print_own(enum verb verb, FILE *out)
{
    print_setting(&config_option, out);
    if (verb == VERB_REPLICATE || verb == VERB_MIGRATE) {
        print_setting(&check_option, out);
    } else if (verb == VERB_CHECK) {
        print_setting(&json_option, out);
        print_setting(&acl_option, out);
    } else if (verb == VERB_STATUS) {
        print_setting(&json_option, out);
        print_setting(&watch_option, out);
    } else if (verb == VERB_VERIFY) {
        print_setting(&repair_option, out);
        print_setting(&sample_option, out);
        print_setting(&rate_option, out);
        print_setting(&restart_option, out);
        print_setting(&json_option, out);
    } else if (verb == VERB_WAIT) {
        print_setting(&in_step_option, out);
        print_setting(&timeout_option, out);
    } else if (verb == VERB_CUTOVER) {
        for (const struct setting_help *h = cutover_options; h->name; h++)
            print_setting(h, out);
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
