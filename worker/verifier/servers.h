/* What a verification asks both sides first: the source's history, what the target can do, its masters, and the databases with
 * keys. */
#ifndef DF2REDIS_WORKER_VERIFIER_SERVERS_H
#define DF2REDIS_WORKER_VERIFIER_SERVERS_H

#include <event2/event.h>

#include "common/redis/capabilities.h"
#include "common/redis/topology.h"
#include "common/settings/settings.h"

enum { SERVERS_DATABASES_MAX = 256 };

/* Databases with keys, ascending. */
struct keyspace {
    uint32_t dbs[SERVERS_DATABASES_MAX];
    size_t count;
    uint64_t keys;
};

/* The target, or a master of a cluster. */
struct master {
    struct uri uri;
    char id[41];     /* of the cluster's node; "" */
    char run_id[41]; /* of the process; "": it does not tell */
    struct keyspace keyspace;
};

struct servers {
    char master_id[41]; /* of the source's history */
    bool lists_large;   /* the source's SCAN has MINMSZ */
    struct keyspace source;
    struct capabilities target; /* of all masters */
    struct topology topology;   /* of a cluster */
    struct master *masters;     /* a standalone target is the only one */
    size_t master_count;
};

struct servers_callbacks {
    void *arg;
    void (*done)(void *arg, struct servers *servers); /* the caller keeps it; servers_free() */
    void (*failed)(void *arg, const struct error *error);
};

struct inquiry;

/* NULL and *error: it could not be begun. The inquiry may be freed at any time, but in the callbacks. */
struct inquiry *inquiry_begin(struct event_base *base, const struct settings *settings,
                              const char *client_name, const struct servers_callbacks *callbacks,
                              struct error *error);
void inquiry_free(struct inquiry *q);
void servers_free(struct servers *s);
/* The master that serves the key's slot. */
size_t servers_master_of(const struct servers *s, struct slice key);

#endif
