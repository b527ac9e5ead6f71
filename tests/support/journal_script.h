/* Streams whose commands must not run twice, with what they come to: made for tests that kill and restart.
 *
 * Each FLOW has keys of its own. What a FLOW is told is told, as plain commands, to a list as well; a server
 * that is given that list holds what the target must hold. */
#ifndef DF2REDIS_TESTS_JOURNAL_SCRIPT_H
#define DF2REDIS_TESTS_JOURNAL_SCRIPT_H

#include "tests/support/scripted_dragonfly.h"
#include "tests/support/stream_writer.h"
#include "tests/support/testing.h"

struct journal_script {
    uint32_t flows;
    bool one_database; /* every third FLOW's keys are in database 3 otherwise */
    struct random random;
    uint64_t made;       /* commands so far, of all FLOWs */
    uint64_t txid;       /* of the last flush */
    struct buf expected; /* RESP */
    size_t expected_count;
    uint32_t expected_db;
    /* The entry at hand goes to one of them. */
    struct stream_writer *writer;
    struct buf *bytes;
};

void journal_script_init(struct journal_script *s, uint32_t flows, uint64_t seed);
void journal_script_free(struct journal_script *s);

struct journal_snapshot {
    uint32_t strings;
    uint32_t collections, elements; /* of each kind */
    uint32_t commands;              /* JOURNAL_BLOBs among all that, and inside of collections */
    uint32_t journal;               /* and in the journal, to begin with */
    uint32_t chunk_bytes;           /* TAGGED_CHUNKs; 0: none */
    bool plain;                     /* no LZ4 blobs */
};
/* A whole session. */
struct scripted_session journal_script_session(struct journal_script *s, const struct journal_snapshot *what);

/* More of the journal of one FLOW: so many commands, appended to *bytes. */
void journal_script_commands(struct journal_script *s, uint32_t flow, uint32_t count, struct buf *bytes);
/* The same for every FLOW, at once given to the running master. */
void journal_script_append(struct journal_script *s, struct scripted *m, uint32_t commands_each);
/* One command of words for one FLOW, in database 0. */
void journal_script_line(struct journal_script *s, struct scripted *m, uint32_t flow, const char *words);
/* FLUSHALL at this place of every FLOW. */
void journal_script_flush(struct journal_script *s, struct scripted *m);

/* Carries the list out; ends the test program when a command is refused. */
void journal_script_expect(struct journal_script *s, uint16_t port);

#endif
