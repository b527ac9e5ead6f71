/* Names are compared by their hashes: a collision costs a comparison of the key. The names of open objects are in one
 * array, those of the innermost at its end. */
#include "worker/translate/json_scan.h"

enum { DEPTH_MAX = 64, NAMES_MAX = 512, DIGITS_MAX = 15 };

struct scan {
    const uint8_t *at, *end;
    uint64_t names[NAMES_MAX];
    size_t name_count;
    struct {
        size_t first_name;
        bool object;
    } open[DEPTH_MAX];
    size_t depth;
    bool expects_name; /* the next string is a name */
    bool ambiguous;
};

static uint64_t read_string(struct scan *s)
{
    uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */
    for (s->at++; s->at < s->end && *s->at != '"'; s->at++) {
        if (*s->at == '\\') {
            s->ambiguous |=
                s->at + 1 < s->end && s->at[1] == 'u' && s->expects_name; /* another spelling of a name */
            hash = (hash ^ *s->at++) * UINT64_C(1099511628211);
            if (s->at == s->end)
                return hash;
        }
        hash = (hash ^ *s->at) * UINT64_C(1099511628211);
    }
    if (s->at < s->end)
        s->at++;
    return hash;
}

static void note_name(struct scan *s, uint64_t hash)
{
    for (size_t i = s->open[s->depth - 1].first_name; i < s->name_count; i++)
        s->ambiguous |= s->names[i] == hash;
    if (s->name_count == NAMES_MAX)
        s->ambiguous = true;
    else
        s->names[s->name_count++] = hash;
    s->expects_name = false;
}

static void read_number(struct scan *s)
{
    size_t digits = 0;
    for (; s->at < s->end && ((*s->at >= '0' && *s->at <= '9') || memchr("+-.eE", *s->at, 5)); s->at++) {
        digits += *s->at >= '0' && *s->at <= '9';
        s->ambiguous |= (*s->at | 0x20) == 'e';
    }
    s->ambiguous |= digits > DIGITS_MAX;
}

static void open_one(struct scan *s, bool object)
{
    if (s->depth == DEPTH_MAX) {
        s->ambiguous = true;
        return;
    }
    s->open[s->depth].first_name = s->name_count;
    s->open[s->depth++].object = object;
    s->expects_name = object;
}

static void close_one(struct scan *s)
{
    if (s->depth)
        s->name_count = s->open[--s->depth].first_name;
    s->expects_name = false;
}

bool json_is_ambiguous(struct slice text)
{
    struct scan s = {.at = text.data, .end = text.data + text.len};
    while (s.at < s.end && !s.ambiguous) {
        uint8_t c = *s.at;
        if (c == '"') {
            bool name = s.expects_name;
            uint64_t hash = read_string(&s);
            if (name)
                note_name(&s, hash);
            continue;
        }
        if (c == '-' || (c >= '0' && c <= '9')) {
            read_number(&s);
            continue;
        }
        if (c == '{' || c == '[')
            open_one(&s, c == '{');
        else if (c == '}' || c == ']')
            close_one(&s);
        else if (c == ',')
            s.expects_name = s.depth && s.open[s.depth - 1].object;
        s.at++;
    }
    return s.ambiguous;
}
