/* Shared by target_watch.c (questions, connections, the masters of a cluster) and target_watch_info.c (answers to INFO)
 * only. */
#ifndef DF2REDIS_SUPERVISOR_TARGET_TARGET_WATCH_INTERNAL_H
#define DF2REDIS_SUPERVISOR_TARGET_TARGET_WATCH_INTERNAL_H

#include "supervisor/target/database_watch.h"
#include "supervisor/target/evictions.h"
#include "supervisor/target/expiry_watch.h"
#include "supervisor/target/target_watch.h"

enum { WATCH_TEXT_BYTES = 300 };

/* A master. */
struct watched {
    struct target_watch *watch;
    struct uri uri;
    char name[256]; /* host:port, for status and metrics */
    struct client *client;
    bool ready, listed;
    bool single;     /* INFO takes one section */
    struct buf info; /* its answers so far … */
    size_t answers;
    bool refused; /* … one of which was an error */
    uint64_t connect_due_ms, unlisted_ms;
    uint64_t asked_ms, asked_us; /* when the newest INFO was sent */
    bool waits, again;           /* its answer is due; another INFO follows it */
    uint64_t told_ms;            /* when the INFO answered last was sent; 0: none was answered yet */
    uint64_t rtt_us;
    /* From its answers. */
    char run_id[41], role[16], policy[32];
    uint64_t evicted, commands, up_s, counted, used_bytes, max_bytes, keys;
    size_t databases;
    struct expiry_watch expiry;
    char warned_policy[32];
    bool warned_right;
    char trouble[WATCH_TEXT_BYTES];
};

struct target_watch {
    struct event_base *base;
    const struct settings *settings;
    struct target_watch_callbacks callbacks;
    struct evictions evictions;
    char *evictions_path;
    bool cluster, begins; /* begins: counting does */
    struct watched **nodes;
    size_t count;
    struct database_watch marks; /* standalone */
    uint64_t masters_due_ms;
    bool masters_asked;
};

/* INFO was answered. */
void watched_note_info(struct watched *n, struct slice info);
/* The process has ended, and with it its count. */
void watched_note_end(struct watched *n);
/* Whether it evicts keys once it is full. */
bool watched_evicts(const struct watched *n);

#endif
