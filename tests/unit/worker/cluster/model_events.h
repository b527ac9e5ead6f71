/* What may happen in the small cluster: each event with its parameters, as a list, in words. After model_facts.h. */
#ifndef DF2REDIS_TESTS_UNIT_WORKER_CLUSTER_MODEL_EVENTS_H
#define DF2REDIS_TESTS_UNIT_WORKER_CLUSTER_MODEL_EVENTS_H

#include "tests/unit/worker/cluster/model_changes.h"
#include "tests/unit/worker/cluster/model_facts.h"

enum kind {
    WRITE,
    MARK,
    JUDGE,
    WORKER_DIES,
    OPEN,
    MOVE_ON,
    MOVE,
    ABORT,
    RESTART,
    PROMOTE,
    DIE,
    HANG,
    WAKE,
    SAVE,
    SEIZE,
    JOIN,
    FORGET,
    BEGIN_FLUSH,
    PASS_FLUSH
};

struct event {
    uint8_t kind, a, b, c;
};

struct space {
    struct event event[128];
    size_t count;
    unsigned flows;
    enum row row; /* disabled in every judgement */
};

static void add_event(struct space *x, enum kind kind, unsigned a, unsigned b, unsigned c)
{
    x->event[x->count++] = (struct event){(uint8_t)kind, (uint8_t)a, (uint8_t)b, (uint8_t)c};
}

static void list_events(struct space *x)
{
    for (unsigned f = 0; f < x->flows; f++) {
        for (unsigned s = 0; s < SLOTS; s++)
            for (unsigned c = 0; c < 6; c++)
                add_event(x, WRITE, f, s, c);
        add_event(x, MARK, f, 0, 0);
        add_event(x, JUDGE, f, 0, 0);
        add_event(x, WORKER_DIES, f, false, 0);
        add_event(x, WORKER_DIES, f, true, 0);
    }
    for (unsigned s = 0; s < SLOTS; s++) {
        for (unsigned n = 0; n < NODES; n++) {
            for (unsigned what = 0; what <= HASH; what++)
                add_event(x, OPEN, s, n, what);
            add_event(x, MOVE, s, n, 0);
            add_event(x, SEIZE, s, n, 0);
        }
        add_event(x, MOVE_ON, s, KEYS, 0);
        add_event(x, MOVE_ON, s, HASH, 0);
        add_event(x, ABORT, s, 0, 0);
    }
    for (unsigned n = 0; n < NODES; n++) {
        for (unsigned data = NOW; data <= NOTHING; data++)
            add_event(x, RESTART, n, data, 0);
        add_event(x, PROMOTE, n, NOW, 0);
        add_event(x, PROMOTE, n, OLDER, 0);
        add_event(x, DIE, n, 0, 0);
        add_event(x, HANG, n, 0, 0);
        add_event(x, WAKE, n, 0, 0);
        add_event(x, SAVE, n, 0, 0);
        add_event(x, BEGIN_FLUSH, n, false, 0);
        add_event(x, BEGIN_FLUSH, n, true, 0);
    }
    add_event(x, JOIN, C, 0, 0);
    add_event(x, FORGET, C, 0, 0);
    add_event(x, FORGET, A, 0, 0);
    add_event(x, BEGIN_FLUSH, NODES, true, 0);
    add_event(x, PASS_FLUSH, 0, 0, 0);
}

/* False: it cannot happen. */
static bool happens(const struct space *x, struct model *m, struct event e)
{
    switch ((enum kind)e.kind) {
    case WRITE:
        return write_entry(m, e.a, e.b, e.c & 1, (enum answer)(e.c / 2));
    case MARK:
        return mark(m, e.a);
    case JUDGE:
        return can_judge(m);
    case WORKER_DIES:
        return worker_dies(m, e.a, e.b);
    case OPEN:
        return open_slot(m, e.a, e.b, e.c);
    case MOVE_ON:
        return move_on(m, e.a, (enum has)e.b);
    case MOVE:
        return move_slot(m, e.a, e.b);
    case ABORT:
        return abort_move(m, e.a);
    case RESTART:
        return restart(m, e.a, (enum data)e.b);
    case PROMOTE:
        return promote(m, e.a, (enum data)e.b);
    case DIE:
        return die(m, e.a);
    case HANG:
        return hang(m, e.a);
    case WAKE:
        return wake(m, e.a);
    case SAVE:
        return save(m, e.a);
    case SEIZE:
        return seize(m, e.a, e.b);
    case JOIN:
        return set_member(m, e.a, true);
    case FORGET:
        return set_member(m, e.a, false);
    case BEGIN_FLUSH:
        return begin_flush(m, e.a, e.b);
    case PASS_FLUSH:
        return pass_flush(m, x->row != ROW_FLUSH_REPLACES);
    }
    return false;
}

static void print_event(struct event e)
{
    static const char *const names[] = {"write",   "mark",   "judge",        "worker dies", "open",
                                        "move on", "move",   "abort",        "restart",     "promote",
                                        "dies",    "hangs",  "wakes",        "copied",      "seize",
                                        "join",    "forget", "flush begins", "flush passed"};
    static const char *const data[] = {"present data", "older data", "no data"};
    static const char *const kinds[] = {"nothing", "keys", "marks"};
    static const char *const answers[] = {"", ", answer lost", ", never ran"};
    printf("%s", names[e.kind]);
    if (e.kind == WRITE)
        printf(" flow %d slot %d%s%s", e.a, e.b, e.c & 1 ? " once" : "", answers[e.c / 2]);
    else if (e.kind == MARK || e.kind == JUDGE || e.kind == WORKER_DIES)
        printf(" flow %d%s", e.a, e.b ? ", late" : "");
    else if (e.kind == OPEN)
        printf(" slot %d to %c, with %s", e.a, 'A' + e.b, kinds[e.c]);
    else if (e.kind == MOVE || e.kind == SEIZE)
        printf(" slot %d to %c", e.a, 'A' + e.b);
    else if (e.kind == MOVE_ON)
        printf(" slot %d: %s", e.a, kinds[e.b]);
    else if (e.kind == ABORT)
        printf(" slot %d", e.a);
    else if (e.kind == RESTART || e.kind == PROMOTE)
        printf(" %c with %s", 'A' + e.a, data[e.b]);
    else if (e.kind == BEGIN_FLUSH)
        printf(" %c%s", e.a == NODES ? '*' : 'A' + e.a, e.b ? ", with note" : "");
    else if (e.kind != PASS_FLUSH)
        printf(" %c", 'A' + e.a);
    printf("; ");
}

#endif
