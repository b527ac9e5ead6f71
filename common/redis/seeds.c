/* Rotates through the addresses of a target. */
#include "common/redis/seeds.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

enum { ADDRESSES_MAX = 16 };

struct seeds {
    struct uri given, now;
    size_t turn; /* of the given one: 0 as its name says, then its addresses, where there are several */
    char *masters;
    const char *next; /* of masters; at its end: the given one */
};

struct seeds *seeds_new(const struct uri *given, const char *masters)
{
    struct seeds *s = x_calloc(1, sizeof *s);
    uri_copy(&s->given, given);
    uri_copy(&s->now, given);
    s->masters = x_strdup(masters ? masters : "");
    s->next = s->masters;
    return s;
}

void seeds_free(struct seeds *s)
{
    if (!s)
        return;
    uri_free(&s->given);
    uri_free(&s->now);
    free(s->masters);
    free(s);
}

const struct uri *seeds_uri(const struct seeds *s)
{
    return &s->now;
}

/* "host:port"; an IPv6 address has more colons. */
static bool take_address(struct uri *to, const char *word, size_t len)
{
    size_t colon = len;
    uint64_t port;
    while (colon && word[colon - 1] != ':')
        colon--;
    if (colon < 2 || !slice_to_u64(slice_of(word + colon, len - colon), &port) || !port || port > UINT16_MAX)
        return false;
    free(to->host);
    to->host = x_calloc(1, colon);
    memcpy(to->host, word, colon - 1);
    to->port = (uint16_t)port;
    to->unix_socket = false;
    return true;
}

/* A connection goes to the first address that takes it, which may be that of a replica. */
static void take_next_address(struct seeds *s)
{
    struct uri list[ADDRESSES_MAX] = {{0}};
    bool numeric = s->given.address || s->given.unix_socket;
    size_t count = numeric ? 0 : uri_addresses(&s->given, list, ADDRESSES_MAX, NULL);
    if (count > 1)
        uri_copy(&s->now, &list[s->turn++ % count]);
    for (size_t i = 0; i < count; i++)
        uri_free(&list[i]);
}

void seeds_next(struct seeds *s)
{
    uri_copy(&s->now, &s->given);
    while (*s->next) {
        size_t len = strcspn(s->next, " ");
        bool taken = take_address(&s->now, s->next, len);
        s->next += len + strspn(s->next + len, " ");
        if (taken)
            return;
    }
    s->next = s->masters;
    take_next_address(s);
}
