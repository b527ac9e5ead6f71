/* redis://[user[:password]@]host[:port][/db], rediss://…, unix:///path and the built-in sink null: */
#ifndef DF2REDIS_URI_H
#define DF2REDIS_URI_H

#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

struct uri {
    char *host; /* or the socket's path when unix_socket */
    char *user; /* NULL: default user */
    char *password;
    uint16_t port;
    uint32_t db;
    bool tls;
    bool unix_socket;
    bool null_sink; /* null: takes and forgets everything; for benchmarks */
};

/* Percent-encoded parts are decoded; IPv6 hosts in brackets. Replaces *out on success. */
bool uri_parse(const char *text, struct uri *out, struct error *error);
void uri_free(struct uri *u);
void uri_copy(struct uri *to, const struct uri *from);
/* For logs and status: without user and password. Into out, always terminated. */
void uri_display(const struct uri *u, char *out, size_t out_bytes);

#endif
