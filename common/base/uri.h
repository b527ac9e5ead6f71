/* redis://[user[:password]@]host[:port][/db], rediss://…, unix:///path and the built-in sink null: */
#ifndef DF2REDIS_COMMON_BASE_URI_H
#define DF2REDIS_COMMON_BASE_URI_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"

struct uri {
    char *host;         /* or the path of the socket when unix_socket */
    char *address;      /* of the host, numeric: used instead of a lookup; NULL: host is looked up */
    bool address_shown; /* the host has several addresses: messages name this one */
    char *user;         /* NULL: default user */
    char *password;
    uint16_t port;
    uint32_t db;
    bool tls;
    bool unix_socket;
    bool null_sink; /* null: discards everything; for benchmarks */
};

/* Percent-encoded parts are decoded; IPv6 hosts in brackets. Replaces *out on success. */
bool uri_parse(const char *text, struct uri *out, struct error *error);
/* A list separated by commas: complete URIs, or hosts that inherit scheme, user, password and database from the URI
 * before them: redis://:secret@a:6379,b,c:7000,redis://d. A comma before the last @ belongs to a password. *out:
 * URI_LIST_MAX of them, empty. Returns the number of URIs; 0: one is invalid. */
enum { URI_LIST_MAX = 32 };
size_t uri_parse_list(const char *text, struct uri *out, struct error *error);
/* getaddrinfo(3). If localhost does not resolve (no /etc/hosts), returns the loopback addresses, as RFC 6761 requires. */
struct addrinfo;
int uri_look_up(const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **out);
/* Resolves the host: a copy of *u for each of its addresses, up to max. 0 and *error: the lookup failed. */
size_t uri_addresses(const struct uri *u, struct uri *out, size_t max, struct error *error);
void uri_free(struct uri *u);
void uri_copy(struct uri *to, const struct uri *from);
/* For logs and status: without user and password. out is always terminated. */
void uri_display(const struct uri *u, char *out, size_t out_bytes);

#endif
