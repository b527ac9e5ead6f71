/* Settings from the command line and the configuration file, which inih parses.
 *
 * inih reports keys without their line numbers, and takes an indented line for the continuation of the one before.
 * Therefore read_line feeds it: it counts the lines and strips their indentation. */
#include "supervisor/config/config.h"

#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

static void free_secret(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
}

void config_give(struct config *c, const char *name, const char *value)
{
    c->given = x_realloc(c->given, (c->given_count + 1) * sizeof *c->given);
    c->given[c->given_count++] = (struct config_given){x_strdup(name), x_strdup(value)};
}

const char *config_value_given(const struct config *c, const char *name)
{
    for (size_t i = c->given_count; i > 0; i--)
        if (strcmp(c->given[i - 1].name, name) == 0)
            return c->given[i - 1].value;
    return NULL;
}

bool config_choose(struct config *c, const char *path, struct error *error)
{
    struct buf absolute = {0};
    char *directory = path[0] == '/' ? NULL : getcwd(NULL, 0);
    if (c->path)
        return error_fatal(error, EX_USAGE, "--config is given twice: a run has one file");
    if (path[0] == '\0' || (path[0] != '/' && !directory))
        return error_fatal(error, EX_USAGE,
                           "--config: \"%.200s\" cannot be found: give a path that begins with /", path);
    if (directory)
        buf_printf(&absolute, "%s/", directory);
    buf_printf(&absolute, "%s", path);
    buf_put_u8(&absolute, '\0');
    free(directory);
    c->path = (char *)absolute.data;
    return true;
}

void config_find(struct config *c, const char *name)
{
    struct buf path = {0};
    const char *directory = getenv("DF2REDIS_CONFIG_DIR");
    buf_printf(&path, "%s/%s.conf", directory && *directory ? directory : DF2REDIS_CONFIG_DIR, name);
    buf_put_u8(&path, '\0');
    if (!c->path && access((const char *)path.data, F_OK) == 0)
        c->path = (char *)path.data;
    else
        buf_free(&path);
}

void config_free(struct config *c)
{
    for (size_t i = 0; i < c->given_count; i++) {
        free(c->given[i].name);
        free_secret(c->given[i].value);
    }
    free(c->given);
    free(c->path);
    *c = (struct config){0};
}

/* ---- the file ---- */

static const char *const sections[] = {"",      "source", "target", "copy", "limits",
                                       "times", "log",    "daemon", NULL};

struct reading {
    FILE *file;
    const char *path;
    const struct config *given;
    struct settings *out, checked; /* checked: for keys that the command line overrides */
    int line;
    int *lines; /* each setting's line; 0: not in the file */
    bool secret, failed;
    struct error *error;
};

static bool refuse_line(struct reading *r, const char *text)
{
    if (!r->failed)
        error_fatal(r->error, EX_CONFIG, "%s:%d: %.350s", r->path, r->line, text);
    r->failed = true;
    return false;
}

static char *read_line(char *out, int bytes, void *stream)
{
    struct reading *r = stream;
    if (r->failed || !fgets(out, bytes, r->file))
        return NULL;
    r->line++;
    size_t len = strlen(out), blank = strspn(out, " \t");
    if ((len == 0 || out[len - 1] != '\n') && !feof(r->file)) {
        char text[80];
        snprintf(text, sizeof text, "the line is longer than %d bytes, or holds a zero byte", bytes - 2);
        refuse_line(r, text);
        return NULL;
    }
    memmove(out, out + blank, len - blank + 1);
    return out;
}

static bool section_known(const char *section)
{
    for (const char *const *s = sections; *s; s++)
        if (strcmp(*s, section) == 0)
            return true;
    return false;
}

static bool check_key(struct reading *r, const char *name, const char *value)
{
    const struct setting_help *all = settings_help(), *h = all;
    char text[200];
    while (h->name && strcmp(h->name, name) != 0)
        h++;
    if (!h->name) {
        snprintf(text, sizeof text, "there is no setting named \"%.80s\": see df2redis.conf(5)", name);
        return refuse_line(r, text);
    }
    int *before = &r->lines[h - all];
    if (*before && !settings_adds_up(name)) {
        snprintf(text, sizeof text, "%s stands in line %d already", name, *before);
        return refuse_line(r, text);
    }
    *before = r->line;
    if (!*value) {
        snprintf(text, sizeof text, "%s has no value (%s)", name, h->argument ? h->argument : "on or off");
        return refuse_line(r, text);
    }
    if (settings_is_path(name) && value[0] != '/') {
        snprintf(text, sizeof text, "%s: \"%.80s\" must begin with /", name, value);
        return refuse_line(r, text);
    }
    return true;
}

static int on_key(void *user, const char *section, const char *name, const char *value)
{
    struct reading *r = user;
    struct error inner = {0};
    char text[200];
    if (r->failed)
        return 1;
    if (!section_known(section)) {
        snprintf(text, sizeof text,
                 "there is no section [%.60s]: source, target, copy, limits, times, log and daemon are known",
                 section);
        refuse_line(r, text);
    } else if (check_key(r, name, value)) {
        struct settings *into = r->given && config_value_given(r->given, name) ? &r->checked : r->out;
        if (!settings_set(into, name, value, &inner))
            refuse_line(r, inner.text);
        r->secret |= (strcmp(name, "source") == 0 && into->source.password) ||
                     (strcmp(name, "target") == 0 && into->target.password);
    }
    return 1;
}

static bool parse_file(struct reading *r)
{
    struct stat st;
    int first_bad = ini_parse_stream(read_line, r, on_key, r);
    if (first_bad > 0 && (!r->failed || first_bad < r->line)) {
        r->failed = false; /* inih continues behind a bad line: the bad line is the error */
        r->line = first_bad;
        refuse_line(r, "this is neither [section], key = value nor a # comment");
    }
    if (r->failed)
        return false;
    if (ferror(r->file) || fstat(fileno(r->file), &st) != 0)
        return error_fatal(r->error, EX_NOINPUT, "reading %s: %s", r->path, strerror(errno));
    if (r->secret && st.st_mode & S_IROTH)
        return error_fatal(
            r->error, EX_CONFIG,
            "%s holds a password and can be read by everybody (mode %03o): chmod o-rwx it, or put "
            "the password into a separate file (source-password-file, target-password-file)",
            r->path, (unsigned)(st.st_mode & 0777));
    return true;
}

bool config_read(const char *path, const struct config *given, struct settings *out, struct error *error)
{
    struct reading r = {.path = path, .given = given, .out = out, .error = error};
    struct stat st;
    size_t count = 0;
    r.file = fopen(path, "re");
    if (!r.file)
        return error_fatal(error, errno == EACCES ? EX_NOPERM : EX_NOINPUT, "cannot open %s: %s", path,
                           strerror(errno));
    if (fstat(fileno(r.file), &st) != 0 || S_ISDIR(st.st_mode)) {
        fclose(r.file);
        return error_fatal(error, EX_NOINPUT, "%s is not a file", path);
    }
    while (settings_help()[count].name)
        count++;
    r.lines = x_calloc(count, sizeof *r.lines);
    settings_init(&r.checked);
    bool good = parse_file(&r);
    settings_free(&r.checked);
    free(r.lines);
    fclose(r.file);
    return good;
}

/* ---- the settings ---- */

bool config_build(const struct config *c, struct settings *out, struct error *error)
{
    settings_init(out);
    if (c->path && !config_read(c->path, c, out, error))
        return false;
    for (size_t i = 0; i < c->given_count; i++)
        if (!settings_set(out, c->given[i].name, c->given[i].value, error))
            return false;
    return true;
}
