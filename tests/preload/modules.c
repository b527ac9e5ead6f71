/* A module for a server of the tests: some commands of Redis 8's modules, which do nothing and answer 1. Only the ACL
 * matters of them. The interface is that of redismodule.h: the context begins with the address of the function that
 * finds the others by name. */
#include <stddef.h>

struct RedisModuleCtx {
    int (*get)(const char *name, void *out);
};
typedef int command(struct RedisModuleCtx *c, void **argv, int argc);

enum { OK = 0, FAILED = 1, API = 1 };

static int (*reply_number)(struct RedisModuleCtx *c, long long n);
static int (*create)(struct RedisModuleCtx *c, const char *name, command *f, const char *flags, int first,
                     int last, int step);
static void (*set_attributes)(struct RedisModuleCtx *c, const char *name, int version, int api);

static int answer(struct RedisModuleCtx *c, void **argv, int argc)
{
    (void)argv, (void)argc;
    return reply_number(c, 1);
}

__attribute__((visibility("default"))) int RedisModule_OnLoad(struct RedisModuleCtx *c, void **argv, int argc)
{
    static const char *const of_keys[] = {"json.set", "json.get", "json.toggle", "bf.add", "cf.add"};
    static const char *const of_indexes[] = {"ft.create", "ft._createifnx", "ft.dropindex",
                                             "ft._dropindexifx"};
    (void)argv, (void)argc;
    if (c->get("RedisModule_SetModuleAttribs", &set_attributes) != OK ||
        c->get("RedisModule_CreateCommand", &create) != OK ||
        c->get("RedisModule_ReplyWithLongLong", &reply_number) != OK)
        return FAILED;
    set_attributes(c, "modules", 1, API);
    for (size_t i = 0; i < sizeof of_keys / sizeof *of_keys; i++)
        if (create(c, of_keys[i], answer, "write", 1, 1, 1) != OK)
            return FAILED;
    for (size_t i = 0; i < sizeof of_indexes / sizeof *of_indexes; i++)
        if (create(c, of_indexes[i], answer, "write", 0, 0, 0) != OK)
            return FAILED;
    return OK;
}
