/* The scripted master's insides, shared by its loop (scripted_dragonfly.c), its commands (scripted_commands.c,
 * scripted_dfly.c, scripted_data.c, scripted_clients.c) and what its test sees (scripted_control.c). */
#ifndef DF2REDIS_TESTS_SCRIPTED_INTERNAL_H
#define DF2REDIS_TESTS_SCRIPTED_INTERNAL_H

#include <hiredis/hiredis.h>
#include <pthread.h>

#include "tests/support/journal_reader.h"
#include "tests/support/scripted_dragonfly.h"
#include "tests/support/testing.h"

enum sync_state { SYNC_PREPARATION, SYNC_FULL, SYNC_STABLE, SYNC_CANCELLED };

struct connection {
    int fd;
    unsigned number;
    redisReader *reader;
    struct buf in;    /* received, not yet parsed */
    uint8_t fed_last; /* the last byte that the parser was given */
    struct buf out;   /* replies */
    bool authenticated;
    bool pinged, port_told;
    bool close_after;  /* once out is sent */
    bool vanished;     /* nothing more can be said on it */
    struct sync *sync; /* of a control connection after the greeting, and of a FLOW */
    int flow;          /* -1: not one */
    uint32_t db;
    bool in_multi;
    bool role_asked;  /* a second REPLCONF listening-port */
    struct buf asked; /* of the data, as RESP; not yet answered */
    size_t asked_count;
    bool asked_pieces;
    redisReply *held; /* a write that waits for the end of the pause; what came after it waits, too */
};

struct flow_state {
    struct connection *connection; /* NULL: not connected */
    bool asked;                    /* DFLY FLOW came */
    bool partial;
    uint64_t begin, sent; /* offsets into the script's bytes */
    struct buf blobs;     /* comes before those: PARTIAL with SYNC */
    size_t blobs_sent, blobs_at_startstable;
    uint64_t acked;
    bool end_told, all_told, closed_told;
    struct journal_reader counted; /* how far LSNs were counted for the ACK check */
};

struct sync {
    unsigned number;
    enum sync_state state;
    struct scripted_session *script;
    struct flow_state *flows;
    struct connection *control;
    bool version_told;
};

struct event {
    uint64_t us;
    char who[16];
    char *text;
};

struct scripted {
    struct scripted_options options;
    pthread_mutex_t lock;
    pthread_t thread;
    bool threaded, stopping, deaf, stable_unanswered, roles_unanswered;
    const char *offsets_error;
    uint64_t offsets_set_back;
    int wake[2];
    int listener;
    uint16_t port;
    char uri[48];
    struct random random;
    unsigned connections_seen;
    struct connection **connections;
    size_t connection_count;
    struct sync **syncs;
    size_t sync_count;
    struct event *events;
    size_t event_count, event_capacity;
    struct buf violation;
    uint64_t *holds; /* per FLOW */
    unsigned role_changes;
    uint64_t omits;
    size_t hold_count;
    redisContext *data; /* options.data_port */
    uint32_t data_db;   /* selected there */
    uint64_t paused_until_ms;
};

struct sync *scripted_newest(struct scripted *m);
/* The LSN behind the last whole entry that the master has. */
uint64_t scripted_flow_end_lsn(struct scripted_flow *f);
void scripted_event(struct scripted *m, const struct connection *c, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Notes the violation and closes everything, as a server that has crashed. */
void scripted_violate(struct scripted *m, const struct connection *c, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* One command of a connection; argv are bulk strings. */
void scripted_command_received(struct scripted *m, struct connection *c, const redisReply *command);
/* A line of RESP. */
void scripted_reply(struct connection *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A word of the command; "" past its end. */
const char *scripted_word(const redisReply *command, size_t i);
bool scripted_is(const redisReply *command, size_t i, const char *text);
void scripted_dfly(struct scripted *m, struct connection *c, const redisReply *command);
bool scripted_is_about_data(const redisReply *command);
/* Asks; the answers come by scripted_answer, before anything else is answered there. */
void scripted_on_data(struct scripted *m, struct connection *c, const redisReply *command);
void scripted_answer(struct scripted *m, struct connection *c);
void scripted_put_answer(struct buf *out, const redisReply *r);
/* Its connection to the data is forgotten. */
void scripted_lose_data(struct scripted *m);
/* More journal for a FLOW, under the lock. */
void scripted_journal(struct scripted *m, size_t flow, struct slice journal);
/* A write that an ordinary client sends, with its key as the first argument. */
bool scripted_is_write(const redisReply *command);
void scripted_on_write(struct scripted *m, struct connection *c, const redisReply *command);
bool scripted_is_paused(const struct scripted *m);
void scripted_on_client(struct scripted *m, struct connection *c, const redisReply *command);
void scripted_on_multi(struct scripted *m, struct connection *c, const redisReply *command);
/* Ends a session: its FLOW connections are closed. */
void scripted_cancel(struct scripted *m, struct sync *s);
/* One command of words in a database of its data; its answer, freed by the caller. NULL: none within deadline_ms. */
redisReply *scripted_data(struct scripted *m, uint32_t db, size_t argc, const char **argv, const size_t *lens,
                          uint32_t deadline_ms);
/* Up to where a FLOW may send now. */
uint64_t scripted_limit(const struct scripted *m, const struct sync *s, size_t flow);

#endif
