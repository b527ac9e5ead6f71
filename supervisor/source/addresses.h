/* The source's addresses: those of --source, each host name resolved to all of its addresses, tried in turn until a
 * master answers. All connections of a session then go to that address. */
#ifndef DF2REDIS_SUPERVISOR_SOURCE_ADDRESSES_H
#define DF2REDIS_SUPERVISOR_SOURCE_ADDRESSES_H

#include "common/settings/settings.h"

enum { ADDRESSES_MAX = 128 };

struct addresses {
    struct uri hosts[URI_LIST_MAX]; /* as given */
    size_t host_count;
    struct uri list[ADDRESSES_MAX]; /* resolved for this round; none: not yet */
    size_t count, at;
    struct uri found;  /* the address of the last master: the next round begins with it */
    struct error said; /* the errors of this round's addresses, one after the other */
    bool any_retry;
};

/* The settings were checked before. */
void addresses_init(struct addresses *a, const struct settings *settings);
void addresses_free(struct addresses *a);
/* Returns the address to connect to; a new round resolves the names. NULL and *error: none is known. */
const struct uri *addresses_current(struct addresses *a, struct error *error);
/* The current address failed because of *why. Returns true if another one follows. False: the round is over, and
 * *all has the errors of all addresses. */
bool addresses_next(struct addresses *a, const struct error *why, struct error *all);
/* A master answered at the current address, and it is the one to follow. */
void addresses_found(struct addresses *a);
/* Returns true if this round has more than one address; more: if some come after the current one. */
bool addresses_several(const struct addresses *a);
bool addresses_more(const struct addresses *a);

/* Writes all given addresses without credentials: "redis://a:6379,redis://b:6379". */
void addresses_display(const struct addresses *a, char *out, size_t out_bytes);
/* Returns true if two such texts have an address in common. */
bool addresses_share(const char *one, const char *other);

#endif
