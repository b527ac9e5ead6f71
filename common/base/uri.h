/* redis://[user[:password]@]host[:port][/db], rediss://…, unix:///path and the built-in sink null: */
#ifndef DF2REDIS_COMMON_BASE_URI_H
#define DF2REDIS_COMMON_BASE_URI_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"

struct uri {
    char *host;         /* or the socket's path when unix_socket */
    char *address;      /* of the host, numeric: connected to, the host is not looked up again; NULL: it is */
    bool address_shown; /* the host has several: messages say which */
    char *user;         /* NULL: default user */
    char *password;
    uint16_t port;
    uint32_t db;
    bool tls;
    bool unix_socket;
    bool null_sink; /* null: takes and forgets everything; for benchmarks */
};

/* Percent-encoded parts are decoded; IPv6 hosts in brackets. Replaces *out on success. */
bool uri_parse(const char *text, struct uri *out, struct error *error);
/* Several, with commas between: whole URIs, or hosts behind a first one, which take user, password, scheme and database
 * from it: redis://:secret@a:6379,b,c:7000,redis://d. A comma before the last @ belongs to a password. *out: URI_LIST_MAX of
 * them, empty; 0: one is wrong. */
enum { URI_LIST_MAX = 32 };
size_t uri_parse_list(const char *text, struct uri *out, struct error *error);
/* getaddrinfo(3), which where nobody knows localhost (no /etc/hosts) takes the loopback addresses for it, as RFC 6761
 * wants. */
struct addrinfo;
int uri_look_up(const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **out);
/* What its host's name stands for now: a copy of *u for each address, up to max. 0 and *error: it cannot be looked up. */
size_t uri_addresses(const struct uri *u, struct uri *out, size_t max, struct error *error);
void uri_free(struct uri *u);
void uri_copy(struct uri *to, const struct uri *from);
/* For logs and status: without user and password. Into out, always terminated. */
void uri_display(const struct uri *u, char *out, size_t out_bytes);

#endif
