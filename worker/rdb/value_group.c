/* Shared by readers of counted layouts and packed encodings: strings, and errors. */
#include "worker/rdb/value_group.h"

#include <sysexits.h>

enum group_step group_broken(struct group *g, const char *what)
{
    error_fatal(g->error, EX_DATAERR, "%s value: %s", rdb_type_name(g->type), what);
    return GROUP_BROKEN;
}

enum group_step group_strings(struct group *g, const uint8_t *p, size_t there, unsigned n,
                              struct rdb_string_head *heads, const uint8_t **content, size_t *bytes,
                              size_t *plain)
{
    uint64_t at = 0;
    *plain = 0;
    for (unsigned i = 0; i < n; i++) {
        enum value_status status = VALUE_MORE;
        if (at < there)
            status = rdb_string_head(p + at, there - (size_t)at, &heads[i]);
        if (status == VALUE_BROKEN)
            return group_broken(g, "invalid first byte or length of a string");
        if (status == VALUE_MORE) {
            uint64_t missing = at < there ? 1 : at - there + 1;
            g->wanted = g->input.len + (size_t)missing;
            return GROUP_MORE;
        }
        content[i] = p + at + heads[i].head_bytes;
        at += heads[i].head_bytes + heads[i].stored_bytes;
        if (at > there && i + 1 == n) {
            g->wanted = g->input.len + (size_t)(at - there);
            return GROUP_MORE;
        }
        if (heads[i].encoding != RDB_PLAIN)
            *plain += (size_t)heads[i].plain_bytes + NUMBER_ROOM;
    }
    *bytes = (size_t)at;
    return GROUP_ON;
}
