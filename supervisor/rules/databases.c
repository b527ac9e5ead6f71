/* The databases in INFO keyspace, and the refusal of databases that the target does not have. */
#include "supervisor/rules/databases.h"

#include <string.h>
#include <sysexits.h>

/* The next "db3:keys=10,…" line with keys; false at the end. */
static bool next_database(struct slice *info, uint32_t *number, uint64_t *keys)
{
    while (info->len > 0) {
        const uint8_t *end = memchr(info->data, '\n', info->len), *colon;
        struct slice line = slice_of(info->data, end ? (size_t)(end - info->data) : info->len);
        uint64_t db;
        size_t used = line.len + (end ? 1 : 0);
        *info = slice_of(info->data + used, info->len - used);
        if (line.len < 3 || memcmp(line.data, "db", 2) != 0 || !(colon = memchr(line.data, ':', line.len)) ||
            !slice_to_u64(slice_of(line.data + 2, (size_t)(colon - line.data) - 2), &db) || db > UINT32_MAX ||
            (*keys = info_keys(line)) == 0)
            continue;
        *number = (uint32_t)db;
        return true;
    }
    return false;
}

size_t info_databases(struct slice info, uint32_t **list)
{
    size_t count = 0;
    uint32_t db;
    uint64_t keys;
    *list = NULL;
    while (next_database(&info, &db, &keys)) {
        *list = x_realloc(*list, (count + 1) * sizeof **list);
        (*list)[count++] = db;
    }
    return count;
}

uint64_t info_keys_wanted(struct slice info, const struct settings *settings)
{
    uint32_t db, to;
    uint64_t keys, sum = 0;
    while (next_database(&info, &db, &keys))
        if (settings_db_target(settings, db, &to) && __builtin_add_overflow(sum, keys, &sum))
            sum = UINT64_MAX;
    return sum;
}

bool databases_fit(const struct settings *settings, const uint32_t *databases, size_t count,
                   const char *source_name, uint32_t has, bool cluster, struct error *error)
{
    struct buf names = {0};
    uint32_t first = 0, highest = 0, to;
    for (size_t i = 0; i < count; i++) {
        if (!settings_db_target(settings, databases[i], &to) || to < has)
            continue;
        first = names.len ? first : databases[i];
        highest = to > highest ? to : highest;
        buf_printf(&names, "%s%u", names.len ? ", " : "", databases[i]);
    }
    bool fit = names.len == 0;
    int shown = (int)(names.len < 120 ? names.len : 120);
    if (!fit && cluster)
        error_fatal(
            error, EX_CONFIG,
            "source %s has keys in database %.*s, and the target is a cluster, which has database 0 "
            "alone: give --db 0 to leave them out, or --db %u:0 to copy that one alone into database 0",
            source_name, shown, (const char *)names.data, first);
    else if (!fit)
        error_fatal(error, EX_CONFIG,
                    "source %s has keys in database %.*s, and the target has %u database%s: raise its "
                    "databases to %u, or choose with --db which are copied, and where to (--db %u:0)",
                    source_name, shown, (const char *)names.data, has, has == 1 ? "" : "s", highest + 1,
                    first);
    buf_free(&names);
    return fit;
}

void databases_judge_map(const struct settings *settings, const struct capabilities *target,
                         const char *target_name, struct findings *out)
{
    if (settings->db_map_count)
        findings_probe(out, "database map", "the target has every database that --db names");
    for (size_t i = 0; i < settings->db_map_count; i++) {
        uint32_t from = settings->db_maps[i].from, to = settings->db_maps[i].to;
        if (target->cluster && to)
            findings_refuse(
                out, EX_CONFIG,
                "--db %u:%u: the target is a cluster, which has database 0 alone: give --db %u:0, "
                "or leave the database out",
                from, to, from);
        else if (!target->cluster && target->databases_told && to >= target->databases)
            findings_refuse(
                out, EX_CONFIG,
                "--db %u:%u: target %s has %u database%s: choose one below that, or raise its databases",
                from, to, target_name, target->databases, target->databases == 1 ? "" : "s");
    }
}
