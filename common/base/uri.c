/* URIs of sources and targets.
 *
 *   redis://[user[:password]@]host[:port][/db]      rediss:// the same over TLS
 *   unix://[user[:password]@]/path                  null:
 *
 * The user part ends at the last @ before the path, so that a password may contain an @. An error never shows
 * text that may be a password: see uri_redact(). */
#include "common/base/uri.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <sysexits.h>

#include "common/base/mem.h"

enum { DEFAULT_PORT = 6379, MAX_DB = 65535 };

/* The text without its user part, and, in case the @ was forgotten, without what may be a password. */
static const char *uri_redact(const char *text, char *out, size_t out_bytes)
{
    const char *scheme_end = strstr(text, "://");
    const char *begin = scheme_end ? scheme_end + 3 : text;
    const char *at = strrchr(begin, '@');
    const char *rest = at ? at + 1 : begin;
    const char *bracket = *rest == '[' ? strchr(rest, ']') : NULL;
    const char *colon = strchr(bracket ? bracket : rest, ':');
    size_t rest_len = strcspn(rest, "?#");
    const char *more = rest[rest_len] ? "…" : "";
    if (colon && colon < rest + rest_len) {
        size_t digits = strspn(colon + 1, "0123456789");
        if (colon + 1 + digits < rest + rest_len && colon[1 + digits] != '/') {
            rest_len = (size_t)(colon + 1 - rest);
            more = "…";
        }
    }
    snprintf(out, out_bytes, "%.*s%.*s%s", (int)(begin - text), text, (int)(rest_len > 150 ? 150 : rest_len),
             rest, more);
    for (char *p = out; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = '?';
    return out;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* A new string; NULL for an invalid escape and for %00. */
static char *percent_decode(const char *text, size_t len)
{
    char *out = x_malloc(len + 1);
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] != '%') {
            out[n++] = text[i];
            continue;
        }
        int high = i + 2 < len ? hex_digit(text[i + 1]) : -1;
        int low = i + 2 < len ? hex_digit(text[i + 2]) : -1;
        if (high < 0 || low < 0 || high + low == 0) {
            free(out);
            return NULL;
        }
        out[n++] = (char)(high * 16 + low);
        i += 2;
    }
    out[n] = '\0';
    return out;
}

static bool parse_user(const char *text, size_t len, struct uri *u)
{
    const char *colon = memchr(text, ':', len);
    size_t user_len = colon ? (size_t)(colon - text) : len;
    if (user_len > 0 && !(u->user = percent_decode(text, user_len)))
        return false;
    if (colon && user_len + 1 < len && !(u->password = percent_decode(colon + 1, len - user_len - 1)))
        return false;
    return true;
}

static bool parse_number(const char *text, size_t len, uint64_t max, uint64_t *out)
{
    return slice_to_u64(slice_of(text, len), out) && *out <= max;
}

/* host[:port] */
static const char *parse_host(const char *text, size_t len, struct uri *u)
{
    const char *host = text, *after;
    size_t host_len;
    if (len > 0 && text[0] == '[') {
        const char *close = memchr(text, ']', len);
        if (!close)
            return "the ] after the IPv6 address is missing";
        host = text + 1;
        host_len = (size_t)(close - host);
        after = close + 1;
    } else {
        const char *colon = memchr(text, ':', len);
        host_len = colon ? (size_t)(colon - text) : len;
        after = text + host_len;
    }
    size_t after_len = len - (size_t)(after - text);
    if (after_len > 1 && memchr(after + 1, ':', after_len - 1))
        return "an IPv6 address is written in brackets: redis://[::1]:6379";
    if (host_len == 0)
        return "the host is missing";
    if (host_len > 255)
        return "the host is too long";
    for (size_t i = 0; i < host_len; i++)
        if ((unsigned char)host[i] <= 0x20 || (unsigned char)host[i] == 0x7f)
            return "the host contains a blank or a control character";
    if (after_len > 0 && after[0] != ':')
        return "after the ] only :port may follow";
    u->port = DEFAULT_PORT;
    if (after_len > 1) {
        uint64_t port;
        if (!parse_number(after + 1, after_len - 1, UINT16_MAX, &port) || port == 0)
            return "the port must be a number from 1 to 65535 (and an @ must follow a password)";
        u->port = (uint16_t)port;
    }
    u->host = percent_decode(host, host_len);
    return u->host ? NULL : "a % in the host must be followed by two hexadecimal digits";
}

static const char *parse_db(const char *text, struct uri *u)
{
    uint64_t db;
    if (text[strcspn(text, "?#")])
        return "nothing may follow the database number; set options by their own names";
    if (*text == '\0')
        return NULL;
    if (!parse_number(text, strlen(text), MAX_DB, &db))
        return "the database must be a number from 0 to 65535";
    u->db = (uint32_t)db;
    return NULL;
}

/* Parses everything after "://". Returns an error text, or NULL. */
static const char *parse_rest(const char *text, struct uri *u)
{
    size_t authority_len = strcspn(text, "/?#");
    const char *at = memrchr(text, '@', authority_len);
    const char *host = text;
    if (at) {
        if (!parse_user(text, (size_t)(at - text), u))
            return "a % in user or password must be followed by two hexadecimal digits (% itself is %25)";
        host = at + 1;
    } else if (!u->unix_socket && strchr(text + authority_len, '@')) {
        return "in user and password, write / as %2F, ? as %3F and # as %23";
    }
    size_t host_len = authority_len - (size_t)(host - text);
    const char *path = text + authority_len;
    if (u->unix_socket) {
        if (host_len > 0 || path[0] != '/' || path[1] == '\0')
            return "the path of a socket must be absolute: unix:///run/redis.sock";
        u->host = percent_decode(path, strlen(path));
        return u->host ? NULL : "a % in the path must be followed by two hexadecimal digits";
    }
    if (strcspn(path, "?#") == 0 && *path)
        return "only /database may follow the port; set options by their own names";
    const char *wrong = parse_host(host, host_len, u);
    return wrong || *path == '\0' ? wrong : parse_db(path + 1, u);
}

bool uri_parse(const char *text, struct uri *out, struct error *error)
{
    struct uri u = {0};
    char safe[256];
    const char *separator = strstr(text, "://");
    size_t scheme_len = separator ? (size_t)(separator - text) : 0;
    struct slice scheme = slice_of(text, scheme_len);
    if (strcasecmp(text, "null:") == 0) {
        u.null_sink = true;
    } else if (!separator) {
        uri_redact(text, safe, sizeof safe);
        return error_fatal(error, EX_USAGE, "\"%s\" is not a URI: write redis://%s", safe,
                           *safe && !strchr(safe, '/') ? safe : "host:port");
    } else if (!slice_is(scheme, "redis") && !slice_is(scheme, "rediss") && !slice_is(scheme, "unix")) {
        return error_fatal(error, EX_USAGE,
                           "\"%s\" has an unknown scheme: use redis://, rediss:// (TLS) or unix://",
                           uri_redact(text, safe, sizeof safe));
    } else {
        u.tls = slice_is(scheme, "rediss");
        u.unix_socket = slice_is(scheme, "unix");
        const char *wrong = parse_rest(separator + 3, &u);
        if (wrong) {
            uri_free(&u);
            return error_fatal(error, EX_USAGE, "\"%s\": %s", uri_redact(text, safe, sizeof safe), wrong);
        }
    }
    uri_free(out);
    *out = u;
    return true;
}

/* Whether a complete URI begins at text. */
static bool begins_uri(const char *text)
{
    static const char *const schemes[] = {"redis://", "rediss://"};
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        if (strncasecmp(text, schemes[i], strlen(schemes[i])) == 0)
            return true;
    return false;
}

/* One host of a URI with several. before: the text up to the first host; behind: the text after the last. */
static bool parse_one_host(struct slice before, struct slice host, struct slice behind, struct uri *out,
                           struct error *error)
{
    struct buf text = {0};
    buf_put(&text, before.data, before.len);
    buf_put(&text, host.data, host.len);
    buf_put(&text, behind.data, behind.len);
    buf_put_u8(&text, '\0');
    bool good = uri_parse((const char *)text.data, out, error);
    explicit_bzero(text.data, text.len);
    buf_free(&text);
    return good;
}

/* scheme://user@host,host,…/db. False: a host is invalid, or there are too many. */
static bool parse_hosts(struct slice uri, struct uri *out, size_t *count, struct error *error)
{
    const uint8_t *end = uri.data + uri.len, *scheme_end = memmem(uri.data, uri.len, "://", 3);
    const uint8_t *begin = scheme_end ? scheme_end + 3 : uri.data, *path = begin;
    while (path < end && !strchr("/?#", *path))
        path++;
    const uint8_t *at = memrchr(begin, '@', (size_t)(path - begin)), *host = at ? at + 1 : begin;
    struct slice before = slice_of(uri.data, (size_t)(host - uri.data));
    struct slice behind = slice_of(path, (size_t)(end - path));
    for (;;) {
        const uint8_t *comma = memchr(host, ',', (size_t)(path - host)), *host_end = comma ? comma : path;
        if (*count == URI_LIST_MAX)
            return error_fatal(error, EX_USAGE, "too many addresses: at most %d are allowed", URI_LIST_MAX);
        if (!parse_one_host(before, slice_of(host, (size_t)(host_end - host)), behind, &out[*count], error))
            return false;
        ++*count;
        if (!comma)
            return true;
        host = comma + 1;
    }
}

size_t uri_parse_list(const char *text, struct uri *out, struct error *error)
{
    size_t count = 0;
    bool good = true;
    while (good && text) {
        const char *next = text;
        do
            next = strchr(next + 1, ',');
        while (next && !begins_uri(next + 1));
        size_t len = next ? (size_t)(next - text) : strlen(text);
        good = parse_hosts(slice_of(text, len), out, &count, error);
        text = next ? next + 1 : NULL;
    }
    for (size_t i = 0; !good && i < count; i++)
        uri_free(&out[i]);
    return good ? count : 0;
}

int uri_look_up(const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **out)
{
    int result = getaddrinfo(host, port, hints, out);
    if (result == 0 || (hints->ai_flags & AI_NUMERICHOST) || strcasecmp(host, "localhost") != 0)
        return result;
    struct addrinfo loopback = *hints;
    loopback.ai_flags &= ~AI_PASSIVE;
    return getaddrinfo(NULL, port ? port : "0", &loopback, out);
}

size_t uri_addresses(const struct uri *u, struct uri *out, size_t max, struct error *error)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG},
                    *list = NULL;
    size_t count = 0;
    int result = uri_look_up(u->host, NULL, &hints, &list);
    if (result != 0) {
        error_set(error, ERROR_RETRY, "looking up %s: %s; check the host name", u->host,
                  result == EAI_SYSTEM ? strerror(errno) : gai_strerror(result));
        return 0;
    }
    for (const struct addrinfo *a = list; a && count < max; a = a->ai_next) {
        char text[NI_MAXHOST];
        if (getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST) != 0)
            continue;
        size_t seen = 0;
        while (seen < count && strcmp(out[seen].address, text) != 0)
            seen++;
        if (seen < count)
            continue;
        out[count] = (struct uri){0};
        uri_copy(&out[count], u);
        free(out[count].address);
        out[count++].address = x_strdup(text);
    }
    freeaddrinfo(list);
    for (size_t i = 0; i < count; i++)
        out[i].address_shown = count > 1;
    if (!count)
        error_set(error, ERROR_RETRY, "looking up %s: the name has no address; check the host name", u->host);
    return count;
}

void uri_free(struct uri *u)
{
    if (u->password)
        explicit_bzero(u->password, strlen(u->password));
    free(u->host);
    free(u->address);
    free(u->user);
    free(u->password);
    memset(u, 0, sizeof *u);
}

void uri_copy(struct uri *to, const struct uri *from)
{
    struct uri u = *from;
    u.host = from->host ? x_strdup(from->host) : NULL;
    u.address = from->address ? x_strdup(from->address) : NULL;
    u.user = from->user ? x_strdup(from->user) : NULL;
    u.password = from->password ? x_strdup(from->password) : NULL;
    uri_free(to);
    *to = u;
}

void uri_display(const struct uri *u, char *out, size_t out_bytes)
{
    if (u->null_sink) {
        snprintf(out, out_bytes, "null:");
    } else if (!u->host) {
        snprintf(out, out_bytes, "(none)");
    } else if (u->unix_socket) {
        snprintf(out, out_bytes, "unix://%s", u->host);
    } else {
        bool v6 = strchr(u->host, ':') != NULL;
        int n = snprintf(out, out_bytes, "%s://%s%s%s:%u", u->tls ? "rediss" : "redis", v6 ? "[" : "",
                         u->host, v6 ? "]" : "", u->port);
        if (u->db && n > 0 && (size_t)n < out_bytes)
            n += snprintf(out + n, out_bytes - (size_t)n, "/%u", u->db);
        if (u->address_shown && n > 0 && (size_t)n < out_bytes)
            snprintf(out + n, out_bytes - (size_t)n, " (%s)", u->address);
    }
}
