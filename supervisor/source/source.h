/* The control connection to the source: the greeting, and the two phase commands.
 *
 * A real master crashes on a phase command in a wrong state: source_send_phase() asks the session for its permit
 * and sends nothing without it.
 *
 * The folder, an arrow from caller to callee; supervisor/run calls all of it:
 *
 *   source.c ──→ source_greeting.c   decodes the greeting, INFO SERVER, INFO COMMANDSTATS, refusals
 *      │ └─────→ source_facts.c      INFO, CONFIG and the rights that comparing keys needs; judges the answers
 *      └───────→ session.c           state table of the session; permits for SYNC and STARTSTABLE
 *   flow_open.c ─→ source_greeting.c one FLOW's handshake, on a connection of its own
 *   source_watch.c                   LSNs and role of the source once a second, on another connection
 *   ack.c                            REPLCONF ACK on a FLOW's socket
 *   addresses.c                      the addresses of --source, tried in rounds */
#ifndef DF2REDIS_SUPERVISOR_SOURCE_SOURCE_H
#define DF2REDIS_SUPERVISOR_SOURCE_SOURCE_H

#include <event2/event.h>
#include <hiredis/hiredis.h>

#include "common/base/error.h"
#include "common/settings/settings.h"
#include "supervisor/source/session.h"

enum {
    SOURCE_MAX_FLOWS = 1024,
    SOURCE_MAX_VERSION = 5, /* of the replication protocol; newer ones are unknown here */
};

/* The master's answer to REPLCONF capa dragonfly, and two values from INFO. */
struct greeting {
    char master_id[41];
    char sync_id[32];
    char lineage[41]; /* "" before v1.40 */
    uint32_t flow_count;
    uint32_t version; /* 0 before Dragonfly 1.4 */
    uint32_t release; /* 14001: Dragonfly 1.40.1; 0: unknown */
    /* Role changes (REPLICAOF and the like) since the master started. After one, the same master id may stand for
     * another journal. -1: unknown. */
    int64_t role_changes;
};

/* Returns the release found in the text of INFO SERVER; 0: none. */
uint32_t greeting_release(struct slice info);
/* Returns the calls of REPLICAOF and the like in the text of INFO COMMANDSTATS; -1 if it has no statistics. */
int64_t greeting_role_changes(struct slice info);

struct source;
struct source_facts;

/* Called from the event loop, never from within a function of this header. */
struct source_callbacks {
    void *arg;
    void (*connected)(void *arg);
    void (*greeted)(const struct greeting *greeting, void *arg);
    void (*phase_answered)(bool ok, const char *text, void *arg);
    /* At any time, once. The caller still has to free the source. */
    void (*failed)(const struct error *error, void *arg);
};

/* client_id: 40 hex digits that name this replica to the master. Returns NULL and sets *error on failure. */
struct source *source_connect(struct event_base *base, const struct settings *settings, const struct uri *uri,
                              const char *client_id, const struct source_callbacks *callbacks,
                              struct error *error);
/* After connected. */
void source_greet(struct source *s);
/* Returns false, and sends nothing, if the session does not permit the command. */
bool source_send_phase(struct source *s, struct session *session, enum phase_command command);
/* Sends PING in stable sync, where an idle source sends nothing. A missing answer ends in `failed`. Call it
 * several times a second; it keeps its own interval. */
void source_ping(struct source *s, uint64_t now_ms);
/* Asks for the role and the number of role changes. A replica refuses every REPLCONF. A missing answer ends in
 * `failed`; of several questions only the newest is answered. */
void source_ask_role(struct source *s,
                     void (*answered)(bool master, int64_t role_changes, const char *text, void *arg));
/* Whether an answer is still due. */
bool source_role_is_asked(const struct source *s);
/* Asks for total_journal_omits (source_facts.h). A missing answer ends in `failed`. */
void source_ask_omits(struct source *s, void (*answered)(bool told, uint64_t omits, void *arg));
void source_free(struct source *s);
/* Valid after `greeted`. */
const struct source_facts *source_facts(const struct source *s);
/* Returns the keys of the master at the greeting; 0 if unknown, and for NULL. */
uint64_t source_keys(const struct source *s);
/* The same for the databases that are copied. Returns false if unknown. */
bool source_keys_wanted(const struct source *s, uint64_t *keys);
/* Returns the databases that held keys at the greeting, *count of them; NULL if unknown. */
const uint32_t *source_databases(const struct source *s, size_t *count);

/* Returns each FLOW's next LSN at the greeting, *count of them; NULL if unknown. */
const uint64_t *source_lsns(const struct source *s, size_t *count);

/* Decodes the answer to REPLCONF capa dragonfly. ERROR_FATAL: not a Dragonfly, or an unknown protocol. */
bool greeting_parse(const redisReply *reply, const char *source_name, struct greeting *out,
                    struct error *error);
/* Turns a refusal into *error: its class, its text and the way out. Returns false. */
bool source_refusal(const redisReply *reply, const char *doing, const char *source_name, struct error *error);

#endif
