/* Glob patterns as Redis's stringmatchlen() has them, malformed ones included, but without its recursion:
 * every element but * matches exactly one byte, so backtracking to the last * is enough, and the time is
 * bounded by pattern × text. */
#include "common/base/glob.h"

/* Whether the class that begins after the [ at *at matches c. Moves *at past it. An unclosed class ends with
 * the pattern. */
static bool class_takes(struct slice pattern, size_t *at, uint8_t c)
{
    const uint8_t *p = pattern.data;
    size_t i = *at;
    bool negated = i < pattern.len && p[i] == '^';
    bool found = false;
    i += negated;
    for (; i < pattern.len && p[i] != ']'; i++) {
        size_t left = pattern.len - i;
        if (p[i] == '\\' && left >= 2) {
            i++;
            found |= p[i] == c;
        } else if (left >= 3 && p[i + 1] == '-') {
            uint8_t low = p[i], high = p[i + 2];
            found |= low <= high ? c >= low && c <= high : c >= high && c <= low;
            i += 2;
        } else {
            found |= p[i] == c;
        }
    }
    *at = i < pattern.len ? i + 1 : i;
    return found != negated;
}

/* Whether the element at *at, which is not a *, matches c. Moves *at past it. */
static bool element_takes(struct slice pattern, size_t *at, uint8_t c)
{
    uint8_t p = pattern.data[(*at)++];
    if (p == '?')
        return true;
    if (p == '[')
        return class_takes(pattern, at, c);
    if (p == '\\' && *at < pattern.len)
        p = pattern.data[(*at)++];
    return p == c;
}

bool glob_match(struct slice pattern, struct slice text)
{
    size_t at = 0, i = 0, star = SIZE_MAX, star_text = 0;
    while (i < text.len) {
        if (at < pattern.len && pattern.data[at] == '*') {
            star = ++at;
            star_text = i;
            continue;
        }
        if (at < pattern.len && element_takes(pattern, &at, text.data[i])) {
            i++;
            continue;
        }
        if (star == SIZE_MAX)
            return false;
        at = star;
        i = ++star_text;
    }
    while (at < pattern.len && pattern.data[at] == '*')
        at++;
    return at == pattern.len;
}

/* The first member of the class that begins after the [ at *at. Moves *at past it. */
static uint8_t class_member(struct slice pattern, size_t *at)
{
    size_t i = *at;
    bool negated = i < pattern.len && pattern.data[i] == '^';
    i += !negated && i + 1 < pattern.len && pattern.data[i] == '\\';
    uint8_t member = negated || i >= pattern.len ? '_' : pattern.data[i];
    class_takes(pattern, at, member);
    return member;
}

size_t glob_example(struct slice pattern, char *out, size_t out_bytes)
{
    static const char any[] = "df2redis-probe";
    size_t len = 0;
    for (size_t at = 0; at < pattern.len;) {
        uint8_t p = pattern.data[at++], c = p;
        size_t more = p == '*' ? sizeof any - 1 : 1;
        if (len + more > out_bytes)
            return 0;
        if (p == '[')
            c = class_member(pattern, &at);
        else if (p == '\\' && at < pattern.len)
            c = pattern.data[at++];
        if (p == '*')
            memcpy(out + len, any, more);
        else
            out[len] = (char)c;
        len += more;
    }
    return len;
}
