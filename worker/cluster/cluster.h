/* A Redis Cluster as the target: one link to each master. Shared by cluster.c (trouble),
 * cluster/recover.c, cluster/same_process.c (is a node who it was?), cluster/nodes.c (links), cluster/migrations.c
 * (slots on their way), cluster/open_slots.c (those that stay so), cluster/liveness.c (is who gave slots away still
 * there?), cluster/empty_masters.c (masters without slots), cluster/marks.c, cluster/loss.c (marks that are gone),
 * cluster/flush_notes.c (which flushes the nodes have had), cluster/write.c (routing) and cluster/replicas.c
 * (WAIT); the rest of the worker knows it as the router only.
 *
 *   asking ──CLUSTER SLOTS──> linking ──every master greeted, every mark read──> ready
 *     ^                                                                            │
 *     └── a link lost, MOVED, ASK, another topology: nothing more is sent, answers are awaited ──┘
 *
 * In trouble nothing is guessed: what is unanswered is in doubt slot by slot, and positions.c tells from
 * marks and memory where each slot stands. Then the decoder begins again at the one furthest behind, and what
 * a slot has already is left out. */
#ifndef DF2REDIS_WORKER_CLUSTER_CLUSTER_H
#define DF2REDIS_WORKER_CLUSTER_CLUSTER_H

#include "common/net/client.h"
#include "worker/cluster/members.h"
#include "worker/cluster/positions.h"
#include "worker/target/router_internal.h"

/* What was found in node-N of some slot of a node. */
struct node_candidate {
    struct mark mark;
    struct marked_node of;
};

/* A note in the field flushed of some slot of a node: the last global command that was run on `on`. */
struct flush_note {
    uint64_t session, txid;
    struct marked_node on;
};

/* A question of router_ask(). */
struct question {
    struct node *node;
    uint16_t slot;
    router_answer *answer;
    void *arg;
    uint64_t serial;
};

struct node {
    struct cluster *cluster;
    struct client *reader;        /* for questions */
    struct question questions[2]; /* no more at once */
    unsigned question_count;
    size_t index; /* in the topology */
    struct uri uri;
    char name[320];
    struct link_config config;
    struct link *link;
    bool ready;
    bool gave_up;               /* its link gave batches up */
    bool gave_slots;            /* others serve slots that were its own at the last judgement */
    bool expects_slots;         /* some are on their way to it (cluster/migrations.c) … */
    bool in_migrations;         /* … when this was asked, over the link it has */
    bool migrations_asked;      /* and has not answered yet */
    int incoming_slot;          /* one of them, which it does not serve; NO_SLOT */
    struct trouble own_trouble; /* of an idle one: it concerns nobody else */
    bool intact;                /* by the last judgement: it has lost nothing */
    bool mark_written;          /* its mark was written since */
    /* Slots whose marks tell, when read, that it was emptied: NO_SLOT. */
    int missing_slot;   /* it was there before */
    int unclaimed_slot; /* it was written after that, by a process that did not see the answer */
    /* As it was when it was greeted. */
    struct capabilities target;
    uint64_t greeted_ms;
    uint16_t *slots; /* whose marks are read while greeting */
    size_t slot_count;
    struct node_candidate *candidates;
    size_t candidate_count;
    struct flush_note *notes; /* found there, its own or others' */
    size_t note_count;
    uint64_t wait_sent_ms, no_wait_until_ms; /* for its replicas; not again before */
};

/* Whether one is there that had slots which others serve now (cluster/liveness.c). */
struct liveness {
    struct cluster *cluster;
    char id[41];
    struct uri uri;
    struct client *client;
    enum { LIVENESS_WANTED, LIVENESS_ASKED, LIVENESS_KNOWN } state;
};

/* A slot between two nodes (cluster/open_slots.c). */
struct open_slot {
    uint16_t slot;
    bool served;                                  /* by `to`, behind ASKING */
    bool doubted;                                 /* served: is it still on its way? */
    uint64_t met_first_ms, met_last_ms, retry_ms; /* met first and last; not looked after before */
    char from[41], to[41];                        /* ids */
};

enum { NO_SLOT = -1, CLUSTER_REFRESH_EVERY_MS = 2000 };

/* The fields of a slot's hash that concern this FLOW: bits. */
enum slot_fields { FIELD_FLOW = 1, FIELD_NODE = 2, FIELD_RUN = 4 };

struct cluster {
    struct router *router;
    struct topology topology;      /* slots that are served behind ASKING are their new node's */
    struct topology next_topology; /* half asked for */
    struct node **nodes;           /* as in the topology */
    size_t count;
    struct identities known;                /* of nodes that were judged */
    bool recovered;                         /* once, at least */
    uint64_t sent_seq;                      /* all that was ever sent, at the last judgement */
    uint16_t previous_owner[CLUSTER_SLOTS]; /* since then: who had it, an index into known; IDENTITY_NONE */
    struct liveness **liveness;             /* of those */
    size_t liveness_count;
    struct positions positions;
    const struct node *routed_to[CLUSTER_SLOTS]; /* since the last judgement; only compared */
    uint16_t importing_node[CLUSTER_SLOTS];      /* the node where ASK led to for its marks; or enum also */
    uint64_t flushed_txid; /* of the newest flush of this session that every node has had */
    bool ready;
    bool topology_known; /* the topology, since the trouble began */
    struct client *topology_client;
    struct uri topology_address; /* it asks */
    unsigned address_turn;       /* who is next */
    struct event *timer;
    uint32_t backoff_ms;
    uint64_t trouble_ms; /* when it was last */
    /* Answers like MOVED and ASK. */
    int redirect_slot; /* the last one that was told */
    uint64_t redirect_since_ms, redirect_last_ms, redirects, redirects_logged_ms;
    /* Marks that were elsewhere when asked for (cluster/marks.c). */
    uint8_t unread[CLUSTER_SLOTS];
    size_t unread_count;
    struct client *reading_client;
    uint16_t reading_slots[256];
    size_t reading_count, reading_at;
    struct uri ask_uri; /* where the last of them lies that is on its way to another node; host NULL: none */
    uint16_t ask_slot;
    bool reading_by_asking;     /* it is read now … */
    char reading_id[41];        /* … at this node; empty: it is none that is known */
    bool topology_stale;        /* the topology, by what was read … */
    struct error reading_error; /* … or it was refused otherwise */
    /* Slots on their way. */
    struct open_slot *open_slots;
    size_t open_slot_count;
    struct open_slot_work *open_slot_work;
    uint8_t by_asking[CLUSTER_SLOTS]; /* served behind ASKING */
    /* Masters without slots. */
    bool empty_masters_changed;  /* there are others than in the topology */
    bool migrations_wanted;      /* to know which nodes slots are on their way to */
    bool migrations_fresh;       /* asked since the trouble began */
    unsigned migrations_awaited; /* answers */
    uint64_t migrations_known_ms;
    int slot_to_no_master;            /* on its way to one that is no master any more; NO_SLOT */
    uint8_t migrating[CLUSTER_SLOTS]; /* who tells: bits of enum told_by */
    /* The open round. */
    struct batch *once_of[CLUSTER_SLOTS];
    uint16_t once_slots[CLUSTER_SLOTS]; /* that have one */
    size_t once_used;
    struct batch *into;                 /* the next command goes there, whatever its key */
    uint64_t seq, lsn;                  /* of the entry that is written */
    uint8_t marked[CLUSTER_SLOTS];      /* slots with marks of this FLOW */
    uint8_t mark_fields[CLUSTER_SLOTS]; /* what is known to stand there: bits of enum slot_fields */
    bool flushing;                      /* the source's flush may take marks away: nothing is known of them */
};

/* cluster.c */
void cluster_trouble(struct cluster *c,
                     struct error *error); /* nothing more is sent, the topology is asked for */
void cluster_proceed(struct cluster *c);
void cluster_refresh_soon(struct cluster *c);               /* asks for the topology, soon … */
void cluster_refresh_later(struct cluster *c, uint32_t ms); /* … or then */
/* A master without slots: it is linked where it can be, for the flushes and for slots on their way to it, and
 * missed by nobody else. */
static inline bool cluster_is_empty(const struct cluster *c, size_t node)
{
    return c->topology.nodes[node].slots == 0;
}

/* cluster/recover.c */
void cluster_recover(struct cluster *c);
void cluster_load_nodes(struct cluster *c);
/* Is n the replica that took over from that one? */
bool cluster_is_promoted_from(const struct cluster *c, const struct node *n, const struct identity *of);
void cluster_remember(struct cluster *c, const struct node *n); /* as what it is now … */
void cluster_forget_identity(struct cluster *c,
                             const struct node *n); /* … or as nobody, when nothing is known yet */
/* What it had may be lost, wherever it is now. (Its heir is known all the same.) */
void cluster_forget_run_id(struct cluster *c, const char *id);
/* By what is remembered it has lost nothing. */
bool cluster_is_intact(const struct cluster *c, const struct node *n);
/* Is there anything of this session that could have been lost? */
bool cluster_has_earlier_writes(const struct cluster *c);

/* cluster/same_process.c */
/* Is n that process, with that history? */
bool cluster_is_process(const struct node *n, const char *run_id, const char *replid);
/* Did the process that n is, with the history that it has, take what was written to that one? */
bool cluster_mark_names(const struct node *n, const struct marked_node *as);
/* It, or, where it lies with n itself, one that served the slots that n serves: then n has its data from that. */
bool cluster_covers(const struct cluster *c, const struct node *n, const struct node *at,
                    const struct marked_node *as);

/* cluster/liveness.c */
void cluster_liveness_want(struct cluster *c, const char *id, const struct uri *uri);
/* Is there nothing to be asked? False: cluster_proceed() follows. */
bool cluster_liveness_settled(struct cluster *c);
void cluster_liveness_forget(struct cluster *c);

/* cluster/migrations.c */
/* Is there nothing to be asked about slots on their way? False: cluster_proceed() follows, or, while ready,
 * cluster_idle_moves_known(). */
bool cluster_migrations_settled(struct cluster *c);
/* Is all known that the judgement takes? False: cluster_proceed() follows. */
bool cluster_migrations_known(struct cluster *c);
/* False (ERROR_REDIRECT): one that may have lost something has or expects keys from another node. */
bool cluster_migrations_check(struct cluster *c, const struct position_node *nodes, struct error *error);
void cluster_migrations_silent(struct node *n); /* it does not answer */
void cluster_migrations_forget(struct cluster *c);

/* cluster/empty_masters.c */
void cluster_empty_master_ready(struct node *n); /* it is connected */
void cluster_empty_masters_assess(struct cluster *c);
void cluster_remember_masters(struct cluster *c);
/* While ready: another look at the cluster, in which the same nodes serve. Takes it over. */
void cluster_note_topology(struct cluster *c, struct topology *fresh);

/* cluster/open_slots.c */
/* A node answered ASK or TRYAGAIN for it. */
void cluster_open_slot_met(struct cluster *c, uint16_t slot);
/* A node answered MOVED for it. */
void cluster_open_slot_doubt(struct cluster *c, uint16_t slot);
/* In a topology that was asked for: such slots to the nodes that serve them. */
void cluster_open_slots_apply(struct cluster *c, struct topology *t);
/* Is there nothing to be done about them? False: cluster_proceed() or a new topology follows. */
bool cluster_open_slots_settled(struct cluster *c);
/* While ready, from time to time: are they still on their way? */
void cluster_open_slots_check(struct cluster *c);
void cluster_open_slots_free(struct cluster *c);

/* cluster/nodes.c */
void cluster_adopt(struct cluster *c, struct topology *fresh); /* takes it over */
void cluster_free_node(struct node *n);
void cluster_link_again(struct node *n); /* after its link was lost */
/* Its connection for questions; NULL: there is none, and the trouble is told. */
struct client *cluster_reader(struct node *n);

/* cluster/marks.c */
struct position_mark cluster_position(const struct cluster *c, const struct mark *mark);
void cluster_take_mark(struct cluster *c, struct node *n, uint16_t slot, const struct slot_mark *mark);
void cluster_set_unread(struct cluster *c, uint16_t slot, bool unread);
void cluster_read_unread(struct cluster *c);
void cluster_stop_reading(struct cluster *c);
/* The node that is reached there; TOPOLOGY_NOBODY. */
size_t cluster_find_address(const struct cluster *c, const struct uri *uri);
/* "ASK 3999 127.0.0.1:6381": *to, which is zeroed, is where it leads. */
bool cluster_read_ask(const struct cluster *c, const redisReply *reply, struct uri *to);

/* cluster/loss.c */
/* The slot's hash was read, or the mark in b written. */
void cluster_loss_read(struct node *n, uint16_t slot, const struct slot_mark *mark);
void cluster_loss_written(struct node *n, const struct batch *b);
/* False (ERROR_REDIRECT, or ERROR_FATAL for one that evicts): a node that is who it was has lost marks, and
 * so perhaps anything. */
bool cluster_loss_check(const struct cluster *c, const struct position_node *nodes, struct error *error);
/* After the judgement, for a successor: does every master have its mark? */
void cluster_loss_note_unmarked(struct cluster *c);

/* cluster/flush_notes.c */
void cluster_flush_note_read(struct node *n, const struct slot_mark *mark);
/* The newest flush that every master with slots has had, into at->mark. */
void cluster_flush_notes_newest(const struct cluster *c, struct position *at);

#endif
