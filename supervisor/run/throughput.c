#include "supervisor/run/throughput.h"

#include <stdbool.h>

enum { SECOND_MS = 1000 };

void throughput_note(struct throughput *t, uint64_t now_ms, uint64_t applied_bytes)
{
    if (t->noted_ms && now_ms < t->due_ms)
        return;
    if (t->noted_ms && now_ms > t->noted_ms) {
        uint64_t more = applied_bytes > t->noted_bytes ? applied_bytes - t->noted_bytes : 0;
        t->rates[t->next] = more * SECOND_MS / (now_ms - t->noted_ms);
        t->next = (t->next + 1) % THROUGHPUT_SECONDS;
        if (t->count < THROUGHPUT_SECONDS)
            t->count++;
    }
    /* A timer that comes a little late each time must not make two minutes longer; one that stood still
     * leaves a gap. */
    bool late = !t->noted_ms || now_ms - t->due_ms >= SECOND_MS;
    t->due_ms = (late ? now_ms : t->due_ms) + SECOND_MS;
    t->noted_ms = now_ms;
    t->noted_bytes = applied_bytes;
}

cJSON *throughput_list(const struct throughput *t)
{
    cJSON *list = cJSON_CreateArray();
    for (size_t i = 0; i < t->count; i++) {
        size_t at = (t->next + THROUGHPUT_SECONDS - t->count + i) % THROUGHPUT_SECONDS;
        cJSON_AddItemToArray(list, cJSON_CreateNumber((double)t->rates[at]));
    }
    return list;
}
