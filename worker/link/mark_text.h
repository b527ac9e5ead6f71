/* Asking the target for marks (common/redis/marks.h), and their replies. */
#ifndef DF2REDIS_WORKER_LINK_MARK_TEXT_H
#define DF2REDIS_WORKER_LINK_MARK_TEXT_H

#include "common/net/client.h"
#include "worker/link/link.h"

enum { MARK_ANSWER_TIMEOUT_MS = 30000 };

/* From the reply to HMGET hash flow-N flushed run. */
bool mark_read(const redisReply *reply, struct mark *out);

/* HMGET of a slot's hash, and its reply. False: something else stands there. */
void slot_mark_ask(struct client *c, const struct link_config *config, uint16_t slot, client_reply tell,
                   void *arg);
bool slot_mark_read(const redisReply *reply, struct slot_mark *out);

#endif
