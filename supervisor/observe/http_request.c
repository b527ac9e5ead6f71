/* Lines end with \r\n or \n, and the head with an empty line. Bodies are not supported. */
#include "supervisor/observe/http_request.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "common/base/glob.h"

static bool is_word(struct slice s, const char *word)
{
    return s.len == strlen(word) && strncasecmp((const char *)s.data, word, s.len) == 0;
}

static struct slice trim_blanks(struct slice s)
{
    while (s.len && (s.data[0] == ' ' || s.data[0] == '\t'))
        s = slice_of(s.data + 1, s.len - 1);
    while (s.len && (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\t' || s.data[s.len - 1] == '\r'))
        s.len--;
    return s;
}

/* Takes the text up to the separator, and the separator, off *rest. Without a separator: all of it. */
static struct slice take_until(struct slice *rest, char separator)
{
    const uint8_t *end = rest->len ? memchr(rest->data, separator, rest->len) : NULL;
    struct slice part = slice_of(rest->data, end ? (size_t)(end - rest->data) : rest->len);
    *rest = slice_of(rest->data + part.len + (end != NULL), rest->len - part.len - (end != NULL));
    return part;
}

static struct slice without_port(struct slice host)
{
    if (host.len && host.data[0] == '[') {
        host = slice_of(host.data + 1, host.len - 1);
        return take_until(&host, ']');
    }
    return take_until(&host, ':');
}

/* Returns the length of the head with its empty line; 0: incomplete. */
static size_t head_bytes(struct slice text)
{
    for (size_t i = 0; i + 1 < text.len; i++) {
        if (text.data[i] != '\n')
            continue;
        if (text.data[i + 1] == '\n')
            return i + 2;
        if (i + 2 < text.len && text.data[i + 1] == '\r' && text.data[i + 2] == '\n')
            return i + 3;
    }
    return 0;
}

/* "GET /path?query HTTP/1.1", or with "http://host/path". */
static int parse_line(struct slice line, struct http_request *out, bool *needs_host)
{
    static const char scheme[] = "http://";
    struct slice method = take_until(&line, ' '), target = take_until(&line, ' '), version = line;
    bool get = method.len == 3 && memcmp(method.data, "GET", 3) == 0;
    bool head = method.len == 4 && memcmp(method.data, "HEAD", 4) == 0;
    if (version.len != 8 || memcmp(version.data, "HTTP/1.", 7) != 0)
        return 400;
    if (!get && !head)
        return 405;
    *needs_host = version.data[7] != '0';
    if (target.len >= sizeof scheme - 1 &&
        strncasecmp((const char *)target.data, scheme, sizeof scheme - 1) == 0) {
        struct slice rest = slice_of(target.data + sizeof scheme - 1, target.len - (sizeof scheme - 1));
        struct slice authority = take_until(&rest, '/');
        out->host = without_port(authority);
        *needs_host = false;
        target = slice_of(authority.data + authority.len, target.len - (sizeof scheme - 1) - authority.len);
    }
    if (!target.len || target.data[0] != '/')
        return 400;
    out->head_only = head;
    out->path = take_until(&target, '?');
    return 200;
}

int http_request_parse(struct slice text, struct http_request *out)
{
    bool needs_host = false;
    size_t hosts = 0, bytes = head_bytes(text);
    *out = (struct http_request){0};
    if (!bytes)
        return text.len >= HTTP_REQUEST_BYTES ? 431 : 0;
    struct slice rest = slice_of(text.data, bytes);
    int code = parse_line(trim_blanks(take_until(&rest, '\n')), out, &needs_host);
    if (code != 200)
        return code;
    bool named = out->host.len > 0; /* an absolute target's host wins */
    while (rest.len) {
        struct slice line = take_until(&rest, '\n'), name = take_until(&line, ':');
        if (!is_word(name, "Host"))
            continue;
        if (hosts++)
            return 400;
        if (!named)
            out->host = without_port(trim_blanks(line));
    }
    return needs_host && !hosts ? 400 : 200;
}

static bool is_address(struct slice host)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;
    if (host.len >= sizeof text)
        return false;
    memcpy(text, host.data, host.len);
    text[host.len] = '\0';
    return inet_pton(AF_INET, text, &address) == 1 || inet_pton(AF_INET6, text, &address) == 1;
}

static bool is_this_machine(struct slice host)
{
    char name[256];
    if (gethostname(name, sizeof name) != 0)
        return false;
    name[sizeof name - 1] = '\0';
    if (is_word(host, name))
        return true;
    name[strcspn(name, ".")] = '\0';
    return is_word(host, name);
}

static bool host_matches(struct slice host, char *const *names)
{
    uint8_t lower[256];
    if (host.len > sizeof lower)
        return false;
    for (size_t i = 0; i < host.len; i++)
        lower[i] = host.data[i] >= 'A' && host.data[i] <= 'Z' ? (uint8_t)(host.data[i] | 0x20) : host.data[i];
    for (; names && *names; names++)
        if (glob_match(slice_str(*names), slice_of(lower, host.len)))
            return true;
    return false;
}

bool http_host_is_ours(struct slice host, char *const *names)
{
    return !host.len || is_word(host, "localhost") || is_address(host) || is_this_machine(host) ||
           host_matches(host, names);
}
