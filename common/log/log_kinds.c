/* A table of the kinds seen so far. It has room for more kinds than the program has log calls; a kind that does not fit
 * is not limited. */
#include "common/log/log_kinds.h"

#include <stdio.h>
#include <string.h>

enum { KINDS = 256, EXAMPLE_BYTES = 256 };

struct kind {
    const char *format;
    enum log_level level;
    uint64_t since_ms;
    uint64_t told, more;
    char last[EXAMPLE_BYTES];
};

static struct kind kinds[KINDS];
static size_t kind_count;

static struct kind *find_kind(const char *format)
{
    for (size_t i = 0; i < kind_count; i++)
        if (kinds[i].format == format)
            return &kinds[i];
    if (kind_count == KINDS)
        return NULL;
    kinds[kind_count] = (struct kind){.format = format};
    return &kinds[kind_count++];
}

bool log_kinds_take(enum log_level level, const char *format, const char *text, uint64_t now_ms)
{
    struct kind *k = level == LOG_LEVEL_DEBUG ? NULL : find_kind(format);
    if (!k)
        return true;
    if (!k->more && (!k->told || now_ms - k->since_ms >= LOG_KIND_WINDOW_MS)) {
        k->since_ms = now_ms;
        k->told = 0;
    }
    k->level = level;
    if (k->told < (level == LOG_LEVEL_INFO ? LOG_KIND_INFOS : LOG_KIND_WARNINGS)) {
        k->told++;
        return true;
    }
    k->more++;
    snprintf(k->last, sizeof k->last, "%s", text);
    return false;
}

void log_kinds_tell(uint64_t now_ms, bool all, void (*tell)(enum log_level level, const char *text))
{
    char text[EXAMPLE_BYTES + 80];
    for (size_t i = 0; i < kind_count; i++) {
        struct kind *k = &kinds[i];
        uint64_t passed_ms = now_ms - k->since_ms;
        if (!k->more || (!all && passed_ms < LOG_KIND_WINDOW_MS))
            continue;
        snprintf(text, sizeof text, "%llu more of this kind within %llu s, the last: %s",
                 (unsigned long long)k->more, (unsigned long long)(passed_ms + 999) / 1000, k->last);
        k->more = k->told = 0;
        tell(k->level, text);
    }
}

void log_kinds_reset(void)
{
    kind_count = 0;
}
