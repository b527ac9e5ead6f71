/* What the command line gave, and how it and the file become settings. */
#include "supervisor/config/config.h"

#include <errno.h>
#include <stdlib.h>
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
