/* Where translated commands go: the router's face towards the translator.
 *
 * A command is written argument by argument into the batch of the link that its key belongs to. Same
 * key → same link → same order, always. Commands of one entry are never cut apart by a batch's end. */
#ifndef DF2REDIS_WORKER_LINK_OUTPUT_H
#define DF2REDIS_WORKER_LINK_OUTPUT_H

#include "common/base/mem.h"

struct output;

enum output_flags {
    OUTPUT_IDEMPOTENT = 0, /* run again on any later state and followed by the rest in order: same end */
    OUTPUT_ONCE = 1,       /* anything else: carried exactly once by a mark */
    OUTPUT_CONFLICT =
        2, /* nil, 0, an empty array, one with -2 in it, or BUSYKEY tells that it did nothing: the
                              key was there already (--on-conflict), or the source had what the target lacks */
};

/* For a command without key (SCRIPT LOAD): for node i of output_nodes(), instead of the key's. */
size_t output_nodes(const struct output *o);
/* A cluster: each command has to stay in one slot, and there is one database. */
bool output_by_slot(const struct output *o);
/* Must the MULTI of the key's slot name a key that there never is, before a script is written into it? Once
 * for each. A master that has begun to give the slot away takes a MULTI as long as it has all of its keys,
 * but each call of a script asks again: one that the commands before it, or it itself (alone), have deleted
 * is not its own any more, and what stands before was done. So it has to refuse the whole. */
bool output_wants_probe(struct output *o, struct slice key, unsigned flags, bool alone);
enum { OUTPUT_NODE_SHIFT = 8 };
static inline unsigned output_node(size_t i)
{
    return ((unsigned)i + 1) << OUTPUT_NODE_SHIFT;
}

/* What follows carries out this entry. */
void output_entry(struct output *o, uint64_t seq);
/* db: the target's database. key: routes. flags: enum output_flags, output_node(). argc: arguments with the
 * name. */
void output_begin(struct output *o, uint32_t db, struct slice key, size_t argc, unsigned flags);
void output_arg(struct output *o, struct slice arg);
/* One argument made of several pieces. */
void output_arg_parts(struct output *o, const struct slice *parts, size_t count);
void output_end(struct output *o);

/* What the target takes: bytes of an argument, of a command, of all that one MULTI holds. A command beyond
 * that is not written. */
struct output_limits {
    size_t argument, command, multi;
};
void output_limit(struct output *o, struct output_limits most);
#define OUTPUT_UNLIMITED ((struct output_limits){SIZE_MAX, SIZE_MAX, SIZE_MAX})
/* How many were not written since the last call. */
unsigned output_left_out(struct output *o);

/* Arguments of at least so many bytes are borrowed instead of copied; 0: never. They must live until
 * the batch is sent: whoever passes scratch memory switches it off meanwhile. */
void output_borrow_from(struct output *o, size_t bytes);
size_t output_borrowing(const struct output *o);

static inline void output_text(struct output *o, const char *text)
{
    output_arg(o, slice_str(text));
}
void output_i64(struct output *o, int64_t v);
/* Shortest text that reads back as the same double; inf, -inf as Redis has them. */
void output_double(struct output *o, double v);

#endif
