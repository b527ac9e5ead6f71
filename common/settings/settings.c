/* Settings: defaults, setting by name, and the questions asked for every key. */
#include "common/settings/settings_table.h"

#include <stdlib.h>
#include <sysexits.h>

#include "common/base/glob.h"

void settings_init(struct settings *s)
{
    *s = (struct settings){
        .name = x_strdup("default"),
        .marks = true,
        .ring_bytes = UINT64_C(64) << 20,
        .spool_limit_bytes = UINT64_C(10) << 30,
        .restore_limit_bytes = UINT64_C(1) << 20,
        .batch_bytes = UINT64_C(256) << 10,
        .batch_commands = 1000,
        .window_bytes = UINT64_C(4) << 20,
        .connect_timeout_ms = 10 * 1000,
        .stuck_warning_ms = 60 * 1000,
        .barrier_timeout_ms = 10 * 60 * 1000,
        .restart_limit = 5,
        .failed_flows_percent = 25,
        .log_level = LOG_LEVEL_INFO,
        .confine = true,
    };
}

static void free_secret(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
}

static void free_list(char **list)
{
    for (char **p = list; p && *p; p++)
        free(*p);
    free(list);
}

void settings_free(struct settings *s)
{
    uri_free(&s->source);
    uri_free(&s->target);
    free_secret(s->source_text);
    free_secret(s->target_text);
    free(s->name);
    free(s->state_dir);
    free_list(s->include);
    free_list(s->exclude);
    free_list(s->metrics_hosts);
    free(s->db_maps);
    free(s->source_password_file);
    free(s->target_password_file);
    free(s->tls_ca_file);
    free(s->tls_cert_file);
    free(s->tls_key_file);
    free(s->pid_file);
    free(s->log_file);
    free(s->user);
    free(s->metrics);
    *s = (struct settings){0};
}

bool settings_set(struct settings *s, const char *name, const char *value, struct error *error)
{
    const struct setting *row = setting_find(name);
    if (row)
        return setting_parse(s, row, value, error);
    return error_fatal(error, EX_USAGE, "there is no setting named \"%.80s\": see df2redis help", name);
}

bool settings_adds_up(const char *name)
{
    const struct setting *row = setting_find(name);
    return row && (row->kind == SETTING_LIST || row->kind == SETTING_DB);
}

bool settings_is_path(const char *name)
{
    const struct setting *row = setting_find(name);
    return row && row->kind == SETTING_TEXT;
}

const struct setting_help *settings_help(void)
{
    static struct setting_help *help;
    if (!help) {
        struct setting_help *rows = x_calloc(settings_table_count + 1, sizeof *rows);
        for (size_t i = 0; i < settings_table_count; i++)
            rows[i] = settings_table[i].help;
        help = rows;
    }
    return help;
}

static bool any_matches(char *const *patterns, struct slice key)
{
    for (; *patterns; patterns++)
        if (glob_match(slice_str(*patterns), key))
            return true;
    return false;
}

bool settings_key_wanted(const struct settings *s, struct slice key)
{
    if (s->include && !any_matches(s->include, key))
        return false;
    return !s->exclude || !any_matches(s->exclude, key);
}

bool settings_repairs(const struct settings *s)
{
    return !s->target.null_sink && s->on_conflict != ON_CONFLICT_SKIP && s->on_conflict != ON_CONFLICT_STOP;
}

bool settings_key_reserved(const struct settings *s, struct slice key)
{
    static const char prefix[] = "df2redis:";
    size_t at = sizeof prefix - 1;
    if (key.len <= at || memcmp(key.data, prefix, at) != 0)
        return false;
    size_t name = strlen(s->name);
    return key.len >= at + name && memcmp(key.data + at, s->name, name) == 0 &&
           (key.len == at + name || key.data[at + name] == ':');
}

bool settings_db_target(const struct settings *s, uint32_t db, uint32_t *target_db)
{
    for (size_t i = 0; i < s->db_map_count; i++)
        if (s->db_maps[i].from == db) {
            *target_db = s->db_maps[i].to;
            return true;
        }
    *target_db = db;
    return s->db_map_count == 0;
}
