/* Byte counts in the largest binary unit that is not above the count. */
#include "common/base/size_text.h"

#include <stdio.h>

const char *size_text(uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    static char ring[8][32];
    static unsigned next;
    char *out = ring[next++ % 8];
    double v = (double)bytes;
    unsigned unit = 0;
    while (v >= 1024 && unit + 1 < sizeof units / sizeof *units) {
        v /= 1024;
        unit++;
    }
    snprintf(out, sizeof ring[0], unit ? "%.1f %s" : "%.0f %s", v, units[unit]);
    return out;
}
