/* What df2redis check looks at beyond what each start of a run asks, and the rules about it.
 *
 *   ask_source.c   ask_target.c   look_here.c     fill the facts: questions to the servers; the machine
 *         └──────────────┼──────────────┘
 *                   judge.c                       one function per probe: facts in, findings out. Pure
 *
 * A fact that could not be had is unknown, and so is its probe. */
#ifndef DF2REDIS_SUPERVISOR_CHECK_FACTS_H
#define DF2REDIS_SUPERVISOR_CHECK_FACTS_H

#include "common/redis/capabilities.h"
#include "common/settings/settings.h"
#include "supervisor/rules/findings.h"

/* A server's clock and distance, by TIME. */
struct clock_facts {
    bool known;
    int64_t ahead_ms; /* of ours */
    uint64_t round_trip_us;
};
/* now_ms: when the answer came, by our clock. The server's time is taken for that of half a round trip before. */
void clock_facts_read(struct clock_facts *out, const redisReply *reply, uint64_t round_trip_us,
                      int64_t now_ms);

enum { SAMPLE_TYPES = 16 };

/* Some keys of the source. */
struct key_sample {
    bool known;
    uint64_t keys;
    struct {
        char name[24]; /* as TYPE says */
        uint64_t keys;
    } types[SAMPLE_TYPES];
    size_t type_count;
    bool sized;             /* MEMORY USAGE was answered */
    uint64_t largest_bytes; /* 0: all are kept within the table */
    char largest[100];      /* its key, printable */
    bool largest_is_string;
};
void key_sample_add(struct key_sample *s, const redisReply *type, const redisReply *memory, const char *key);

struct source_more {
    struct clock_facts clock;
    bool lsns_known;
    uint64_t lsns;    /* their sum; 0: nothing is journaled, since no replica was there yet */
    uint64_t entries; /* of the shard with most of them, within … */
    uint64_t within_ms;
    bool pause_known, pause_refused; /* CLIENT PAUSE, for a cut-over */
    struct key_sample sample;
};

/* Of all masters together. */
struct target_more {
    struct clock_facts clock; /* the one that differs most; the longest round trip */
    bool query_limit_known;
    uint64_t query_bytes; /* client-query-buffer-limit, the smallest */
    bool persistence_known;
    bool save_failed, save_stops_writes, aof_failed;
    bool replicas_known;
    uint64_t replicas;        /* connected, of the master with fewest */
    uint64_t replicas_needed; /* min-replicas-to-write */
    bool slots_known;         /* in a cluster */
    uint64_t open_slots;
    bool runs_known;
    char other_run[80]; /* a df2redis run of another name that is connected; "" */
    bool same_run;      /* one of this name is */
};
/* From the replies to CLIENT LIST, INFO PERSISTENCE, INFO REPLICATION. */
void target_more_clients(struct target_more *m, const redisReply *reply, const char *run);
void target_more_persistence(struct target_more *m, const redisReply *reply);
void target_more_replication(struct target_more *m, const redisReply *reply);

struct here_facts {
    bool looked;
    struct error state; /* class ERROR_NONE: the state directory may be used */
    char dir[300];      /* the existing directory at or above it */
    bool room_known;
    uint64_t free_bytes;
    bool in_memory;      /* a tmpfs */
    uint64_t files;      /* RLIMIT_NOFILE; 0: unknown */
    int landlock;        /* version; 0: none */
    struct error worker; /* class ERROR_NONE: the worker's program is there */
};

struct check_facts {
    const struct settings *settings;
    const char *source, *target;     /* names, for the text */
    uint32_t flow_count;             /* 0: unknown */
    bool source_known, target_known; /* it was reached, and can be used */
    struct capabilities capabilities;
    size_t masters;
    struct source_more source_more;
    struct target_more target_more;
    struct here_facts here;
};

/* ---- the probes ---- */

void judge_state_dir(const struct check_facts *f, struct findings *out);
void judge_worker(const struct check_facts *f, struct findings *out);
void judge_room(const struct check_facts *f, struct findings *out);
void judge_files(const struct check_facts *f, struct findings *out);
void judge_confinement(const struct check_facts *f, struct findings *out);

void judge_limits(const struct check_facts *f, struct findings *out);
void judge_writes(const struct check_facts *f, struct findings *out);
void judge_replicas(const struct check_facts *f, struct findings *out);
void judge_slots(const struct check_facts *f, struct findings *out);
void judge_runs(const struct check_facts *f, struct findings *out);

void judge_backlog(const struct check_facts *f, struct findings *out);
void judge_types(const struct check_facts *f, struct findings *out);
void judge_largest(const struct check_facts *f, struct findings *out);
void judge_cutover(const struct check_facts *f, struct findings *out);

void judge_clocks(const struct check_facts *f, struct findings *out);
void judge_round_trips(const struct check_facts *f, struct findings *out);

#endif
