/* The journal stream, read the plain way: for tests that must know what a recording holds without trusting
 * the decoder under test. */
#ifndef DF2REDIS_TESTS_JOURNAL_READER_H
#define DF2REDIS_TESTS_JOURNAL_READER_H

#include "common/base/mem.h"

enum journal_kind { JOURNAL_COMMAND, JOURNAL_PING, JOURNAL_LSN };

enum { JOURNAL_MAX_ARGS = 4096 };

struct journal_item {
    enum journal_kind kind;
    uint64_t lsn; /* its own; of LSN: as stated */
    uint64_t txid;
    uint64_t db;
    size_t end;  /* one past its last byte */
    size_t argc; /* as announced; args holds at most JOURNAL_MAX_ARGS of them */
    struct slice args[JOURNAL_MAX_ARGS];
};

struct journal_reader {
    struct slice bytes;
    size_t at;
    uint64_t next_lsn;
    uint64_t db;
};

/* 1: an item; 0: the end, perhaps in the middle of one (r->at stays at its first byte); -1: not a journal. */
int journal_next(struct journal_reader *r, struct journal_item *item);

#endif
