/* Shared by the files of a target's job. */
#ifndef DF2REDIS_SUPERVISOR_TARGET_TARGET_INTERNAL_H
#define DF2REDIS_SUPERVISOR_TARGET_TARGET_INTERNAL_H

#include "common/net/client.h"
#include "supervisor/target/target.h"

enum { TARGET_ADDRESSES = 16 };

/* One connection. */
struct target_node {
    struct target_job *job;
    struct client *client;
    struct capabilities capabilities;
    char name[256];
    int answered; /* of the probe's commands */
    bool away;    /* unreachable, and the task can do without it */
    struct target_marks marks;
    uint64_t evicted; /* keys, since it was started, before this task has written anything */
    /* TARGET_ASK: target_probe.c */
    char mark_key[SLOT_KEY_BYTES];
    struct target_memory memory;
    uint32_t select_asked, selected;
    unsigned outside_told;
    bool strange;  /* its answers to EXEC and DISCARD outside of MULTI are not those of a Redis */
    bool no_multi; /* MULTI is refused: the other rights cannot be probed */
    bool no_exec, no_discard;
    struct rights rights;
    size_t rights_told;
    uint32_t database, databases; /* TARGET_CLEAN: the one being scanned; their number */
};

struct target_job {
    struct event_base *base;
    const struct settings *settings;
    struct target_callbacks callbacks;
    /* Set by target.c: a connection's probe is complete; a connection has failed. */
    void (*node_probed)(struct target_node *n);
    void (*node_failed)(struct target_node *n, const struct error *error);
    enum target_task task;
    uint64_t session;
    char name[256];
    struct topology topology; /* count 0: not a cluster, as far as is known */
    struct topology *known;
    struct target_node *nodes; /* of a cluster in the order of its topology; before that, the seed alone */
    size_t count;
    size_t pending; /* answers that this step still expects */
    size_t seed;    /* the node asked for the masters: 0 the URI's, then those of `known` */
    /* The addresses of the URI's host, tried in turn after a replica has answered at the first. */
    struct uri addresses[TARGET_ADDRESSES];
    size_t address_count, address;
    bool next_address;
    struct event *again;  /* another attempt after a failure that may pass */
    uint64_t deadline_ms; /* of the attempts; 0: not known to be a cluster */
    struct error last;    /* of the latest attempt that failed */
    bool warned, over;
    bool slots_refused; /* CLUSTER SLOTS is refused to the user */
    bool begun;         /* the task has begun */
    bool empty;         /* was found so: no flush */
    struct capabilities capabilities;
    struct target_marks marks;
    struct target_cleaned cleaned;
};

/* target_job.c. Ends the job, or arranges another attempt where the failure may pass. */
void target_fail(struct target_job *job, const struct error *error);
void target_done(struct target_job *job);
bool target_is_cluster(const struct target_job *job);
/* Counts one of the step's answers. True: it was the last, and the job still goes on. */
bool target_answered(struct target_job *job);
/* The number of nodes that are not away. */
size_t target_nodes_there(const struct target_job *job);
/* The number of nodes that can be asked for the masters: that of the URI, and the known masters. */
size_t target_seeds(const struct target_job *job);
/* True: the next address of the URI's host is tried from the event loop. */
bool target_ask_next_address(struct target_job *job);
/* Ends the job: none of the addresses led to a master. last: the error of the last one. */
void target_no_master_found(struct target_job *job, const struct error *last);

/* target_node.c. Connects and probes; then node_probed or node_failed. */
bool target_node_open(struct target_node *n, struct target_job *job, const struct uri *uri,
                      struct error *error);
void target_node_close(struct target_node *n);
/* target_probe.c. The probe's second half; then node_probed. */
void target_node_probe_more(struct target_node *n);
/* The answer to INFO stats. */
void target_node_take_evicted(struct target_node *n, const redisReply *reply);
/* target_task.c. Every node is known. */
void target_perform(struct target_job *job);
/* target_clean.c */
void target_clean(struct target_job *job);

#endif
