/* One server or all masters of a cluster: who is asked. */
#ifndef DF2REDIS_TESTS_STATE_SERVER_H
#define DF2REDIS_TESTS_STATE_SERVER_H

#include "tests/support/state.h"

/* As state_read(), for keys that s->c serves. */
void state_read_node(struct state_server *s, const struct state_read_options *options,
                     const struct slice *keys, size_t count, struct state_value *values);

#endif
