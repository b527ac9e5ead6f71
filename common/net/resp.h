/* RESP for the few commands of handshakes and probes: writes commands, and limits the replies that hiredis's reader
 * accepts. */
#ifndef DF2REDIS_COMMON_NET_RESP_H
#define DF2REDIS_COMMON_NET_RESP_H

#include <hiredis/hiredis.h>

#include "common/base/error.h"
#include "common/base/mem.h"

enum {
    RESP_REPLY_MAX_BYTES = 8 << 20,    /* of one reply */
    RESP_REPLY_MAX_ELEMENTS = 1 << 16, /* of one array in it */
};

/* Appends a command as an array of bulk strings. */
void resp_command(struct buf *out, size_t argc, const struct slice *argv);

struct resp_reader {
    redisReader *hiredis;
    size_t unread;    /* bytes fed that are not part of a returned reply */
    size_t max_bytes; /* RESP_REPLY_MAX_BYTES, or what its owner allows */
};

void resp_reader_init(struct resp_reader *r);
void resp_reader_free(struct resp_reader *r);
bool resp_reader_feed(struct resp_reader *r, struct slice bytes, struct error *error);
/* 1: *reply, which the caller frees by freeReplyObject; 0: no complete reply yet; -1: not RESP, or over a limit. */
int resp_reader_next(struct resp_reader *r, redisReply **reply, struct error *error);

/* Whether this is an error reply that begins with the word. */
bool resp_error_is(const redisReply *reply, const char *word);
/* A reply's text for a message: printable, shortened; a type's name where it has none. Lives until the next
 * call. */
const char *resp_text(const redisReply *reply);

#endif
