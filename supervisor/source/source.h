/* The control connection to the source: the greeting, and the two phase commands.
 *
 * A real master crashes on a phase command in a wrong state: source_send_phase() asks the session for
 * its permit and sends nothing without it. */
#ifndef DF2REDIS_SUPERVISOR_SOURCE_SOURCE_H
#define DF2REDIS_SUPERVISOR_SOURCE_SOURCE_H

#include <event2/event.h>
#include <hiredis/hiredis.h>

#include "common/base/error.h"
#include "common/settings/settings.h"
#include "supervisor/source/session.h"

enum {
    SOURCE_MAX_FLOWS = 1024,
    SOURCE_MAX_VERSION = 5, /* of the replication protocol, as far as we know it */
};

/* What the master says of itself in answer to REPLCONF capa dragonfly. */
struct greeting {
    char master_id[41];
    char sync_id[32];
    char lineage[41]; /* "" before v1.40 */
    uint32_t flow_count;
    uint32_t version; /* 0 before Dragonfly 1.4 */
    uint32_t release; /* 14001: Dragonfly 1.40.1; 0 when it does not tell */
    /* How often it was told to become a replica or a master, since it started: after such a change its journal may be
     * another one under the same master id. -1 when it does not tell. */
    int64_t role_changes;
};

/* The release in the text of INFO SERVER. */
uint32_t greeting_release(struct slice info);
/* Calls of REPLICAOF and its like in the text of INFO COMMANDSTATS; -1 when that is something else. */
int64_t greeting_role_changes(struct slice info);

struct source;
struct source_facts;

/* None is called from within a function of this header. */
struct source_callbacks {
    void *arg;
    void (*connected)(void *arg);
    void (*greeted)(const struct greeting *greeting, void *arg);
    void (*phase_answered)(bool ok, const char *text, void *arg);
    /* At any time, once. The source is still the owner's to free. */
    void (*failed)(const struct error *error, void *arg);
};

/* client_id: 40 hex digits that name this replica to the master. */
struct source *source_connect(struct event_base *base, const struct settings *settings, const struct uri *uri,
                              const char *client_id, const struct source_callbacks *callbacks,
                              struct error *error);
/* After connected. */
void source_greet(struct source *s);
/* False when the session does not permit it, and then nothing was sent. */
bool source_send_phase(struct source *s, struct session *session, enum phase_command command);
/* In stable sync, where the source may have nothing to say for long: asks whether it is there. No answer within a time is
 * `failed`. To be called now and then. */
void source_ping(struct source *s, uint64_t now_ms);
/* Is it a master, now, and how often has its role changed? A replica refuses every REPLCONF. No answer is `failed`;
 * only the newest question is told. */
void source_ask_role(struct source *s,
                     void (*answered)(bool master, int64_t role_changes, const char *text, void *arg));
void source_free(struct source *s);
/* As they were answered; of use after greeted. */
const struct source_facts *source_facts(const struct source *s);
/* Keys the master had when it was greeted; 0 when it did not say, and for NULL. */
uint64_t source_keys(const struct source *s);
/* The same of the databases that are copied; false when it did not say. */
bool source_keys_wanted(const struct source *s, uint64_t *keys);
/* The databases that held keys then: *list has the count; NULL when it did not say. */
const uint32_t *source_databases(const struct source *s, size_t *count);

/* Each FLOW's next LSN when it was greeted: *list has the count; NULL when it did not say. */
const uint64_t *source_lsns(const struct source *s, size_t *count);

/* Decoding of the answer, for tests too. ERROR_FATAL: not a Dragonfly, or one we do not understand. */
bool greeting_parse(const redisReply *reply, const char *source_name, struct greeting *out,
                    struct error *error);
/* A -ERR answer in the words and class it deserves. */
bool source_refusal(const redisReply *reply, const char *doing, const char *source_name, struct error *error);

#endif
