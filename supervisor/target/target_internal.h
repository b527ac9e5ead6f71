/* What the files of a target's job share. */
#ifndef DF2REDIS_SUPERVISOR_TARGET_TARGET_INTERNAL_H
#define DF2REDIS_SUPERVISOR_TARGET_TARGET_INTERNAL_H

#include "common/net/client.h"
#include "supervisor/target/target.h"

enum { TARGET_KEY_BYTES = 160, TARGET_ADDRESSES = 16 };

/* One connection. */
struct target_node {
    struct target_job *job;
    struct client *client;
    struct capabilities capabilities;
    char name[256];
    int answered; /* of the probe's commands */
    bool away;    /* it cannot be reached, and need not be */
    struct target_marks marks;
    /* TARGET_ASK: target_probe.c */
    char mark_key[TARGET_KEY_BYTES];
    struct target_memory memory;
    uint32_t select_asked, selected;
    unsigned outside_told;
    bool strange;  /* what it answers to EXEC and DISCARD is not what a server would */
    bool no_multi; /* it may not be run: nothing else can be asked */
    bool no_exec, no_discard;
    struct rights rights;
    size_t rights_told;
    uint32_t database, databases; /* that is looked through, of so many (TARGET_CLEAN) */
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
    struct topology topology; /* count 0: not a cluster, as far as it is known */
    struct topology *known;
    struct target_node *nodes; /* of a cluster in the order of its topology; before that, who is asked */
    size_t count;
    size_t pending; /* answers of this step that are still to come */
    size_t seed;    /* who was asked last: 0 the URI, then `known` */
    /* Of the URI's host, once a replica has answered there and it has several: one after the other is asked. */
    struct uri addresses[TARGET_ADDRESSES];
    size_t address_count, address;
    bool next_address;
    struct event *again;  /* after a failure that may pass */
    uint64_t deadline_ms; /* for that; 0: nothing says that this is a cluster */
    bool warned, over;
    bool slots_refused; /* the user of a cluster's node may not ask for its slots */
    bool begun;         /* its task */
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
/* target_task.c. Every node is known. */
void target_perform(struct target_job *job);
/* target_clean.c */
void target_clean(struct target_job *job);

#endif
