/* Escapes. */
#include "common/base/printable.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Length in bytes of the printable UTF-8 character at p; 0: not printable. */
static size_t character_bytes(const uint8_t *p)
{
    if (*p < 0x80)
        return *p == '\n' || *p == '\t' || (*p >= 0x20 && *p != 0x7f);
    size_t n = *p >= 0xf0 && *p <= 0xf4 ? 4 : *p >= 0xe0 && *p < 0xf0 ? 3 : *p >= 0xc2 && *p < 0xe0 ? 2 : 0;
    uint32_t value = n == 4 ? *p & 7u : n == 3 ? *p & 15u : *p & 31u;
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        value = value << 6 | (p[i] & 0x3fu);
    }
    bool control = value < 0xa0; /* 0x80 … 0x9f */
    bool overlong = (n == 3 && value < 0x800) || (n == 4 && value < 0x10000);
    bool surrogate = value >= 0xd800 && value <= 0xdfff;
    return control || overlong || surrogate || value > 0x10ffff ? 0 : n;
}

void printable(char *text, size_t size)
{
    char out[4096];
    const uint8_t *p = (const uint8_t *)text;
    size_t at = 0, most = size < sizeof out ? size : sizeof out;
    while (*p && character_bytes(p))
        p += character_bytes(p);
    if (!*p)
        return;
    for (p = (const uint8_t *)text; *p;) {
        size_t n = character_bytes(p);
        if (at + (n ? n : 4) >= most)
            break;
        if (n)
            memcpy(out + at, p, n);
        else
            snprintf(out + at, 5, "\\x%02x", *p);
        at += n ? n : 4;
        p += n ? n : 1;
    }
    memcpy(text, out, at);
    text[at] = '\0';
}
