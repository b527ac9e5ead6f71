/* The file has the line "since MILLISECONDS", and one for each process: its run_id and evicted_keys. It is replaced as a
 * whole. */
#include "supervisor/target/evictions.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

#define SINCE "since"
enum {
    FULL_PERCENT = 90,                       /* of its maxmemory */
    WRITTEN_BYTES_PER_MS = (1 << 30) / 1000, /* at most */
};

void evictions_free(struct evictions *e)
{
    free(e->list);
    *e = (struct evictions){0};
}

static struct evictions_process *find_process(const struct evictions *e, const char *run_id)
{
    for (size_t i = 0; i < e->count; i++)
        if (strcmp(e->list[i].run_id, run_id) == 0)
            return &e->list[i];
    return NULL;
}

static struct evictions_process *add_process(struct evictions *e, const char *run_id, uint64_t evicted)
{
    if (e->count == EVICTIONS_PROCESSES)
        memmove(e->list, e->list + 1, --e->count * sizeof *e->list);
    e->list = x_realloc(e->list, (e->count + 1) * sizeof *e->list);
    struct evictions_process *p = &e->list[e->count++];
    *p = (struct evictions_process){.evicted = evicted};
    snprintf(p->run_id, sizeof p->run_id, "%s", run_id);
    return p;
}

void evictions_before(struct evictions *e, const char *run_id, uint64_t evicted)
{
    if (run_id[0] && !find_process(e, run_id))
        add_process(e, run_id, evicted);
}

/* CONFIG RESETSTAT sets both counters to 0. (That of the commands tells it, however much was evicted since.) */
uint64_t evictions_note(struct evictions *e, const char *run_id, uint64_t evicted, uint64_t commands,
                        bool all)
{
    struct evictions_process *p = find_process(e, run_id);
    uint64_t grown = all ? evicted : 0;
    if (!p)
        p = add_process(e, run_id, evicted);
    else if (evicted < p->evicted || commands < p->commands)
        grown = evicted;
    else
        grown = evicted - p->evicted;
    p->evicted = evicted;
    p->commands = commands;
    return grown;
}

/* The target's seconds are whole ones, at both ends. */
bool evictions_started_since(const struct evictions *e, uint64_t up_s, int64_t now_ms)
{
    int64_t since_ms = now_ms > e->since_ms ? now_ms - e->since_ms : 0; /* the clock may have been set back */
    return e->since_ms && up_s * 1000 <= (uint64_t)since_ms + 1000;
}

/* volatile-* spares keys without a time to live, and often there are no others. */
bool evictions_may_be_unseen(const struct evictions_end *end)
{
    bool may_evict = strncmp(end->policy, "allkeys-", 8) == 0 ||
                     (end->evicted && strncmp(end->policy, "volatile-", 9) == 0);
    return may_evict && evictions_is_full(end->used_bytes, end->max_bytes) &&
           end->used_bytes + end->unseen_ms * WRITTEN_BYTES_PER_MS >= end->max_bytes;
}

bool evictions_is_full(uint64_t used_bytes, uint64_t max_bytes)
{
    return max_bytes && used_bytes >= max_bytes / 100 * FULL_PERCENT;
}

bool evictions_save(const struct evictions *e, const char *path)
{
    struct buf temporary = {0};
    buf_printf(&temporary, "%s.new", path);
    buf_put_u8(&temporary, '\0');
    FILE *f = fopen((const char *)temporary.data, "we");
    bool ok = f && fprintf(f, SINCE " %llu\n", (unsigned long long)e->since_ms) > 0;
    for (size_t i = 0; ok && i < e->count; i++)
        ok = fprintf(f, "%s %llu\n", e->list[i].run_id, (unsigned long long)e->list[i].evicted) > 0;
    if (f)
        ok = fclose(f) == 0 && ok;
    ok = ok && rename((const char *)temporary.data, path) == 0;
    buf_free(&temporary);
    return ok;
}

bool evictions_load(struct evictions *e, const char *path)
{
    char run_id[41];
    unsigned long long evicted;
    FILE *f = fopen(path, "re");
    evictions_free(e);
    if (!f)
        return false;
    while (fscanf(f, "%40s %llu", run_id, &evicted) == 2)
        if (strcmp(run_id, SINCE) == 0)
            e->since_ms = (int64_t)evicted;
        else
            add_process(e, run_id, evicted);
    fclose(f);
    return true;
}
