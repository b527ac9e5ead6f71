/* A flush that has run, and a FLOW that comes to it again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <sys/socket.h>
#include <unistd.h>

#include "worker/cluster/cluster.h"
#include "worker/pipeline/flush.h"
#include "worker/target/router_internal.h"

enum { TXID = 7, AGE_MS = 10, ARRIVAL = 3 };

/* Each time that it comes there it asks, and each time it is answered. An answer that is late meets it while
 * it connects to the target anew, to see what that has: nothing is known then, least of all that it lost
 * something. */
static void a_late_answer_is_no_loss(void **state)
{
    (void)state;
    struct event_base *base = event_base_new();
    struct router router = {.base = base};
    struct flow flow = {.base = base, .hold = HOLD_FLUSH_WAITING, .settings.marks = true};
    struct commit commit = {.flow = &flow, .router = &router};
    struct flush flush = {.flow = &flow,
                          .router = &router,
                          .commit = &commit,
                          .txid = TXID,
                          .arrival = ARRIVAL,
                          .again = true,
                          .doubted_txid = TXID};
    struct decoder_config config = {.first_lsn = 1};
    int supervisor[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, supervisor), 0);
    memset(config.token, '0', sizeof config.token - 1);
    snprintf(flush.command, sizeof flush.command, "FLUSHALL");
    flow.decoder = decoder_new(&config);
    flow.supervisor = supervisor[0];
    flush_pass(&flush, TXID, ARRIVAL, AGE_MS, false);
    assert_false(flow.failed);
    assert_int_equal(flow.hold, HOLD_FLUSH_WAITING);
    flow.ready = true; /* connected, and it is not there: it is gone */
    flush_pass(&flush, TXID, ARRIVAL, AGE_MS, false);
    assert_true(flow.failed);
    decoder_free(flow.decoder);
    close(supervisor[0]);
    close(supervisor[1]);
    event_base_free(base);
}

/* The FLOW sent later entries to one node before it noticed that another one lacks entries before the flush. */
static void a_slot_past_the_flush_does_not_hide_one_that_lacks_entries_before_it(void **state)
{
    (void)state;
    enum { SEQ = 100, AHEAD = 120, LACKING = 7 };
    struct cluster *cluster = x_calloc(1, sizeof *cluster);
    struct router router = {.cluster = cluster};
    struct flow flow = {.settings.marks = true};
    struct commit commit = {.flow = &flow, .router = &router, .skip_seq = AHEAD};
    struct flush flush = {
        .flow = &flow, .router = &router, .commit = &commit, .all_seq = SEQ - 2, .flushed_txid = TXID};
    struct slice word = slice_str("FLUSHALL");
    struct entry e = {.kind = ENTRY_COMMAND, .seq = SEQ, .txid = TXID, .argc = 1, .argv = &word};
    struct decoder_config config = {.first_lsn = 1};
    struct error error = {0};
    memset(config.token, '0', sizeof config.token - 1);
    flow.decoder = decoder_new(&config);
    for (size_t s = 0; s < CLUSTER_SLOTS; s++)
        cluster->positions.resolved_seq[s] = AHEAD;
    cluster->positions.resolved_seq[LACKING] = SEQ - 2;
    assert_false(flush_begin(&flush, &e, &error));
    assert_int_equal(error.class, ERROR_REDIRECT);
    assert_non_null(strstr(error.text, "had lost entries that stand before it"));
    decoder_free(flow.decoder);
    free(cluster);
}

/* Without marks: the target was greeted at entry GREETED, and the FLOW applied what follows before it arrived. */
static bool fails_when_passed(uint64_t seq, uint64_t greeted, uint64_t arrival, bool unheld)
{
    struct event_base *base = event_base_new();
    struct router router = {.base = base};
    struct flow flow = {.base = base, .hold = HOLD_FLUSH_WAITING};
    struct commit commit = {.flow = &flow, .router = &router};
    struct flush flush = {.flow = &flow,
                          .router = &router,
                          .commit = &commit,
                          .txid = TXID,
                          .seq = seq,
                          .arrival = ARRIVAL,
                          .restored_seq = greeted};
    int supervisor[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, supervisor), 0);
    flow.supervisor = supervisor[0];
    snprintf(flush.command, sizeof flush.command, "FLUSHALL");
    flush_pass(&flush, TXID, arrival, AGE_MS, unheld);
    close(supervisor[0]);
    close(supervisor[1]);
    event_base_free(base);
    assert_int_equal(flow.hold, HOLD_FLUSH_WAITING);
    return flow.failed;
}

static void entries_applied_behind_a_flush_need_a_full_sync(void **state)
{
    (void)state;
    assert_true(fails_when_passed(100, 98, ARRIVAL, true));
}

static void answer_to_an_earlier_arrival_is_void(void **state)
{
    (void)state;
    assert_false(fails_when_passed(100, 98, ARRIVAL - 1, true));
    assert_false(fails_when_passed(100, 98, ARRIVAL - 1, false));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_late_answer_is_no_loss),
        cmocka_unit_test(entries_applied_behind_a_flush_need_a_full_sync),
        cmocka_unit_test(answer_to_an_earlier_arrival_is_void),
        cmocka_unit_test(a_slot_past_the_flush_does_not_hide_one_that_lacks_entries_before_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
