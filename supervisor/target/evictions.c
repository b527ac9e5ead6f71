/* The file has a line for each process: its run_id and evicted_keys. It is replaced as a whole. */
#include "supervisor/target/evictions.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

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

static void add_process(struct evictions *e, const char *run_id, uint64_t evicted)
{
    if (e->count == EVICTIONS_PROCESSES)
        memmove(e->list, e->list + 1, --e->count * sizeof *e->list);
    e->list = x_realloc(e->list, (e->count + 1) * sizeof *e->list);
    struct evictions_process *p = &e->list[e->count++];
    *p = (struct evictions_process){.evicted = evicted};
    snprintf(p->run_id, sizeof p->run_id, "%s", run_id);
}

uint64_t evictions_note(struct evictions *e, const char *run_id, uint64_t evicted, bool started_here)
{
    struct evictions_process *p = find_process(e, run_id);
    if (!p) {
        add_process(e, run_id, evicted);
        return started_here ? evicted : 0;
    }
    /* CONFIG RESETSTAT sets the counter to 0. */
    uint64_t grown = evicted >= p->evicted ? evicted - p->evicted : evicted;
    p->evicted = evicted;
    return grown;
}

bool evictions_save(const struct evictions *e, const char *path)
{
    struct buf temporary = {0};
    buf_printf(&temporary, "%s.new", path);
    buf_put_u8(&temporary, '\0');
    FILE *f = fopen((const char *)temporary.data, "we");
    bool ok = f != NULL;
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
        add_process(e, run_id, evicted);
    fclose(f);
    return true;
}
