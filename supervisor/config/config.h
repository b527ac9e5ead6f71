/* Where the settings come from: the defaults, then the configuration file, then the command line, which wins.
 *
 * The file is an INI file: `key = value` lines, where a key is a long option without its dashes; lines that
 * begin with # or ; are comments, and so is what follows a blank and a ; in a line. [sections] only group. */
#ifndef DF2REDIS_SUPERVISOR_CONFIG_CONFIG_H
#define DF2REDIS_SUPERVISOR_CONFIG_CONFIG_H

#include "common/settings/settings.h"

/* NAME.conf is looked for there when only -n NAME was given; the environment's DF2REDIS_CONFIG_DIR wins. */
#ifndef DF2REDIS_CONFIG_DIR
#define DF2REDIS_CONFIG_DIR "/etc/df2redis"
#endif

struct config_given {
    char *name, *value;
};

struct config {
    char *path; /* absolute; NULL: no file */
    struct config_given *given;
    size_t given_count;
};

/* Remembers what the command line said. */
void config_give(struct config *c, const char *name, const char *value);
const char *config_value_given(const struct config *c, const char *name); /* the last one; NULL: not given */
/* -c FILE. */
bool config_choose(struct config *c, const char *path, struct error *error);
/* Without one: that of the name, if there is such a file. */
void config_find(struct config *c, const char *name);
/* *out is initialised afresh. Errors name file and line. */
bool config_build(const struct config *c, struct settings *out, struct error *error);
void config_free(struct config *c);

/* One file into *out. given: keys that are checked but not taken, NULL: none. */
bool config_read(const char *path, const struct config *given, struct settings *out, struct error *error);

#endif
