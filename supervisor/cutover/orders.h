/* The orders of a cut-over to the source, over a connection of its own: nothing of the run waits behind them.
 *
 *   CLIENT PAUSE ms WRITE   holds back every command that is journaled, EVAL, PUBLISH, and EXEC with a write; waits for
 *                           those that are being carried out. Reads go on, REPLCONF ACK too, nothing expires. It ends by
 *                           itself. Clients of an admin port (--admin_port) are not held back
 *   CLIENT UNPAUSE          ends every pause, within 10 ms
 *   DFLY TAKEOVER s id      refuses all commands from the first moment, waits for our ACKs, shuts the source down. It
 *                           also waits for the clients that CLIENT PAUSE holds back, and CLIENT UNPAUSE is refused by
 *                           then: both go in one packet. What was held back gets an error
 *   REPLICAOF host port     answered once the other side was reached; what was held back gets an error */
#ifndef DF2REDIS_SUPERVISOR_CUTOVER_ORDERS_H
#define DF2REDIS_SUPERVISOR_CUTOVER_ORDERS_H

#include <event2/event.h>

#include "common/net/client.h"

enum order {
    ORDER_PROBE, /* rights, and the password for the target */
    ORDER_PAUSE,
    ORDER_LSNS,
    ORDER_UNPAUSE,
    ORDER_TAKE_OVER,
    ORDER_SEND_AWAY,
    ORDER_REVERSE,
    ORDER_LINK, /* a replica has its first copy; asked of the target */
};

struct orders_answer {
    enum order order;
    bool ok;
    const char *text;     /* of a refusal */
    const uint64_t *lsns; /* ORDER_LSNS: flow_count of them */
    uint64_t count;       /* ORDER_SEND_AWAY: connections that were ended */
};

/* Called from the event loop, never from within a function of this header. */
struct orders_callbacks {
    void *arg;
    void (*ready)(void *arg);
    void (*answered)(const struct orders_answer *answer, void *arg);
    void (*lost)(const struct error *why, void *arg); /* once; only orders_free is left */
};

struct orders;

/* Returns NULL and sets *error on failure. */
struct orders *orders_connect(struct event_base *base, const char *what, const struct uri *uri,
                              const struct settings *settings, uint32_t flow_count,
                              const struct orders_callbacks *callbacks, struct error *error);
/* Not from within a callback but `lost`. */
void orders_free(struct orders *o);

/* After `ready`. reverse: REPLICAOF is needed, too; has_password: the target wants one, and the source has to have it. */
void orders_probe(struct orders *o, bool reverse, bool has_password);
void orders_pause(struct orders *o, uint64_t ms);
void orders_ask_lsns(struct orders *o);
void orders_unpause(struct orders *o);
void orders_take_over(struct orders *o, uint64_t seconds, const char *sync_id);
/* Ends the connections of clients that wait for an answer, but for replicas. */
void orders_send_away(struct orders *o);
void orders_reverse(struct orders *o, const char *host, uint16_t port);
void orders_ask_link(struct orders *o);

/* Returns whether the line of CLIENT LIST is that of a client that waits for an answer; *id: its id. */
bool orders_waits(struct slice line, uint64_t own_id, uint64_t *id);

#endif
