/* The source's addresses: those of --source, each host's name with all that it stands for, one after the
 * other until a master answers. Everything of a session then goes to that one. */
#ifndef DF2REDIS_SUPERVISOR_SOURCE_ADDRESSES_H
#define DF2REDIS_SUPERVISOR_SOURCE_ADDRESSES_H

#include "common/settings/settings.h"

enum { ADDRESSES_MAX = 128 };

struct addresses {
    struct uri hosts[URI_LIST_MAX]; /* as given */
    size_t host_count;
    struct uri list[ADDRESSES_MAX]; /* as looked up for this round; none: not yet */
    size_t count, at;
    struct uri found;  /* where a master answered last: the next round begins there */
    struct error said; /* by those of this round that were tried */
    bool any_retry;
};

/* From settings that were checked. */
void addresses_init(struct addresses *a, const struct settings *settings);
void addresses_free(struct addresses *a);
/* The one to connect to now; looks them up when a round begins. NULL and *error: none is known. */
const struct uri *addresses_current(struct addresses *a, struct error *error);
/* That one is no use, since *why. True: another one is to be tried. False: the round is over, and *all says
 * what each of them said. */
bool addresses_next(struct addresses *a, const struct error *why, struct error *all);
/* A master answers there. */
void addresses_found(struct addresses *a);

/* All that were given, without credentials: "redis://a:6379,redis://b:6379". */
void addresses_display(const struct addresses *a, char *out, size_t out_bytes);
/* Have two such texts an address in common? */
bool addresses_share(const char *one, const char *other);

#endif
