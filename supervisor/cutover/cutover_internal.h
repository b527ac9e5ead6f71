/* A cut-over's state, and the functions that the files of this folder offer each other. Callbacks only post events:
 * cutover.c takes them from the queue, in the event loop. */
#ifndef DF2REDIS_SUPERVISOR_CUTOVER_CUTOVER_INTERNAL_H
#define DF2REDIS_SUPERVISOR_CUTOVER_CUTOVER_INTERNAL_H

#include <event2/event.h>

#include "supervisor/cutover/cutover.h"
#include "supervisor/cutover/note.h"
#include "supervisor/cutover/order.h"
#include "supervisor/cutover/orders.h"
#include "supervisor/cutover/steps.h"
#include "supervisor/run/run.h"

enum { CUTOVER_QUEUE = 16 };

struct cutover {
    struct run *run;
    struct event *timer;
    struct cutover_order order;
    struct cutover_listener listener;
    bool heard; /* there is a listener */
    enum cutover_state state;
    struct orders *orders;
    bool orders_ready, orders_lost;
    bool retired; /* it is over: the connection is closed */
    bool probed;
    uint64_t state_ms, begun_ms, connect_ms;
    uint64_t pause_sent_ms, paused_ms, applied_ms, command_ms, switched_ms; /* 0: not yet */
    uint64_t *lsns;
    char lsns_text[480];
    bool reversed, online; /* REPLICAOF was answered; the replica has its first copy */
    uint64_t reversed_ms, link_asked_ms;
    struct orders *follower; /* to the target, which is asked for its replica */
    bool follower_ready;
    struct {
        enum cutover_event event;
        enum cutover_state in; /* the state that it tells of: of another one it is dropped */
    } queue[CUTOVER_QUEUE];
    size_t queued;
    struct error why; /* of the trouble, the first one */
    char waits_for[400];
    struct note note;
    struct { /* the last one */
        bool there;
        int exit_code;
        uint64_t paused_ms, command_ms;
        char outcome[16], text[900];
    } last;
};

/* progress.c */
void cutover_post(struct cutover *c, enum cutover_event event);
void cutover_say_json(struct cutover *c, cJSON *json); /* deletes it */
void cutover_say(struct cutover *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The last line to the command line. */
void cutover_finish(struct cutover *c, int exit_code, const char *outcome, const char *text);
/* The first reason counts. */
void cutover_blame(struct cutover *c, int exit_code, const char *text);
void cutover_save_note(struct cutover *c, enum note_stage stage);
/* How long writes were held back: until now, or until the clients were switched. 0: not at all. */
uint64_t cutover_paused_for(const struct cutover *c);
uint64_t cutover_command_took(const struct cutover *c);
/* The source began the pause later than we sent it, and ends it later than this. */
uint64_t cutover_pause_end_ms(const struct cutover *c);
uint64_t cutover_command_end_ms(const struct cutover *c);
/* Of the present state. */
uint64_t cutover_deadline_ms(const struct cutover *c);
void cutover_blame_deadline(struct cutover *c);

/* source_side.c: its answers become events. */
bool cutover_connect_source(struct cutover *c);
void cutover_connect_target(struct cutover *c);

/* actions.c; before: the state that the event was in. */
void cutover_perform(struct cutover *c, enum cutover_action action, enum cutover_state before,
                     enum cutover_event event);

#endif
