/* The handshake of one FLOW: connect, AUTH, DFLY FLOW → FULL or PARTIAL and the EOF token.
 *
 * It ends with the socket in the supervisor's hands and nothing of the stream read: the stream begins after SYNC
 * or STARTSTABLE. With TLS to the source the worker does this handshake instead. */
#ifndef DF2REDIS_SUPERVISOR_SOURCE_FLOW_OPEN_H
#define DF2REDIS_SUPERVISOR_SOURCE_FLOW_OPEN_H

#include "supervisor/source/source.h"

struct flow_answer {
    bool full; /* false: PARTIAL */
    char token[41];
};

struct flow_opened {
    struct flow_answer answer;
    int fd;                  /* the caller closes it */
    uint64_t received_bytes; /* read from it for the handshake */
};

struct flow_open;

/* Never called from within flow_open_start. */
struct flow_open_callbacks {
    void *arg;
    void (*opened)(uint32_t flow, const struct flow_opened *opened, void *arg);
    void (*failed)(uint32_t flow, const struct error *error, void *arg);
};

/* asked: the words after the FLOW's number; none: a full sync. Returns NULL and sets *error on failure. */
struct flow_open *flow_open_start(struct event_base *base, const struct settings *settings,
                                  const struct uri *uri, const struct greeting *greeting, uint32_t flow,
                                  struct slice asked, const struct flow_open_callbacks *callbacks,
                                  struct error *error);
void flow_open_free(struct flow_open *f);

/* asked_lsn: the question allows PARTIAL as an answer. error is not NULL. */
bool flow_answer_parse(const redisReply *reply, bool asked_lsn, uint32_t flow, const char *source_name,
                       struct flow_answer *out, struct error *error);

#endif
