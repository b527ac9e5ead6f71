/* The rows of the settings: name, help, allowed values, field. Internal to settings*.c. */
#ifndef DF2REDIS_COMMON_SETTINGS_SETTINGS_TABLE_H
#define DF2REDIS_COMMON_SETTINGS_SETTINGS_TABLE_H

#include "common/settings/settings.h"

enum setting_kind {
    SETTING_URI,      /* struct uri; its text is kept at text_offset */
    SETTING_TEXT,     /* char *: a path */
    SETTING_NAME,     /* char *: the run's name */
    SETTING_WORD,     /* char *: any one word */
    SETTING_ADDRESS,  /* char *: where to listen */
    SETTING_LIST,     /* char **, NULL-terminated: adds up */
    SETTING_DB,       /* db_maps: adds up */
    SETTING_FLAG,     /* bool; no value = on */
    SETTING_CHOICE,   /* an enum, or a bool with two choices: index into choices, from min on */
    SETTING_BYTES,    /* uint64_t, with k, m, g */
    SETTING_DURATION, /* uint32_t milliseconds, with ms, s, m, h */
    SETTING_COUNT,    /* uint32_t */
};

struct setting {
    struct setting_help help;
    enum setting_kind kind;
    size_t offset, size; /* of the field in struct settings */
    uint64_t min, max;
    const char *const *choices;
    size_t text_offset;
};

extern const struct setting settings_table[];
extern const size_t settings_table_count;
/* NULL: no setting has that name. */
const struct setting *setting_find(const char *name);

static inline void *setting_field(const struct settings *s, const struct setting *row)
{
    return (uint8_t *)(uintptr_t)s + row->offset;
}

/* Numbers of every numeric kind and size. */
uint64_t setting_get_number(const struct settings *s, const struct setting *row);
void setting_put_number(struct settings *s, const struct setting *row, uint64_t v);

static inline bool setting_is_text(const struct setting *row)
{
    return row->kind == SETTING_TEXT || row->kind == SETTING_NAME || row->kind == SETTING_WORD ||
           row->kind == SETTING_ADDRESS;
}
void settings_encode_row(const struct settings *s, const struct setting *row, struct buf *out);

/* One value as a person writes it; errors name the option and what is allowed. */
bool setting_parse(struct settings *s, const struct setting *row, const char *value, struct error *error);

/* The same checks for what came in a message. */
bool setting_name_valid(const char *name);
void settings_add_pattern(char ***list, const char *pattern);
/* False: contradicts an earlier mapping; *why is the text. */
bool settings_add_db(struct settings *s, uint32_t from, uint32_t to, const char **why);

#endif
