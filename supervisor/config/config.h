/* The settings' sources: the defaults, then the configuration file, then the command line, which wins. What calls what:
 *
 *   main.c ─> options.c ──> config.c ──> settings.c (common)
 *          ─> help.c
 *
 * The file is an INI file of `key = value` lines. A key is a long option without its dashes. Lines that begin with # or
 * ; are comments, and so is the rest of a line behind a blank and a ;. [sections] only group. */
#ifndef DF2REDIS_SUPERVISOR_CONFIG_CONFIG_H
#define DF2REDIS_SUPERVISOR_CONFIG_CONFIG_H

#include "common/settings/settings.h"

/* The directory of NAME.conf if only -n NAME is given; the environment's DF2REDIS_CONFIG_DIR wins. */
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

/* Records a setting of the command line. */
void config_give(struct config *c, const char *name, const char *value);
const char *config_value_given(const struct config *c, const char *name); /* the last one; NULL: not given */
/* Sets the file of -c FILE. */
bool config_choose(struct config *c, const char *path, struct error *error);
/* Without -c: sets the run's NAME.conf, if it exists. */
void config_find(struct config *c, const char *name);
/* Initialises and fills *out. Errors name file and line. */
bool config_build(const struct config *c, struct settings *out, struct error *error);
void config_free(struct config *c);

/* Reads one file into *out. given: keys of the command line, which are checked but not taken; NULL: none. */
bool config_read(const char *path, const struct config *given, struct settings *out, struct error *error);

#endif
