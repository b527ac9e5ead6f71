/* The marks as the target holds them: text in fields of a hash.
 *
 *   flow-N   <master id> <session> <seq> <lsn>
 *   node-N   the same, then <fingerprint of the node's slots, hex> <run id> <replication id>   (cluster)
 *   flushed  <session> <txid>
 *
 * Standalone: one hash, df2redis:NAME. Cluster: one for each slot, df2redis:NAME:{tag}; flow-N vouches for
 * that slot, node-N, in the lowest slot of each node, for all that this FLOW sent to the node. */
#ifndef DF2REDIS_MARK_TEXT_H
#define DF2REDIS_MARK_TEXT_H

#include "common/client.h"
#include "worker/link.h"

enum { MARK_TEXT_BYTES = 128, NODE_MARK_TEXT_BYTES = 256, MARK_ANSWER_TIMEOUT_MS = 30000 };

/* Text into *out; false when it is no mark. */
bool mark_parse(struct slice text, struct mark *out);
/* From the reply to HMGET hash flow-N flushed. */
bool mark_read(const redisReply *reply, struct mark *out);

/* HMGET of a slot's hash, and its reply. False: something else stands there. */
void slot_mark_ask(struct client *c, const struct link_config *config, uint16_t slot, client_reply tell,
                   void *arg);
bool slot_mark_read(const redisReply *reply, struct slot_mark *out);

/* Cuts the first word off *text; false when there is none. */
bool mark_next_word(struct slice *text, struct slice *word);

#endif
