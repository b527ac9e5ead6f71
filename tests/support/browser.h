/* A headless Chromium, for the page that the supervisor serves: opened, asked, photographed. It is spoken to through
 * --remote-debugging-pipe: JSON messages of the DevTools protocol, each followed by a zero byte, on its descriptors 3
 * and 4.
 *
 * DF2REDIS_TEST_CHROMIUM names the program; chromium otherwise. */
#ifndef DF2REDIS_TESTS_BROWSER_H
#define DF2REDIS_TESTS_BROWSER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/mem.h"

struct browser {
    pid_t pid;
    int to, from;
    unsigned id;
    char session[80];
    char *directory;
    struct buf input;
    struct buf requested;  /* every URL that was loaded, each with a \n */
    struct buf complaints; /* errors on the console, exceptions; each with a \n */
};

/* Is there such a program here? */
bool browser_here(void);
/* False: it did not come up. */
bool browser_start(struct browser *b, unsigned width, unsigned height);
bool browser_open(struct browser *b, const char *url);
/* The value of an expression, as text; the caller frees it. NULL: it failed. */
char *browser_eval(struct browser *b, const char *expression);
/* Waits until an expression is true. */
bool browser_wait(struct browser *b, const char *expression, uint32_t deadline_ms);
/* What is to be seen, as PNG. */
bool browser_picture(struct browser *b, struct buf *png);
void browser_stop(struct browser *b);

#endif
