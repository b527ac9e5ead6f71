/* The set is that of suspects.c, in a file of its own. One that is full costs a note in the log: what is added later makes
 * new filters. */
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
        log_warning("the %s %s is left out, and what is added to it will make another one: %s",
                    rdb_type_name(type), log_key(key), error.text);
}

static bool begins(const struct command *c, const char *with)
{
    return strncmp(c->name, with, strlen(with)) == 0;
}

static bool is_of_filters(const struct command *c)
{
    return begins(c, "BF.") || begins(c, "CF.") || begins(c, "CMS.") || begins(c, "TOPK.");
}

static bool makes_anew(const struct command *c)
{
    return strstr(c->name, ".RESERVE") || strstr(c->name, ".INIT");
}

/* What the source carried out on a key that it then does not have, or has as something else. */
static bool replaces(const struct command *c)
{
    static const char *const names[] = {"DEL", "UNLINK", "GETDEL", "DELEX", "SET", "RESTORE", "MOVE", NULL};
    for (const char *const *name = names; *name; name++)
        if (strcmp(c->name, *name) == 0)
            return true;
    return false;
}

static void rename_one(struct translator *t, const struct entry *e)
{
    bool was = suspects_has(t->left_out, t->db, e->argv[1]);
    suspects_remove(t->left_out, t->db, e->argv[1]);
    suspects_remove(t->left_out, t->db, e->argv[2]);
    if (was)
        left_out_note(t, e->argv[2], RDB_SBF2);
}

bool left_out_takes(struct translator *t, const struct command *c, const struct entry *e)
{
    if (!t->left_out || !suspects_count(t->left_out) || e->argc < 2)
        return false;
    if (is_of_filters(c)) {
        bool here = suspects_has(t->left_out, t->db, e->argv[1]);
        if (here && makes_anew(c))
            suspects_remove(t->left_out, t->db, e->argv[1]);
        return here && !makes_anew(c);
    }
    if (e->argc >= 3 && begins(c, "RENAME"))
        rename_one(t, e);
    else if (replaces(c))
        for (size_t i = 1; i < e->argc; i++)
            suspects_remove(t->left_out, t->db, e->argv[i]);
    return false;
}
