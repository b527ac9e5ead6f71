/* The rights of the users, ready to be given. */
#include <stdio.h>
#include <sysexits.h>

#include "common/base/mem.h"
#include "supervisor/check/check.h"
#include "supervisor/rules/rights.h"
#include "supervisor/source/source_facts.h"

static const char *user_name(const struct uri *uri)
{
    return uri->user ? uri->user : "df2redis";
}

/* Keys that are copied, and those of the run. */
static void put_keys(const struct settings *settings, struct buf *out)
{
    if (!settings->include) {
        buf_printf(out, "~*");
        return;
    }
    buf_printf(out, "~df2redis:%s*", settings->name);
    for (char *const *pattern = settings->include; *pattern; pattern++)
        buf_printf(out, " ~%s", *pattern);
}

int check_acl_command(const struct settings *settings)
{
    struct buf source = {0}, keys = {0};
    source_rights(&source);
    put_keys(settings, &keys);
    printf("ACL SETUSER %s on >PASSWORD ~* %.*s\n", user_name(&settings->source), (int)source.len,
           (const char *)source.data);
    printf("ACL SETUSER %s on >PASSWORD %.*s " RIGHTS_ENOUGH "\n", user_name(&settings->target),
           (int)keys.len, (const char *)keys.data);
    fflush(stdout);
    fprintf(stderr,
            "The first line is for the source, the second for the target: put the password in.\n"
            "A cluster: on every node, with %s at the end.\n"
            "Redis 8, if search indexes are created during the run: with %s at the end.\n",
            RIGHTS_ENOUGH_IN_CLUSTER, RIGHTS_ENOUGH_WITH_SEARCH);
    buf_free(&source);
    buf_free(&keys);
    return EX_OK;
}
