/* Shared by verifier.c, course.c, outcome.c and saved.c; verifier.h draws the calls. */
#ifndef DF2REDIS_WORKER_VERIFIER_VERIFIER_INTERNAL_H
#define DF2REDIS_WORKER_VERIFIER_VERIFIER_INTERNAL_H

#include "common/ipc/message.h"
#include "worker/verifier/exact.h"
#include "worker/verifier/hash_set.h"
#include "worker/verifier/pass.h"
#include "worker/verifier/servers.h"
#include "worker/verifier/verifier.h"
#include "worker/verify/flows_applied.h"

/* A position in the course: names before it are told. */
struct course_position {
    uint32_t phase; /* enum verify_phase */
    char node[41];  /* of a cluster's target */
    uint32_t db;    /* the target's */
    char cursor[PASS_CURSOR_BYTES];
};

/* One pass of the course. */
struct leg {
    enum verify_phase phase;
    size_t master;
    uint32_t source_db, target_db;
};

struct verifier {
    struct event_base *base;
    const struct verifier_host *host;
    int channel, exit_code;
    struct settings settings;
    char directory[4096], client_name[128];
    bool beside_run, repair;
    bool by_run;      /* the run itself compares: with rests */
    bool source_only; /* names of the target are not read */
    uint32_t sample_ppm;
    uint64_t keys_per_second;
    uint64_t session; /* of the run */
    uint32_t flow_count;
    char master_id[41];
    struct flow_cursors *cursors; /* NULL: no run */
    struct event *tick, *soon;

    /* course.c */
    struct inquiry *inquiry;
    struct servers *servers;
    struct pipe *source, **targets;
    size_t pipes_ready;
    struct pass *pass;
    struct leg *legs;
    size_t leg, leg_count;
    bool leg_over, course_over;
    struct error trouble; /* to be handled outside of the callbacks */
    uint64_t retry_ms, trouble_since_ms;
    struct digest_scratch *scratch;
    struct course_position position;

    struct doubts *doubts;
    struct exact *exact;
    struct hash_set large;    /* keys with large values */
    struct hash_set reported; /* keys that are in the report as different, undecided or incomparable */

    struct verify_report report;
    int log; /* differences.log */
    uint64_t told_ms, saved_ms, turned_ms;
};

/* course.c */
/* Connects, goes on, connects again after trouble. */
void course_turn(struct verifier *v, uint64_t now_ms);
/* Closes all connections; the position stays. */
void course_rest(struct verifier *v);

/* outcome.c */
bool outcome_open_log(struct verifier *v, uint64_t length, struct error *error);
bool outcome_wanted(struct verifier *v, const struct leg *leg, struct slice name, bool *large);
void outcome_of_page(struct verifier *v, const struct leg *leg, const struct page_result *r);
void outcome_of_doubt(struct verifier *v, const struct doubt *k, enum exact_verdict verdict,
                      const char *text);
int outcome_exit_code(const struct verifier *v);

/* saved.c */
/* Takes the position, report and doubts of an earlier verification with the same servers and filters. False: there is
 * none. *log_length: of differences.log. */
bool saved_load(struct verifier *v, uint64_t *log_length);
void saved_store(struct verifier *v);
void saved_remove(struct verifier *v);
/* For the status of the run: the report alone. */
void saved_store_report(struct verifier *v);

#endif
