/* Streams and JSON documents as items of a state_value. */
#ifndef DF2REDIS_TESTS_STATE_STREAM_H
#define DF2REDIS_TESTS_STATE_STREAM_H

#include "tests/support/state.h"

/* From the reply to XINFO STREAM key FULL COUNT 0. */
void state_stream_items(struct state_value *v, const redisReply *info,
                        const struct state_read_options *options);
/* The text without its spaces, the members of each object in order. */
void state_item_json(struct state_value *v, struct slice text);

#endif
