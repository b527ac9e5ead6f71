/* Rewrites of journaled commands to commands with the same effect on the target, for the rows of the table of commands;
 * and the functions that they share (rewrite.c, below them). */
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

/* Whether a filter of keys is set. */
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
/* Reports a divergence; returns true, for the end of a rewrite. */
bool rewrite_report(struct translator *t, const char *reason, const struct command *c, struct slice key);
/* A value too large for the target: reported, and an older value of the key is deleted. */
void rewrite_leave_out(struct translator *t, const char *name, struct slice key);
/* Whether the target accepts a SET of the value. False: left out. name: of the command or type. */
bool rewrite_value_fits(struct translator *t, const char *name, struct slice key, struct slice value);
/* Whether the target accepts a RESTORE of a payload of `bytes` bytes. */
bool rewrite_dump_fits(const struct translator *t, struct slice key, size_t bytes);
/* The key may differ from the source: makes it a suspect, or reports it if suspects are not compared. Returns true. */
bool rewrite_suspect(struct translator *t, const char *reason, const struct command *c, struct slice key);
/* The reason why the target lacks the database; NULL: it has it. */
const char *rewrite_database_lacks(const struct translator *t, uint32_t db);
/* Reports a key of that database, for that reason. Returns true. */
bool rewrite_report_lacking(struct translator *t, const char *reason, const struct command *c,
                            struct slice key, uint32_t db);
/* The flag for commands that are journaled only if they had an effect (struct command, effective). */
static inline unsigned rewrite_effective(const struct translator *t)
{
    return t->suspect ? OUTPUT_CONFLICT : 0;
}
/* The unchanged command, routed by `key`. Returns true. */
bool rewrite_pass(struct translator *t, const struct entry *e, struct slice key, unsigned flags);
/* The same with another name. */
bool rewrite_pass_as(struct translator *t, const struct entry *e, const char *name, struct slice key,
                     unsigned flags);
/* Arguments from..to-1 of the entry. */
void rewrite_args(struct translator *t, const struct entry *e, size_t from, size_t to);
/* NAME key. */
bool rewrite_one_key(struct translator *t, const char *name, struct slice key, unsigned flags);
/* In a cluster: HDEL of a key that never exists, if a script that follows needs it (output_wants_probe()); alone: also
 * for the first command. */
void rewrite_probe(struct translator *t, struct slice key, unsigned flags, bool alone);
/* EVAL script number-of-keys; the caller adds keys and arguments, and calls output_end(). False: the target allows no
 * scripts; reported. */
bool rewrite_eval(struct translator *t, const struct command *c, const char *script, struct slice key,
                  size_t keys, size_t args, unsigned flags);
/* The deadline of a key for the target. The master journals a DEL when the key expires there. Until that DEL or a new
 * deadline is applied the key must live: on a lagging target a sliding deadline would otherwise delete a key that is
 * renewed a few entries later. So a deadline that has passed by the worker's clock is postponed to REWRITE_GRACE_MS
 * from now; unless it had passed when it was received, which is not due to a lag (GETEX key EXAT 1 is journaled as
 * PEXPIREAT key 1000, and no DEL follows): it deletes the key. A deadline that will pass before the entries written
 * until then are applied is postponed as well: to REWRITE_NEAR_MS and twice the lag from now. A target in import mode
 * expires no keys, and gets the deadlines of the source, which are told all the same: the mode may end. */
int64_t rewrite_deadline(const struct translator *t, struct slice key, int64_t at_ms);
int64_t rewrite_field_deadline(const struct translator *t, struct slice key, struct slice field,
                               int64_t at_ms);
/* Whether the deadline had passed when it was received. */
bool rewrite_was_over(const struct translator *t, int64_t at_ms);

/* Parses EX, PX, EXAT, PXAT and their value to Unix ms, relative ones from the receipt. False: another option, or not a
 * number. */
bool rewrite_expiry_option(const struct translator *t, struct slice option, struct slice value,
                           int64_t *at_ms);
/* Time of receipt + amount, checked for overflow. */
bool rewrite_after(const struct translator *t, int64_t amount, int64_t unit_ms, int64_t *at_ms);

/* Capabilities of the target. */
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
