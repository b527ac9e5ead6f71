/* What went wrong, in words an operator can act on, and what the caller may do about it. */
#ifndef DF2REDIS_COMMON_BASE_ERROR_H
#define DF2REDIS_COMMON_BASE_ERROR_H

#include <stdbool.h>

enum error_class {
    ERROR_NONE = 0,
    ERROR_RETRY,    /* temporary: the same again later may succeed (link lost, LOADING, OOM on the target) */
    ERROR_REDIRECT, /* another node has to be asked (MOVED, ASK) */
    ERROR_DIVERGENCE, /* one key or command cannot be carried over; counted and named, the run goes on */
    ERROR_FATAL,      /* nothing but an operator helps */
};

struct error {
    enum error_class class;
    int exit_code;  /* of sysexits.h, for ERROR_FATAL; 0 = EX_SOFTWARE */
    char text[480]; /* what was tried, on what, what happened, what to do; never a secret */
};

/* Fills *e (which may be NULL) and returns false, so that a function can `return error_set(...)`. */
bool error_set(struct error *e, enum error_class class, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
bool error_fatal(struct error *e, int exit_code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
const char *error_class_name(enum error_class class);

#endif
