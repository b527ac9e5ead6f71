/* An error: a text that an operator can act on, and a class that tells the caller what to do. */
#ifndef DF2REDIS_COMMON_BASE_ERROR_H
#define DF2REDIS_COMMON_BASE_ERROR_H

#include <stdbool.h>

enum error_class {
    ERROR_NONE = 0,
    ERROR_RETRY,      /* temporary: a later attempt may succeed (link lost, LOADING, OOM on the target) */
    ERROR_REDIRECT,   /* another node serves the slot (MOVED, ASK) */
    ERROR_DIVERGENCE, /* one key or command cannot be carried over; counted and named, the run continues */
    ERROR_FATAL,      /* needs an operator */
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

#ifdef __clang_analyzer__ /* It sees one file at a time: this tells it what the functions in error.c return. */
#define error_set(...) (error_set(__VA_ARGS__), false)
#define error_fatal(...) (error_fatal(__VA_ARGS__), false)
#endif

#endif
