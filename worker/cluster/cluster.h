/* A Redis Cluster as the target: one link to each master. The rest of the worker sees only the router.
 *
 * The main calls, from caller to callee:
 *
 *   router.c ──→ write.c            commands, marks and flushes into the open round, by slot and node
 *      │         replicas.c         WAIT for the replicas of a node
 *      └──→ cluster.c               from trouble to ready: the topology, then, in this order,
 *             ├─→ nodes.c              nodes and links of the topology
 *             ├─→ open_slots.c         slots that stay open
 *             ├─→ marks.c              marks of slots that other nodes hold by now
 *             ├─→ migrations.c         which slots are migrating, if the recovery depends on it
 *             ├─→ liveness.c           probes of masters whose slots other nodes serve
 *             └─→ recover.c            the position of each slot
 *                    ├─→ loss.c            marks that are missing
 *                    ├─→ migrations.c      keys that may be lost in a migration
 *                    ├─→ positions.c       memory and marks, slot by slot
 *                    └─→ flush_notes.c     flushes that the masters have run
 *
 *   below them: same_process.c       whether a node is the process that a mark or an identity names
 *               members.c            identities of the nodes, in a file for a successor
 *               empty_masters.c      masters without slots
 *
 * A step that waits for replies returns. After them cluster_proceed() begins again with the first step.
 *
 *   refreshing ──CLUSTER SLOTS──> linking ──every master greeted, every mark read──> ready
 *     ^                                                                               │
 *     └── a link lost, MOVED, ASK, another topology: nothing more is sent, answers are awaited ──┘
 *
 * In trouble unanswered commands put their slots in doubt, and positions.c determines the position of each slot from
 * memory and marks. The decoder restarts at the slot that is furthest behind; entries that a slot already has are
 * left out. */
#ifndef DF2REDIS_WORKER_CLUSTER_CLUSTER_H
#define DF2REDIS_WORKER_CLUSTER_CLUSTER_H

#include "common/net/client.h"
#include "worker/cluster/members.h"
#include "worker/cluster/positions.h"
#include "worker/target/router_internal.h"

/* The mark of a node: field node-N, found in a slot of this or another node. */
struct node_candidate {
    struct mark mark;
    struct marked_node of; /* the node that it was written to */
};

/* A flush note, found in a slot of this or another node: the newest global command that `on` has run. */
struct flush_note {
    uint64_t session, txid;
    struct marked_node on;
};

/* A reading command of router_ask(), without its reply yet. */
struct question {
    struct node *node;
    uint16_t slot;
    router_answer *answer;
    void *arg;
    uint64_t serial;
};

struct node {
    struct cluster *cluster;
    struct client *reader;        /* connection for questions; NULL: none */
    struct question questions[2]; /* at most two are pending */
    unsigned question_count;
    size_t index; /* in the topology */
    struct uri uri;
    char name[320]; /* for messages: "target HOST:PORT" */
    struct link_config config;
    struct link *link;
    bool ready;
    bool gave_up;               /* a batch of this link was dropped */
    bool gave_slots;            /* since the last recovery other nodes serve slots of it */
    bool expects_slots;         /* slots are migrating to it (migrations.c) … */
    bool in_migrations;         /* … which was asked while its present link was ready */
    bool migrations_asked;      /* an empty master: its own reply is awaited */
    int incoming_slot;          /* a slot that is migrating to it, served by another node; NO_SLOT */
    struct trouble own_trouble; /* of an empty master: the run does not wait for it */
    bool intact;                /* by the last recovery: it has lost no acknowledged writes */
    bool mark_written;          /* its mark was acknowledged on this link */
    /* Slots whose marks show that the node was emptied; NO_SLOT. */
    int missing_slot; /* a mark known to this process is gone */
    int unclaimed_slot; /* a mark lacks the field run: a process wrote it after the loss, and died before the answer */
    /* From its greeting. */
    struct capabilities target;
    uint64_t greeted_ms;
    uint16_t *slots; /* their marks are read during the greeting */
    size_t slot_count;
    struct node_candidate *candidates; /* marks of nodes in its slots, its own or others' */
    size_t candidate_count;
    struct flush_note *notes; /* likewise */
    size_t note_count;
    uint64_t wait_sent_ms;     /* WAIT was put into a round; 0: none */
    uint64_t no_wait_until_ms; /* after a WAIT that timed out */
};

/* A master whose slots other nodes serve since the last recovery: is it alive, and the same process? (liveness.c) */
struct liveness {
    struct cluster *cluster;
    char id[41];
    struct uri uri;
    struct client *client;
    enum { LIVENESS_WANTED, LIVENESS_ASKED, LIVENESS_KNOWN } state;
};

/* An open slot: MIGRATING on one node, IMPORTING on another (open_slots.c). */
struct open_slot {
    uint16_t slot;
    bool served;                        /* by `to`, after ASKING */
    bool doubted;                       /* served: the owner is probed again */
    uint64_t met_first_ms, met_last_ms; /* ASK or TRYAGAIN came for it */
    uint64_t retry_ms;                  /* no attempt to move its keys before; 0: at any time */
    char from[41], to[41];              /* ids of the nodes, once served */
};

enum { NO_SLOT = -1, CLUSTER_REFRESH_EVERY_MS = 2000 };

/* Fields in the hash of a slot, as bits. */
enum slot_fields { FIELD_FLOW = 1, FIELD_NODE = 2, FIELD_RUN = 4 };

struct cluster {
    struct router *router;
    struct topology topology;      /* a slot served after ASKING belongs to the importing node */
    struct topology next_topology; /* from CLUSTER SLOTS, until CLUSTER NODES is answered */
    struct node **nodes;           /* by index in the topology */
    size_t count;
    struct identities known;                /* identities, by the last recovery or the predecessor's file */
    bool recovered;                         /* at least once by this process */
    uint64_t sent_seq;                      /* greatest seq ever sent to the cluster, by the last recovery */
    uint16_t previous_owner[CLUSTER_SLOTS]; /* of moved slots: index in `known`; IDENTITY_NONE */
    struct liveness **liveness;             /* of previous owners */
    size_t liveness_count;
    struct positions positions;
    const struct node *routed_to[CLUSTER_SLOTS]; /* since the last recovery; pointers for comparison only */
    uint16_t importing_node[CLUSTER_SLOTS];      /* the node that ASK named for the mark; or enum importing */
    uint64_t flushed_txid; /* of the newest flush of this session that every node has run; 0: none */
    bool ready;
    bool topology_known;            /* refreshed since the trouble began */
    struct client *topology_client; /* refreshes the topology; NULL: no request is pending */
    struct uri topology_address;    /* where it is connected */
    unsigned address_turn;          /* number of the address that is next */
    struct event *timer;
    uint32_t backoff_ms;
    uint64_t trouble_ms; /* time of the last trouble that started the timer */
    /* MOVED, ASK and the like, for the log. */
    int redirect_slot;                            /* slot of a series of redirections */
    uint64_t redirect_since_ms, redirect_last_ms; /* first and last of the series */
    uint64_t redirects, redirects_logged_ms;      /* number since the last log line, and its time */
    /* Marks to be read from other nodes than expected (marks.c). */
    uint8_t unread[CLUSTER_SLOTS];
    size_t unread_count;
    struct client *reading_client;
    uint16_t reading_slots[256]; /* in this request */
    size_t reading_count, reading_at;
    struct uri ask_uri; /* address in the last ASK for a mark, of slot ask_slot; host NULL: none */
    uint16_t ask_slot;
    bool reading_by_asking;     /* the request goes to the importing node … */
    char reading_id[41];        /* … of this id; empty: not in the topology */
    bool topology_stale;        /* by an answer to this request … */
    struct error reading_error; /* … which was this error; ERROR_NONE: MOVED */
    /* Open slots. */
    struct open_slot *open_slots;
    size_t open_slot_count;
    struct open_slot_work *open_slot_work; /* the one whose owner is connected; NULL: none */
    uint8_t by_asking[CLUSTER_SLOTS];      /* served after ASKING */
    /* Empty masters and migrations. */
    bool empty_masters_changed;       /* the newest CLUSTER NODES lists others than the topology */
    bool migrations_wanted;           /* the masters are asked, or will be */
    bool migrations_fresh;            /* answered since the trouble began */
    unsigned migrations_awaited;      /* number of replies */
    uint64_t migrations_known_ms;     /* time of the last reply; 0: unknown */
    int slot_to_no_master;            /* migrating to a node that is not a master, or failed; NO_SLOT */
    uint8_t migrating[CLUSTER_SLOTS]; /* reported by its owner or importer: bits of enum reported_by */
    /* The open round. */
    struct batch *once_of[CLUSTER_SLOTS];
    uint16_t once_slots[CLUSTER_SLOTS]; /* the slots that have one */
    size_t once_used;
    struct batch *into;                 /* batch of the next commands, whatever their keys; NULL: by key */
    uint64_t seq, lsn;                  /* of the current entry */
    uint8_t marked[CLUSTER_SLOTS];      /* the slot has a mark of this FLOW */
    uint8_t mark_fields[CLUSTER_SLOTS]; /* fields known to exist: bits of enum slot_fields */
    bool flushing; /* a flush of the source may remove marks: no field is known to exist */
};

/* cluster.c */
/* Stops sending, and refreshes the topology; calls `lost` if the cluster was ready. Any other error than ERROR_RETRY:
 * only calls `lost`. */
void cluster_trouble(struct cluster *c, struct error *error);
/* Takes the next steps of a recovery until one has to wait; does nothing while ready. */
void cluster_proceed(struct cluster *c);
void cluster_refresh_soon(struct cluster *c); /* refreshes the topology in 10 ms … */
void cluster_refresh_later(struct cluster *c, uint32_t ms);
/* Whether it is an empty master: it is linked if it can be reached, for flushes and for slots that migrate to it. The
 * run does not wait for it otherwise. */
static inline bool cluster_is_empty(const struct cluster *c, size_t node)
{
    return c->topology.nodes[node].slots == 0;
}

/* cluster/recover.c */
/* Determines the position of each slot: `ready` of the router, or `lost` if a full sync is needed. */
void cluster_recover(struct cluster *c);
void cluster_load_nodes(struct cluster *c);
/* Whether n is the promoted replica of that node. */
bool cluster_is_promoted_from(const struct cluster *c, const struct node *n, const struct identity *of);
/* Stores the identity of n as it is now … */
void cluster_remember(struct cluster *c, const struct node *n);
/* … or as unknown. */
void cluster_forget_identity(struct cluster *c, const struct node *n);
/* The node may have lost writes, wherever its slots are now. Its replication id stays, so that its promoted replica is
 * recognized. */
void cluster_forget_run_id(struct cluster *c, const char *id);
/* Whether n has lost no acknowledged writes, by identities and marks. */
bool cluster_is_intact(const struct cluster *c, const struct node *n);
/* Whether the target may have writes of this session, or of one that it continues. */
bool cluster_has_earlier_writes(const struct cluster *c);

/* cluster/same_process.c */
/* Whether n is that process, with that history. */
bool cluster_is_process(const struct node *n, const char *run_id, const char *replid);
/* Whether n is the process, with the history, that a mark names. */
bool cluster_mark_names(const struct node *n, const struct marked_node *as);
/* Whether a mark that lies on node `at` covers n: it names n; or n itself holds it, and serves the slots that the named
 * node served, so that it has the data of that node. */
bool cluster_covers(const struct cluster *c, const struct node *n, const struct node *at,
                    const struct marked_node *as);

/* cluster/liveness.c */
/* Other nodes serve slots of this master: it is probed before the next recovery, if that depends on it. */
void cluster_liveness_want(struct cluster *c, const char *id, const struct uri *uri);
/* Whether no probe is pending or due. False: cluster_proceed() follows. */
bool cluster_liveness_settled(struct cluster *c);
void cluster_liveness_forget(struct cluster *c);

/* cluster/migrations.c */
/* Whether no query of migrations is wanted. False: cluster_proceed() follows, or, while ready,
 * cluster_empty_masters_assess(). */
bool cluster_migrations_settled(struct cluster *c);
/* Whether the migrations that a recovery depends on are known. False: cluster_proceed() follows. */
bool cluster_migrations_known(struct cluster *c);
/* False (ERROR_REDIRECT): a node that may have lost writes was giving or receiving keys of a slot, or a slot may have
 * been taken over without its keys. */
bool cluster_migrations_check(struct cluster *c, const struct position_node *nodes, struct error *error);
void cluster_migrations_silent(struct node *n); /* an empty master does not reply */
void cluster_migrations_forget(struct cluster *c);

/* cluster/empty_masters.c */
void cluster_empty_master_ready(struct node *n); /* n is connected; does nothing if n has slots */
/* While ready, the migrations are known: remembers the empty masters that were restarted; trouble if a slot was
 * migrating to one. */
void cluster_empty_masters_assess(struct cluster *c);
/* After a recovery: stores the identities of all masters that are connected. */
void cluster_remember_masters(struct cluster *c);
/* While ready: takes over a refreshed topology in which the same nodes serve the same slots. */
void cluster_note_topology(struct cluster *c, struct topology *fresh);

/* cluster/open_slots.c */
/* A node answered ASK or TRYAGAIN for the slot. */
void cluster_open_slot_met(struct cluster *c, uint16_t slot);
/* A node answered MOVED for the slot. */
void cluster_open_slot_doubt(struct cluster *c, uint16_t slot);
/* Gives the open slots of a new topology to the importing nodes that serve them. */
void cluster_open_slots_apply(struct cluster *c, struct topology *t);
/* Whether no open slot needs a probe or a move of its keys. False: cluster_proceed() or a refresh follows. */
bool cluster_open_slots_settled(struct cluster *c);
/* While ready, after each refresh: probes the owners of slots that are served after ASKING. */
void cluster_open_slots_check(struct cluster *c);
void cluster_open_slots_free(struct cluster *c);

/* cluster/nodes.c */
/* Takes over a new topology: keeps, creates and frees nodes, and opens the links that are missing. */
void cluster_adopt(struct cluster *c, struct topology *fresh);
void cluster_free_node(struct node *n);
void cluster_link_again(struct node *n); /* after its link was lost */

/* cluster/marks.c */
/* What a mark says about this session. */
struct position_mark cluster_position(const struct cluster *c, const struct mark *mark);
/* Takes a slot's marks that were read on n. */
void cluster_take_mark(struct cluster *c, struct node *n, uint16_t slot, const struct slot_mark *mark);
void cluster_set_unread(struct cluster *c, uint16_t slot, bool unread);
/* Reads unread marks, as many as one request can. cluster_proceed() or a refresh follows. */
void cluster_read_unread(struct cluster *c);
void cluster_stop_reading(struct cluster *c);
/* The connection of n for questions. NULL: there is none; the cluster is in trouble unless n is an empty master. */
struct client *cluster_reader(struct node *n);
/* Index of the node with this address; TOPOLOGY_NOBODY. */
size_t cluster_find_address(const struct cluster *c, const struct uri *uri);
/* Parses "ASK 3999 127.0.0.1:6381" into *to, which was zeroed. */
bool cluster_read_ask(const struct cluster *c, const redisReply *reply, struct uri *to);

/* cluster/loss.c */
void cluster_loss_read(struct node *n, uint16_t slot,
                       const struct slot_mark *mark);             /* the slot's hash was read */
void cluster_loss_written(struct node *n, const struct batch *b); /* the mark in b is acknowledged */
/* False: an intact node lacks a mark, and so may lack any key. ERROR_REDIRECT; ERROR_FATAL for a node that evicts. */
bool cluster_loss_check(const struct cluster *c, const struct position_node *nodes, struct error *error);
/* After a recovery, for a successor: records whether some master has no mark. */
void cluster_loss_note_unmarked(struct cluster *c);

/* cluster/flush_notes.c */
void cluster_flush_note_read(struct node *n, const struct slot_mark *mark);
/* Sets at->mark to the newest flush that every master with slots has run. */
void cluster_flush_notes_newest(const struct cluster *c, struct position *at);

#endif
