/* Rewrites of journaled commands into what does the same on the target, for the rows of the table of
 * commands; and what they share (rewrite.c, below them). */
#ifndef DF2REDIS_WORKER_TRANSLATE_REWRITE_H
#define DF2REDIS_WORKER_TRANSLATE_REWRITE_H

#include "common/ipc/divergence.h"
#include "worker/translate/command.h"
#include "worker/translate/translator.h"

/* rewrite_deadline() */
enum { REWRITE_GRACE_MS = 10 * 60 * 1000, REWRITE_SKEW_MS = 5000, REWRITE_NEAR_MS = 100 };

typedef bool rewrite_function(struct translator *t, const struct command *c, const struct entry *e,
                              struct error *error);

/* rewrite.c */

/* Is there a filter of keys at all? */
static inline bool rewrite_filtered(const struct translator *t)
{
    return !t->all_wanted && (t->settings->include || t->settings->exclude || t->reserved);
}
static inline bool rewrite_wanted(const struct translator *t, struct slice key)
{
    if (!t->all_wanted && settings_key_reserved(t->settings, key))
        return false;
    return !rewrite_filtered(t) || settings_key_wanted(t->settings, key);
}
/* Reports what is lost; returns true, so that a rewrite can end with it. */
bool rewrite_report(struct translator *t, const char *reason, const struct command *c, struct slice key);
/* A value that is too large for the target: reported, and nothing older stays under its name. */
void rewrite_leave_out(struct translator *t, const char *name, struct slice key);
/* Does the target take a SET of it? False: it has been left out. name: of the command or type. */
bool rewrite_value_fits(struct translator *t, const char *name, struct slice key, struct slice value);
/* A RESTORE of a payload of so many bytes? */
bool rewrite_dump_fits(const struct translator *t, struct slice key, size_t bytes);
/* The key may come out otherwise than on the source: it is compared later, or reported where nothing is. Returns true. */
bool rewrite_suspect(struct translator *t, const char *reason, const struct command *c, struct slice key);
/* Why the target has no such database; NULL: it has. */
const char *rewrite_database_lacks(const struct translator *t, uint32_t db);
/* Reports a key of that database, for that reason. Returns true. */
bool rewrite_report_lacking(struct translator *t, const char *reason, const struct command *c,
                            struct slice key, uint32_t db);
/* A flag for what is journaled only where there was something to do (struct command, effective). */
static inline unsigned rewrite_effective(const struct translator *t)
{
    return t->suspect ? OUTPUT_CONFLICT : 0;
}
/* The command as it is, routed by `key`. Returns true. */
bool rewrite_pass(struct translator *t, const struct entry *e, struct slice key, unsigned flags);
/* The same with another name. */
bool rewrite_pass_as(struct translator *t, const struct entry *e, const char *name, struct slice key,
                     unsigned flags);
/* Arguments from..to-1 of the entry. */
void rewrite_args(struct translator *t, const struct entry *e, size_t from, size_t to);
/* NAME key. */
bool rewrite_one_key(struct translator *t, const char *name, struct slice key, unsigned flags);
/* In a cluster: HDEL of a key that there never is, where a script that follows needs it (output.h); alone:
 * though it be the first. */
void rewrite_probe(struct translator *t, struct slice key, unsigned flags, bool alone);
/* EVAL script keys.length, then the caller gives keys and arguments and output_end(). False when the target
 * allows no scripts (then it has been reported). */
bool rewrite_eval(struct translator *t, const struct command *c, const char *script, struct slice key,
                  size_t keys, size_t args, unsigned flags);
/* The moment a key is to expire, as the target is told. The master's journal says DEL when it really has.
 * Until that DEL or a new deadline comes by in the stream, the key must live: with a target that lags, a
 * sliding deadline would else kill a key whose prolongation is only a few entries behind. So a deadline that
 * has passed by our clock becomes one REWRITE_GRACE_MS from now; unless it had passed when it came, which no
 * lag explains (GETEX key EXAT 1 is journaled as PEXPIREAT key 1000, and no DEL follows): that deletes. One
 * that will pass before what was said until then at the source is applied here is put off as well: to
 * REWRITE_NEAR_MS and twice the lag from now. A target in import mode expires nothing by itself, and is told
 * what the source was told. */
int64_t rewrite_deadline(const struct translator *t, struct slice key, int64_t at_ms);
int64_t rewrite_field_deadline(const struct translator *t, struct slice key, struct slice field,
                               int64_t at_ms);
/* It had passed when it came. */
bool rewrite_was_over(const struct translator *t, int64_t at_ms);

/* EX, PX, EXAT, PXAT and their value: Unix ms, relative ones from arrival. False when it is none of them or
 * no number. */
bool rewrite_expiry_option(const struct translator *t, struct slice option, struct slice value,
                           int64_t *at_ms);
/* Arrival + amount, checked. */
bool rewrite_after(const struct translator *t, int64_t amount, int64_t unit_ms, int64_t *at_ms);

/* What the target is able to (capabilities). */
bool rewrite_target_6_2(const struct capabilities *target);
bool rewrite_target_7_0(const struct capabilities *target);
bool rewrite_target_throttle(const struct capabilities *target);

/* rewrite_string.c */
rewrite_function rewrite_set, rewrite_setex, rewrite_set_plain, rewrite_getex, rewrite_mset, rewrite_msetnx,
    rewrite_prepend;
/* rewrite_bits.c */
rewrite_function rewrite_bitfield;
/* rewrite_keys.c */
rewrite_function rewrite_delete, rewrite_one_delete, rewrite_delex, rewrite_expire, rewrite_restore,
    rewrite_lost, rewrite_script;
/* rewrite_move.c */
rewrite_function rewrite_rename, rewrite_copy, rewrite_move, rewrite_smove, rewrite_list_move;
/* rewrite_list.c */
rewrite_function rewrite_pop, rewrite_blocking_pop, rewrite_multi_pop;
/* rewrite_float.c */
rewrite_function rewrite_incrbyfloat, rewrite_hincrbyfloat;
/* rewrite_hash.c */
rewrite_function rewrite_hsetex, rewrite_fieldexpire, rewrite_hexpire, rewrite_hgetex, rewrite_saddex;
/* rewrite_zset.c */
rewrite_function rewrite_zadd;
bool rewrite_zadd_option(struct slice word); /* NX, XX, GT, LT, CH, INCR */
/* rewrite_stream.c */
rewrite_function rewrite_xadd, rewrite_xtrim, rewrite_xack, rewrite_xclaim, rewrite_xgroup, rewrite_xsetid;
/* rewrite_sort.c */
rewrite_function rewrite_sort, rewrite_georadius;
/* rewrite_json.c */
rewrite_function rewrite_json_set, rewrite_json_mset, rewrite_json_del, rewrite_json_inside;
/* rewrite_search.c */
rewrite_function rewrite_search;

#endif
