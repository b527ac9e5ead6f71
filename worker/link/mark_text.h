/* Reading marks (common/redis/marks.h) from the target. */
#ifndef DF2REDIS_WORKER_LINK_MARK_TEXT_H
#define DF2REDIS_WORKER_LINK_MARK_TEXT_H

#include "common/net/client.h"
#include "worker/link/link.h"

enum { MARK_ANSWER_TIMEOUT_MS = 30000 };

/* Parses the reply to HMGET hash flow-N flushed run. */
bool mark_read(const redisReply *reply, struct mark *out);

/* Sends HMGET of a slot's hash, and parses its reply. False: not a mark. */
void slot_mark_ask(struct client *c, const struct link_config *config, uint16_t slot, client_reply tell,
                   void *arg);
bool slot_mark_read(const redisReply *reply, struct slot_mark *out);

#endif
