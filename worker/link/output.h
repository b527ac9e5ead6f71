/* The destination of translated commands: the interface of the router to the translator.
 *
 * A command is written argument by argument into the batch for the node of its key. Commands of one key go to one link,
 * so their order is kept. Commands of one entry are in one batch. */
#ifndef DF2REDIS_WORKER_LINK_OUTPUT_H
#define DF2REDIS_WORKER_LINK_OUTPUT_H

#include "common/base/mem.h"

struct output;

enum output_flags {
    OUTPUT_IDEMPOTENT = 0, /* may run again on any later state if the rest of the stream follows in order */
    OUTPUT_ONCE = 1,       /* any other command: a mark goes with it */
    OUTPUT_CONFLICT =
        2, /* the answers nil, 0, an empty array, one with -2 in it, and BUSYKEY mean no effect: the key exists
              (--on-conflict), or the target lacks what the source had; of
              JSON.NUMINCRBY also: the sum may differ */
};

/* Number of nodes; output_node(i) as a flag sends a command without a key (SCRIPT LOAD) to node i. */
size_t output_nodes(const struct output *o);
/* Whether the target is a cluster: the keys of a command must be in one slot, and there is one database. */
bool output_by_slot(const struct output *o);
/* Whether the MULTI of the key's slot must name a key that never exists before a script is added to it; true once per
 * MULTI. A master that migrates the slot accepts a MULTI while it has all of its keys, but each call of a script checks
 * again: a key deleted by the commands before it, or by the script itself (alone), counts as migrated, and the script
 * fails after the commands before it have run. The probe makes the master refuse the whole MULTI instead. */
bool output_wants_probe(struct output *o, struct slice key, unsigned flags, bool alone);
enum { OUTPUT_NODE_SHIFT = 8 };
static inline unsigned output_node(size_t i)
{
    return ((unsigned)i + 1) << OUTPUT_NODE_SHIFT;
}

/* The commands that follow are of this entry. */
void output_entry(struct output *o, uint64_t seq);
/* db: database of the target. key: decides the node. flags: enum output_flags, output_node(). argc: number of arguments
 * with the name. */
void output_begin(struct output *o, uint32_t db, struct slice key, size_t argc, unsigned flags);
void output_arg(struct output *o, struct slice arg);
/* One argument from several parts. */
void output_arg_parts(struct output *o, const struct slice *parts, size_t count);
void output_end(struct output *o);

/* Limits of the target: bytes of an argument, of a command, of a MULTI. A command over a limit is not written. */
struct output_limits {
    size_t argument, command, multi;
};
void output_limit(struct output *o, struct output_limits most);
#define OUTPUT_UNLIMITED ((struct output_limits){SIZE_MAX, SIZE_MAX, SIZE_MAX})
/* Number of commands not written since the last call. */
unsigned output_left_out(struct output *o);

/* Arguments of at least this many bytes are borrowed, not copied; 0: never. Borrowed bytes must stay valid until the
 * batch is sent: disable it for temporary buffers. */
void output_borrow_from(struct output *o, size_t bytes);
size_t output_borrowing(const struct output *o);

static inline void output_text(struct output *o, const char *text)
{
    output_arg(o, slice_str(text));
}
void output_i64(struct output *o, int64_t v);
/* The shortest text that parses to the same double; inf, -inf as in Redis. */
void output_double(struct output *o, double v);

#endif
