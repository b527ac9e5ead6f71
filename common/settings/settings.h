/* Everything that can be set: one table of names for the command line, the configuration file and the
 * message to a worker. A name is both the long option and the key in the file.
 *
 *   settings_resolve.c                        settings_compare.c
 *   passwords, paths, contradictions          copies, differences
 *                       └─────────┬─────────┘
 *                         settings_encode.c      the bytes of a message
 *                                 ↓
 *                         settings.c             defaults, one by its name, questions about keys
 *                                 ↓
 *                         settings_parse.c       one value, as a person writes it
 *                                 ↓
 *                         settings_table.c       the rows
 *
 * Each calls what is below it, not only the next. */
#ifndef DF2REDIS_COMMON_SETTINGS_SETTINGS_H
#define DF2REDIS_COMMON_SETTINGS_SETTINGS_H

#include "common/base/uri.h"
#include "common/log/log.h"

enum on_conflict { ON_CONFLICT_UNSET, ON_CONFLICT_OVERWRITE, ON_CONFLICT_SKIP, ON_CONFLICT_STOP };
enum on_spool_full { ON_SPOOL_FULL_END_SESSION, ON_SPOOL_FULL_BLOCK };
enum on_full_resync {
    ON_FULL_RESYNC_FLUSH,
    ON_FULL_RESYNC_KEEP,
    ON_FULL_RESYNC_STOP,
    ON_FULL_RESYNC_PRUNE,
};

struct db_map {
    uint32_t from, to;
};

struct settings {
    /* What */
    struct uri source, target;
    char *source_text, *target_text; /* as given: for the worker's message, never for logs */
    char *name;                      /* of the run; default: "default" */
    char *state_dir;                 /* NAME's directory is below it */
    enum on_conflict on_conflict;
    bool flush_target;
    enum on_full_resync on_full_resync;
    bool on_full_resync_given; /* else settings_finish chooses */
    char **include, **exclude; /* key globs, NULL-terminated; NULL = none */
    struct db_map *db_maps;    /* empty: every database to the same number */
    size_t db_map_count;
    bool marks;
    bool migrate; /* end at the barrier */
    /* Limits */
    uint64_t max_rate_bytes;    /* of the stream applied per second and FLOW set; 0 = none */
    uint64_t ring_bytes;        /* 64 MiB */
    uint64_t spool_limit_bytes; /* 10 GiB per FLOW */
    enum on_spool_full on_spool_full;
    uint64_t restore_limit_bytes; /* 1 MiB */
    uint64_t batch_bytes;         /* 256 KiB */
    uint32_t batch_commands;      /* 1000 */
    uint64_t window_bytes;        /* unanswered, per link: 4 MiB */
    /* Time */
    uint32_t connect_timeout_ms;   /* 10 s */
    uint32_t stuck_warning_ms;     /* 60 s */
    uint32_t barrier_timeout_ms;   /* 10 min */
    uint32_t target_retry_ms;      /* how long temporary target errors are waited out; 0 = forever */
    uint32_t restart_limit;        /* deaths of a worker at one place */
    uint32_t failed_flows_percent; /* 25 */
    /* TLS and secrets */
    char *source_password_file, *target_password_file;
    char *tls_ca_file, *tls_cert_file, *tls_key_file;
    bool tls_insecure; /* do not check the server's certificate */
    /* Talk */
    enum log_level log_level;
    enum log_format log_format;
    bool progress_off; /* no progress lines on a terminal */
    /* Service */
    bool daemon;
    char *pid_file, *log_file;
    bool syslog;
    char *user;           /* become this one after the start; NULL: df2redis if daemon, root, and it exists */
    bool confine;         /* restrict workers to the system calls and files that they need */
    char *metrics;        /* ADDR:PORT to answer HTTP on */
    char **metrics_hosts; /* globs of further names that HTTP may ask for, NULL-terminated; NULL = none */
};

void settings_init(struct settings *s); /* the defaults */
void settings_free(struct settings *s);
/* Sets one by its name. Repeated include/exclude/db add up. Errors name the option and what is allowed. */
bool settings_set(struct settings *s, const char *name, const char *value, struct error *error);
/* After all were set: passwords from files, systemd's credentials (source-password, target-password) and
 * DF2REDIS_SOURCE_PASSWORD and DF2REDIS_TARGET_PASSWORD,
 * defaults that depend on others, relative paths made absolute, contradictions refused. */
bool settings_finish(struct settings *s, struct error *error);
/* The checks of settings_finish() that need nothing but the settings. */
bool settings_check(const struct settings *s, struct error *error);
/* "9121", "0.0.0.0:9121", "[::1]:9121"; without an address 127.0.0.1, port 0: any free one. */
bool settings_metrics_address(const char *text, char *host, size_t host_bytes, uint16_t *port);
/* Of one by its name: may it be given more than once? Is it a path? */
bool settings_adds_up(const char *name);
bool settings_is_path(const char *name);
/* "30", "500ms", "2m". */
bool settings_time(const char *text, uint64_t *out_ms);
/* The names of all in which they differ, in the table's order; returns how many. */
size_t settings_differences(const struct settings *a, const struct settings *b, const char **names,
                            size_t limit);
/* out: initialised, or all zero. */
void settings_copy(struct settings *out, const struct settings *from);
/* Takes one that is a number or a choice over from another. */
void settings_copy_number(struct settings *to, const struct settings *from, const char *name);
/* For `--help` and completion: name, argument (NULL for flags), one line of help. NULL name ends. */
struct setting_help {
    const char *name, *argument, *help;
};
const struct setting_help *settings_help(void);
/* As the bytes of a message, and back. Carries secrets: only ever over a socketpair. Decoding replaces *s,
 * which must have been initialised (or be all zero), on success and leaves it alone otherwise. */
void settings_encode(const struct settings *s, struct buf *out);
bool settings_decode(struct settings *s, struct slice bytes, struct error *error);

/* Whether the key passes include and exclude. Redis's glob rules (*, ?, [...], \), any bytes. */
bool settings_key_wanted(const struct settings *s, struct slice key);
/* Whether keys that the target has may be written over: not with --on-conflict skip or stop, nor in a null sink. */
bool settings_repairs(const struct settings *s);
/* Whether the run itself uses this key in the target: df2redis:NAME, or df2redis:NAME: and more. */
bool settings_key_reserved(const struct settings *s, struct slice key);
/* The target's database for one of the source; false: that database is not copied. */
bool settings_db_target(const struct settings *s, uint32_t db, uint32_t *target_db);

#endif
