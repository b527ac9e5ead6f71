/* Sets of FLOWs, and the barriers built of them. */
#include "supervisor/run/barrier.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/log/invariant.h"

void flow_set_init(struct flow_set *set, uint32_t flow_count)
{
    set->flow_count = flow_count;
    set->count = 0;
    set->member = x_calloc(flow_count ? flow_count : 1, sizeof *set->member);
}

void flow_set_free(struct flow_set *set)
{
    free(set->member);
    *set = (struct flow_set){0};
}

void flow_set_clear(struct flow_set *set)
{
    for (uint32_t i = 0; i < set->flow_count; i++)
        set->member[i] = false;
    set->count = 0;
}

bool flow_set_add(struct flow_set *set, uint32_t flow)
{
    if (flow >= set->flow_count || set->member[flow])
        return false;
    set->member[flow] = true;
    set->count++;
    return true;
}

bool flow_set_remove(struct flow_set *set, uint32_t flow)
{
    if (flow >= set->flow_count || !set->member[flow])
        return false;
    set->member[flow] = false;
    set->count--;
    return true;
}

bool flow_set_full(const struct flow_set *set)
{
    return set->count == set->flow_count;
}

static void global_release(struct global *one)
{
    flow_set_free(&one->arrived);
    free(one->flows);
}

/* Drops the oldest done commands beyond GLOBALS_KEPT. */
static void globals_trim(struct globals *g)
{
    size_t done = 0;
    for (size_t i = 0; i < g->count; i++)
        done += g->list[i].phase == GLOBAL_DONE;
    for (size_t i = 0; i < g->count && done > GLOBALS_KEPT;) {
        if (g->list[i].phase != GLOBAL_DONE) {
            i++;
            continue;
        }
        global_release(&g->list[i]);
        memmove(&g->list[i], &g->list[i + 1], (g->count - i - 1) * sizeof *g->list);
        g->count--;
        done--;
    }
}

static struct global *global_find(struct globals *g, uint64_t txid)
{
    for (size_t i = 0; i < g->count; i++)
        if (g->list[i].txid == txid)
            return &g->list[i];
    return NULL;
}

static struct global *global_add(struct globals *g, uint64_t txid, const char *command, uint64_t now_ms)
{
    globals_trim(g);
    if (g->count == g->capacity) {
        g->capacity = g->capacity ? g->capacity * 2 : 16;
        g->list = x_realloc(g->list, g->capacity * sizeof *g->list);
    }
    struct global *one = &g->list[g->count++];
    *one = (struct global){.txid = txid, .phase = GLOBAL_GATHERING, .since_ms = now_ms};
    snprintf(one->command, sizeof one->command, "%s", command);
    flow_set_init(&one->arrived, g->flow_count);
    one->flows = x_calloc(g->flow_count ? g->flow_count : 1, sizeof *one->flows);
    return one;
}

static bool all_arrived(const struct globals *g, const struct global *one)
{
    return one->arrived.count && one->arrived.count + g->given_up.count >= g->flow_count;
}

/* Returns true if all FLOWs but failed ones have arrived: the lowest runs the command. */
static bool global_ready(struct globals *g, struct global *one)
{
    if (one->phase != GLOBAL_GATHERING || !all_arrived(g, one))
        return false;
    one->phase = GLOBAL_RUNNING;
    one->confirmed = false;
    for (uint32_t i = 0; i < g->flow_count; i++)
        if (one->arrived.member[i]) {
            one->runner = i;
            break;
        }
    return true;
}

void globals_init(struct globals *g, uint32_t flow_count)
{
    *g = (struct globals){.flow_count = flow_count};
    flow_set_init(&g->given_up, flow_count);
}

void globals_free(struct globals *g)
{
    for (size_t i = 0; i < g->count; i++)
        global_release(&g->list[i]);
    free(g->list);
    flow_set_free(&g->given_up);
    *g = (struct globals){0};
}

enum global_answer globals_arrive(struct globals *g, uint32_t flow, uint64_t txid, const char *command,
                                  uint64_t arrival, uint64_t now_ms)
{
    struct global *one = global_find(g, txid);
    if (!one)
        one = global_add(g, txid, command, now_ms);
    if (flow < g->flow_count)
        one->flows[flow].arrival = arrival;
    if (one->phase == GLOBAL_DONE) {
        if (flow < g->flow_count)
            one->flows[flow].late = true;
        return GLOBAL_PASS;
    }
    flow_set_add(&one->arrived, flow);
    /* The runner lost its target after RUN_GLOBAL, and has arrived again: others may have died meanwhile. */
    if (one->phase == GLOBAL_RUNNING && one->runner == flow)
        one->phase = GLOBAL_GATHERING;
    return global_ready(g, one) ? GLOBAL_ASK : GLOBAL_HOLD;
}

const struct global *globals_confirm(struct globals *g, uint64_t now_ms)
{
    for (size_t i = 0; i < g->count; i++) {
        struct global *one = &g->list[i];
        if (one->phase != GLOBAL_RUNNING || one->confirmed)
            continue;
        INVARIANT(2.2, all_arrived(g, one));
        one->confirmed = true;
        one->runs++;
        one->run_ms = one->run_ms ? one->run_ms : now_ms;
        return one;
    }
    return NULL;
}

const struct global *globals_done(struct globals *g, uint32_t flow, uint64_t txid, uint64_t now_ms)
{
    struct global *one = global_find(g, txid);
    if (!one)
        one = global_add(g, txid, "", now_ms);
    if (one->phase == GLOBAL_DONE)
        return NULL;
    /* A runner that is held has run it itself; any other FLOW has read the note, perhaps of an earlier run. */
    bool by_runner = one->phase == GLOBAL_RUNNING && one->confirmed && one->runner == flow;
    one->done_since = by_runner ? one->runs : one->runs > 0;
    one->phase = GLOBAL_DONE;
    one->runner = flow;
    return one;
}

uint64_t globals_arrival(struct globals *g, uint64_t txid, uint32_t flow)
{
    const struct global *one = global_find(g, txid);
    return one && flow < g->flow_count ? one->flows[flow].arrival : 0;
}

bool globals_unheld(struct globals *g, uint64_t txid, uint32_t flow)
{
    const struct global *one = global_find(g, txid);
    if (!one || one->phase != GLOBAL_DONE || flow >= g->flow_count)
        return false;
    const struct global_flow *f = &one->flows[flow];
    return f->late || (one->done_since && f->left_run >= one->done_since);
}

uint64_t globals_age_ms(struct globals *g, uint64_t txid, uint64_t now_ms)
{
    const struct global *one = global_find(g, txid);
    return one && one->run_ms ? now_ms - one->run_ms + 1 : 0;
}

void globals_forget(struct globals *g, uint32_t flow)
{
    for (size_t i = 0; i < g->count; i++) {
        struct global *one = &g->list[i];
        if (one->phase == GLOBAL_DONE)
            continue;
        /* The other FLOWs are still held, so a second run changes nothing. One that was not begun waits again. */
        if (one->phase == GLOBAL_RUNNING && (one->runner == flow || !one->confirmed))
            one->phase = GLOBAL_GATHERING;
        flow_set_remove(&one->arrived, flow);
        if (flow < g->flow_count)
            one->flows[flow].left_run = one->runs;
    }
}

void globals_give_up(struct globals *g, uint32_t flow)
{
    globals_forget(g, flow);
    flow_set_add(&g->given_up, flow);
}

const struct global *globals_next_ready(struct globals *g)
{
    for (size_t i = 0; i < g->count; i++)
        if (global_ready(g, &g->list[i]))
            return &g->list[i];
    return NULL;
}

bool globals_holds(const struct globals *g, uint32_t flow)
{
    for (size_t i = 0; i < g->count; i++) {
        const struct global *one = &g->list[i];
        bool waits = one->phase == GLOBAL_GATHERING || (one->phase == GLOBAL_RUNNING && !one->confirmed);
        if (waits && flow < g->flow_count && one->arrived.member[flow])
            return true;
    }
    return false;
}
