/* The handshake of one FLOW: connect, AUTH, DFLY FLOW → FULL or PARTIAL and the EOF token.
 *
 * Ends with the socket in the supervisor's hands, nothing of the stream read: nothing comes before
 * SYNC or STARTSTABLE. Not used with TLS to the source: there the worker does this itself. */
#ifndef DF2REDIS_SUPERVISOR_SOURCE_FLOW_OPEN_H
#define DF2REDIS_SUPERVISOR_SOURCE_FLOW_OPEN_H

#include "supervisor/source/source.h"

struct flow_answer {
    bool full; /* false: PARTIAL */
    char token[41];
};

struct flow_opened {
    struct flow_answer answer;
    int fd;                  /* the owner's */
    uint64_t received_bytes; /* read from it for the handshake */
};

struct flow_open;

/* Never called from within flow_open_start. */
struct flow_open_callbacks {
    void *arg;
    void (*opened)(uint32_t flow, const struct flow_opened *opened, void *arg);
    void (*failed)(uint32_t flow, const struct error *error, void *arg);
};

/* asked: the words behind the FLOW's number, none to ask for a full sync. */
struct flow_open *flow_open_start(struct event_base *base, const struct settings *settings,
                                  const struct uri *uri, const struct greeting *greeting, uint32_t flow,
                                  struct slice asked, const struct flow_open_callbacks *callbacks,
                                  struct error *error);
void flow_open_free(struct flow_open *f);

/* error is not NULL. asked_lsn: whether PARTIAL is an answer to what was asked. */
bool flow_answer_parse(const redisReply *reply, bool asked_lsn, uint32_t flow, const char *source_name,
                       struct flow_answer *out, struct error *error);

#endif
