/* The set is one of suspects.c, in a separate file. If it is full, a warning is logged: later additions to further
 * filters create new ones. */
#include "worker/translate/left_out.h"

#include <string.h>

#include "common/ipc/divergence.h"
#include "common/log/log.h"

struct suspects *left_out_open(const char *directory, uint32_t flow, bool fresh, struct error *error)
{
    return suspects_open_as("left-out", directory, flow, fresh, error);
}

void left_out_remove_file(const char *directory, uint32_t flow)
{
    suspects_remove_file_as("left-out", directory, flow);
}

void left_out_note(struct translator *t, struct slice key, uint8_t type)
{
    struct error error;
    bool makes_filters = t->target->bloom || t->target->cuckoo || t->target->cms || t->target->topk;
    if (t->left_out && makes_filters &&
        !suspects_add(t->left_out, t->db, key, DIVERGENCE_TYPE, rdb_type_name(type), &error))
        log_warning("the %s %s is left out, and later additions will create a new one: %s",
                    rdb_type_name(type), log_key(key), error.text);
}

static bool command_begins(const struct command *c, const char *with)
{
    return strncmp(c->name, with, strlen(with)) == 0;
}

static bool command_is_of_filters(const struct command *c)
{
    return command_begins(c, "BF.") || command_begins(c, "CF.") || command_begins(c, "CMS.") ||
           command_begins(c, "TOPK.");
}

static bool command_creates_filter(const struct command *c)
{
    return strstr(c->name, ".RESERVE") || strstr(c->name, ".INIT");
}

/* Whether the key is deleted on the source after the command, or has another type. */
static bool command_replaces_key(const struct command *c)
{
    static const char *const names[] = {"DEL", "UNLINK", "GETDEL", "DELEX", "SET", "RESTORE", "MOVE", NULL};
    for (const char *const *name = names; *name; name++)
        if (strcmp(c->name, *name) == 0)
            return true;
    return false;
}

/* An entry that runs again has moved the name the first time. */
static void rename_left_out(struct translator *t, const struct entry *e)
{
    bool was = suspects_has(t->left_out, t->db, e->argv[1]);
    if (!was && t->ignore_conflicts)
        return;
    suspects_remove(t->left_out, t->db, e->argv[1]);
    suspects_remove(t->left_out, t->db, e->argv[2]);
    if (was)
        left_out_note(t, e->argv[2], RDB_SBF2);
}

bool left_out_takes(struct translator *t, const struct command *c, const struct entry *e)
{
    if (!t->left_out || !suspects_count(t->left_out) || e->argc < 2)
        return false;
    if (command_is_of_filters(c)) {
        bool here = suspects_has(t->left_out, t->db, e->argv[1]);
        if (here && command_creates_filter(c))
            suspects_remove(t->left_out, t->db, e->argv[1]);
        return here && !command_creates_filter(c);
    }
    if (e->argc >= 3 && command_begins(c, "RENAME"))
        rename_left_out(t, e);
    else if (command_replaces_key(c))
        for (size_t i = 1; i < e->argc; i++)
            suspects_remove(t->left_out, t->db, e->argv[i]);
    return false;
}
