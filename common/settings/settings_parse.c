/* Values as a person writes them: sizes, times, words, lists. */
#include "common/settings/settings_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sysexits.h>

enum { NAME_MAX_BYTES = 64, DB_MAX = 65535 };

uint64_t setting_get_number(const struct settings *s, const struct setting *row)
{
    const void *field = setting_field(s, row);
    if (row->size == sizeof(bool))
        return *(const bool *)field;
    if (row->size == sizeof(uint32_t)) {
        uint32_t v;
        memcpy(&v, field, sizeof v);
        return v;
    }
    uint64_t v;
    memcpy(&v, field, sizeof v);
    return v;
}

void setting_put_number(struct settings *s, const struct setting *row, uint64_t v)
{
    void *field = setting_field(s, row);
    if (row->size == sizeof(bool)) {
        *(bool *)field = v != 0;
    } else if (row->size == sizeof(uint32_t)) {
        uint32_t narrow = (uint32_t)v;
        memcpy(field, &narrow, sizeof narrow);
    } else {
        memcpy(field, &v, sizeof v);
    }
}

/* "10", "64k": the digits' value and what follows them. */
static bool split_number(const char *text, uint64_t *number, const char **unit)
{
    size_t digits = strspn(text, "0123456789");
    *unit = text + digits;
    return slice_to_u64(slice_of(text, digits), number);
}

struct unit {
    const char *name;
    uint64_t factor;
};
static const struct unit byte_units[] = {
    {"", 1},          {"k", 1 << 10}, {"kb", 1 << 10}, {"kib", 1 << 10}, {"m", 1 << 20}, {"mb", 1 << 20},
    {"mib", 1 << 20}, {"g", 1 << 30}, {"gb", 1 << 30}, {"gib", 1 << 30}, {"b", 1},       {NULL, 0}};
static const struct unit time_units[] = {{"", 1000},     {"ms", 1},      {"s", 1000}, {"m", 60000},
                                         {"min", 60000}, {"h", 3600000}, {NULL, 0}};
static const struct unit no_units[] = {{"", 1}, {NULL, 0}};

static const struct unit *units_of(enum setting_kind kind)
{
    return kind == SETTING_BYTES ? byte_units : kind == SETTING_DURATION ? time_units : no_units;
}

/* A bound in the largest unit that divides it. */
static void show_number(enum setting_kind kind, uint64_t v, char *out, size_t out_bytes)
{
    const struct unit *best = NULL;
    for (const struct unit *u = units_of(kind); u->name; u++)
        if (strlen(u->name) <= 2 && strcmp(u->name, "b") != 0 && v % u->factor == 0 &&
            (!best || (u->factor > best->factor && v > 0)))
            best = u;
    if (!best || (kind == SETTING_DURATION && v == 0))
        snprintf(out, out_bytes, "%llu%s", (unsigned long long)v, v ? "ms" : "");
    else
        snprintf(out, out_bytes, "%llu%s", (unsigned long long)(v / best->factor),
                 kind == SETTING_DURATION && best->name[0] == '\0' ? "s" : best->name);
}

bool settings_time(const char *text, uint64_t *out_ms)
{
    const char *unit;
    const struct unit *u = time_units;
    if (!split_number(text, out_ms, &unit))
        return false;
    while (u->name && strcasecmp(u->name, unit) != 0)
        u++;
    return u->name && !__builtin_mul_overflow(*out_ms, u->factor, out_ms);
}

static bool parse_number(struct settings *s, const struct setting *row, const char *value,
                         struct error *error)
{
    static const char *const forms[] = {
        [SETTING_BYTES] = "a number of bytes, or with k, m or g behind it",
        [SETTING_DURATION] = "a time such as 30, 500ms, 10s, 5m or 1h (a number alone is seconds)",
        [SETTING_COUNT] = "a number",
    };
    uint64_t number;
    const char *unit;
    const struct unit *u = units_of(row->kind);
    bool good = split_number(value, &number, &unit);
    while (good && u->name && strcasecmp(u->name, unit) != 0)
        u++;
    if (!good || !u->name)
        return error_fatal(error, EX_USAGE, "%s: \"%.80s\" is not %s", row->help.name, value,
                           forms[row->kind]);
    if (__builtin_mul_overflow(number, u->factor, &number) || number < row->min || number > row->max) {
        char low[32], high[32];
        show_number(row->kind, row->min, low, sizeof low);
        show_number(row->kind, row->max, high, sizeof high);
        return error_fatal(error, EX_USAGE, "%s: %.80s is out of range: %s to %s is allowed", row->help.name,
                           value, low, high);
    }
    setting_put_number(s, row, number);
    return true;
}

static bool parse_flag(struct settings *s, const struct setting *row, const char *value, struct error *error)
{
    static const char *const words[] = {"off", "on", "no", "yes", "false", "true", NULL};
    for (unsigned i = 0; words[i]; i++)
        if (strcasecmp(value, words[i]) == 0) {
            setting_put_number(s, row, i % 2);
            return true;
        }
    return error_fatal(error, EX_USAGE, "%s: \"%.80s\" is not on or off (yes, no, true, false)",
                       row->help.name, value);
}

static bool parse_choice(struct settings *s, const struct setting *row, const char *value,
                         struct error *error)
{
    char allowed[120] = "";
    for (uint64_t i = row->min; i <= row->max; i++) {
        if (strcasecmp(value, row->choices[i]) == 0) {
            setting_put_number(s, row, i);
            s->on_full_resync_given |= row->offset == offsetof(struct settings, on_full_resync);
            return true;
        }
        size_t used = strlen(allowed);
        snprintf(allowed + used, sizeof allowed - used, "%s%s",
                 used == 0       ? ""
                 : i == row->max ? " or "
                                 : ", ",
                 row->choices[i]);
    }
    return error_fatal(error, EX_USAGE, "%s: \"%.80s\" is not %s", row->help.name, value, allowed);
}

bool setting_name_valid(const char *name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    size_t len = strlen(name);
    return len > 0 && len <= NAME_MAX_BYTES && name[0] != '.' && strspn(name, allowed) == len;
}

bool settings_metrics_address(const char *text, char *host, size_t host_bytes, uint16_t *port)
{
    const char *colon = strrchr(text, ':'), *digits = colon ? colon + 1 : text;
    struct slice address = colon ? slice_of(text, (size_t)(colon - text)) : slice_str("127.0.0.1");
    uint64_t number;
    if (address.len > 1 && address.data[0] == '[' && address.data[address.len - 1] == ']')
        address = slice_of(address.data + 1, address.len - 2);
    else if (memchr(address.data, ':', address.len))
        return false;
    if (!address.len || address.len >= host_bytes || !slice_to_u64(slice_str(digits), &number) ||
        number > UINT16_MAX)
        return false;
    memcpy(host, address.data, address.len);
    host[address.len] = '\0';
    *port = (uint16_t)number;
    return true;
}

static bool parse_text(struct settings *s, const struct setting *row, const char *value, struct error *error)
{
    char **field = setting_field(s, row);
    if (row->kind == SETTING_NAME && !setting_name_valid(value))
        return error_fatal(
            error, EX_USAGE,
            "%s: \"%.80s\" cannot be used: at most %d letters, digits, -, _ and . are allowed, "
            "the first not a dot",
            row->help.name, value, NAME_MAX_BYTES);
    char host[256];
    uint16_t port;
    if (row->kind == SETTING_ADDRESS && !settings_metrics_address(value, host, sizeof host, &port))
        return error_fatal(error, EX_USAGE,
                           "%s: \"%.80s\" is not a port, or an address and a port such as 127.0.0.1:9121 or "
                           "[::1]:9121",
                           row->help.name, value);
    char *copy = x_strdup(value);
    free(*field);
    *field = copy;
    return true;
}

/* The source may have several addresses; the first one stands for them. */
static bool parse_uris(struct uri *out, const char *value, struct error *error)
{
    struct uri list[URI_LIST_MAX] = {{0}};
    size_t count = uri_parse_list(value, list, error);
    bool good = count > 0;
    for (size_t i = 1; good && i < count; i++)
        if (list[i].tls != list[0].tls || list[i].null_sink || list[i].unix_socket || list[i].db)
            good = error_fatal(
                error, EX_USAGE,
                "of several addresses all must be redis://, or all rediss://, without a database");
    if (good)
        uri_copy(out, &list[0]);
    for (size_t i = 0; i < count; i++)
        uri_free(&list[i]);
    return good;
}

static bool parse_uri(struct settings *s, const struct setting *row, const char *value, struct error *error)
{
    char **text = (char **)((uint8_t *)s + row->text_offset);
    struct error inner;
    bool several = row->offset == offsetof(struct settings, source);
    if (several ? !parse_uris(setting_field(s, row), value, &inner)
                : !uri_parse(value, setting_field(s, row), &inner))
        return error_fatal(error, EX_USAGE, "%s: %s", row->help.name, inner.text);
    char *copy = x_strdup(value);
    if (*text)
        explicit_bzero(*text, strlen(*text));
    free(*text);
    *text = copy;
    return true;
}

void settings_add_pattern(char ***list, const char *pattern)
{
    size_t n = 0;
    while (*list && (*list)[n])
        n++;
    *list = x_realloc(*list, (n + 2) * sizeof **list);
    (*list)[n] = x_strdup(pattern);
    (*list)[n + 1] = NULL;
}

bool settings_add_db(struct settings *s, uint32_t from, uint32_t to, const char **why)
{
    for (size_t i = 0; i < s->db_map_count; i++) {
        if (s->db_maps[i].from == from && s->db_maps[i].to == to)
            return true;
        if (s->db_maps[i].from == from) {
            *why = "one database of the source cannot go to two of the target";
            return false;
        }
        if (s->db_maps[i].to == to) {
            *why = "two databases of the source cannot go to one of the target: equal keys would collide";
            return false;
        }
    }
    s->db_maps = x_realloc(s->db_maps, (s->db_map_count + 1) * sizeof *s->db_maps);
    s->db_maps[s->db_map_count++] = (struct db_map){from, to};
    return true;
}

/* "0,1:5"; all of it or nothing. */
static bool parse_dbs(struct settings *s, const struct setting *row, const char *value, struct error *error)
{
    size_t before = s->db_map_count;
    for (const char *item = value;; item += strcspn(item, ",") + 1) {
        size_t len = strcspn(item, ","), from_len = strcspn(item, ":,");
        uint64_t from, to;
        const char *why;
        bool good = slice_to_u64(slice_of(item, from_len), &from);
        to = from;
        if (good && from_len < len)
            good = slice_to_u64(slice_of(item + from_len + 1, len - from_len - 1), &to);
        if (!good || from > DB_MAX || to > DB_MAX) {
            s->db_map_count = before;
            return error_fatal(error, EX_USAGE,
                               "%s: \"%.80s\" is not a list of databases such as 0,1:5 (numbers 0 to %d)",
                               row->help.name, value, DB_MAX);
        }
        if (!settings_add_db(s, (uint32_t)from, (uint32_t)to, &why)) {
            s->db_map_count = before;
            return error_fatal(error, EX_USAGE, "%s: \"%.80s\": %s", row->help.name, value, why);
        }
        if (item[len] == '\0')
            return true;
    }
}

bool setting_parse(struct settings *s, const struct setting *row, const char *value, struct error *error)
{
    if (row->kind == SETTING_FLAG)
        return parse_flag(s, row, value && *value ? value : "on", error);
    if (!value || !*value)
        return error_fatal(error, EX_USAGE, "%s: needs a value (%s)", row->help.name, row->help.argument);
    switch (row->kind) {
    case SETTING_URI:
        return parse_uri(s, row, value, error);
    case SETTING_TEXT:
    case SETTING_NAME:
    case SETTING_WORD:
    case SETTING_ADDRESS:
        return parse_text(s, row, value, error);
    case SETTING_LIST:
        settings_add_pattern(setting_field(s, row), value);
        return true;
    case SETTING_DB:
        return parse_dbs(s, row, value, error);
    case SETTING_CHOICE:
        return parse_choice(s, row, value, error);
    default:
        return parse_number(s, row, value, error);
    }
}
