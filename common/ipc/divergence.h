/* The words under which differences between source and target are counted: status, metrics and the
 * manual use the same. */
#ifndef DF2REDIS_COMMON_IPC_DIVERGENCE_H
#define DF2REDIS_COMMON_IPC_DIVERGENCE_H

#define DIVERGENCE_TYPE "type_not_in_target"           /* a value no Redis, or not this one, can hold */
#define DIVERGENCE_COMMAND "command_not_in_target"     /* a journaled command the target does not know */
#define DIVERGENCE_UNKNOWN "command_not_known"         /* not in our table: newer Dragonfly */
#define DIVERGENCE_SET_TTL "set_member_ttl_lost"       /* Redis has no time to live for set members */
#define DIVERGENCE_FIELD_TTL "hash_field_ttl_lost"     /* the target is too old for hash field TTLs */
#define DIVERGENCE_LOST_BY_SOURCE "lost_by_source"     /* the master's journal itself lacks the rest */
#define DIVERGENCE_SEARCH "search_index_not_in_target" /* definition not carried over */
#define DIVERGENCE_FILTER "command_crosses_filter"     /* some keys wanted, some not, and cannot be split */
#define DIVERGENCE_CONFLICT "key_existed"              /* --on-conflict skip left the target's key */
#define DIVERGENCE_REFUSED "refused_by_target"         /* the target answered an error */
#define DIVERGENCE_STREAM "stream_detail_lost"         /* e.g. pending entries of deleted messages */
#define DIVERGENCE_DATABASE "database_not_in_cluster"  /* a cluster has database 0 alone */
#define DIVERGENCE_DATABASE_MISSING "database_not_in_target" /* the target has fewer databases */
#define DIVERGENCE_RESERVED                                                                                  \
    "reserved_key" /* the source has a key of a name that the run uses in the target */
#define DIVERGENCE_DIFFERS                                                                                   \
    "done_differently" /* a command that the target's server or module, or the source's                      \
                          release, may carry out otherwise */
#define DIVERGENCE_SCRIPT "script_not_in_target" /* the target cannot compile it */
#define DIVERGENCE_EXPIRED "expired_on_target"   /* the target's clock was faster than what renewed the key */
#define DIVERGENCE_TOO_LARGE "too_large_for_target"            /* beyond proto-max-bulk-len */
#define DIVERGENCE_TOO_LARGE_TO_COMPARE "too_large_to_compare" /* a suspect key whose value is too large */

/* The key is shown with its database. */
#define DIVERGENCE_NAMES_DATABASE(reason)                                                                    \
    (strcmp(reason, DIVERGENCE_DATABASE) == 0 || strcmp(reason, DIVERGENCE_DATABASE_MISSING) == 0)

/* Reasons of suspects only: the target executed the command, and its answer was lost; the target has no such key, and the
 * source gave it a time to live; the source's journal may lack its deletion, or its snapshot the value that was
 * moved (omitted.h); the journal of a promoted source may lack a command on it. Most of these keys are right: one that cannot be compared is reported and counted as unknown,
 * not as a divergence. */
#define SUSPECT_UNHEARD "answer_lost"
#define SUSPECT_ABSENT "not_there"
#define SUSPECT_OMITTED "perhaps_deleted"
#define SUSPECT_MOVED "perhaps_moved"
#define SUSPECT_FAILED_OVER "source_failed_over"
#define SUSPECT_ONLY(reason)                                                                                 \
    (strcmp(reason, SUSPECT_UNHEARD) == 0 || strcmp(reason, SUSPECT_ABSENT) == 0 ||                          \
     strcmp(reason, SUSPECT_OMITTED) == 0 || strcmp(reason, SUSPECT_MOVED) == 0 ||                           \
     strcmp(reason, SUSPECT_FAILED_OVER) == 0)

#endif
