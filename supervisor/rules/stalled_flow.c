#include "supervisor/rules/stalled_flow.h"

static uint64_t idle_ms(uint64_t received_ms, uint64_t now_ms)
{
    return now_ms > received_ms ? now_ms - received_ms : 0;
}

bool health_stands_still(const uint64_t *received_ms, size_t count, size_t flow, uint64_t now_ms,
                         uint64_t idle_limit_ms)
{
    if (!received_ms[flow] || idle_ms(received_ms[flow], now_ms) < idle_limit_ms)
        return false;
    for (size_t i = 0; i < count; i++)
        if (i != flow && received_ms[i] && idle_ms(received_ms[i], now_ms) < idle_limit_ms / 2)
            return true;
    return false;
}
