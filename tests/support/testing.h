/* What every test needs: deadlines instead of sleeps, temporary directories, free ports, files,
 * numbers that look random and are the same every time. */
#ifndef DF2REDIS_TESTS_TESTING_H
#define DF2REDIS_TESTS_TESTING_H

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "tests/support/wait_until.h"

/* Ends the process with a text: for what a test cannot go on without (no binary, no port). */
void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* A fresh directory below $TMPDIR; removed with all that is in it (not where DF2REDIS_TEST_KEEP is set, which
 * is for looking into a failure), and the path freed. */
char *temp_dir_make(const char *what);
void temp_dir_remove(char *path);

/* A formatted string; the caller frees it. */
char *format_text(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A port on 127.0.0.1 that is this program's until it ends: nobody listens there but what it starts. Another test
 * program that took it in between would be talked to in place of a server that is still starting. */
uint16_t free_port(void);
/* The same with this one; 0 chooses one. False when somebody has it. */
bool port_keep(uint16_t *port);
/* Listens on 127.0.0.1; *port 0 chooses one, and keeps it: whoever asks for it later meets nobody else. -1 with errno. */
int listen_on(uint16_t *port);
/* Does somebody accept connections there? */
bool port_answers(uint16_t port);
/* What its owner, who hangs perhaps, was sent and has not read. */
uint64_t port_unread_bytes(uint16_t port);

/* Appends a whole file; false with errno. */
bool file_read(const char *path, struct buf *out);
bool file_write(const char *path, struct slice bytes);
bool file_contains(const char *path, const char *text);

/* splitmix64: seeded, the same on every machine. */
struct random {
    uint64_t state;
};
uint64_t random_next(struct random *r);
/* 0 … limit - 1; 0 when limit is 0. */
uint64_t random_below(struct random *r, uint64_t limit);

#endif
