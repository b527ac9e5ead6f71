/* Whose replicas are waited for between the steps of a command over several slots, and how. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "common/base/clock.h"
#include "worker/cluster/cluster.h"

enum { REPLICAS = 2, LONG_AGO_MS = 1000 };

struct fixture {
    struct router router;
    struct cluster cluster;
    struct topology_node served[2];
    struct node nodes[2], *list[2];
    struct buf said;
};

/* Node 0 serves every slot but 7; node 1, without replicas, that one. */
static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->router.output = output_for_tests(&f->said, NULL);
    f->router.cluster = &f->cluster;
    f->cluster.router = &f->router;
    f->cluster.nodes = f->list;
    f->cluster.count = 2;
    f->cluster.topology.nodes = f->served;
    f->cluster.topology.count = 2;
    f->cluster.topology.owner[7] = 1;
    f->served[0].replicas = REPLICAS;
    for (size_t i = 0; i < 2; i++) {
        f->nodes[i] = (struct node){.cluster = &f->cluster, .index = i, .target.wait = true};
        f->list[i] = &f->nodes[i];
    }
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    output_free(f->router.output);
    buf_free(&f->said);
    free(f);
    return 0;
}

static void as_many_are_waited_for_as_there_are(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(router_replicas(&f->router, 0), REPLICAS);
    assert_int_equal(router_replicas(&f->router, 7), 0);
    router_put_wait(&f->router, 0);
    buf_put_u8(&f->said, 0);
    assert_non_null(strstr((const char *)f->said.data, "*3\r\n$4\r\nWAIT\r\n$1\r\n2\r\n$3\r\n500\r\n"));
    router_waited(&f->router, 0);
    assert_int_equal(router_replicas(&f->router, 0), REPLICAS);
}

static void nobody_is_waited_for_without_leave(void **state)
{
    struct fixture *f = *state;
    f->nodes[0].target.wait = false;
    assert_int_equal(router_replicas(&f->router, 0), 0);
}

static void a_standalone_target_waits_for_nothing(void **state)
{
    struct fixture *f = *state;
    f->router.cluster = NULL;
    assert_int_equal(router_replicas(&f->router, 0), 0);
}

static void who_was_late_is_not_waited_for_for_a_while(void **state)
{
    struct fixture *f = *state;
    router_put_wait(&f->router, 0);
    f->nodes[0].wait_sent_ms -= LONG_AGO_MS;
    router_waited(&f->router, 0);
    assert_int_equal(router_replicas(&f->router, 0), 0);
    f->nodes[0].no_wait_until_ms = clock_monotonic_ms();
    assert_int_equal(router_replicas(&f->router, 0), REPLICAS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(as_many_are_waited_for_as_there_are, setup, teardown),
        cmocka_unit_test_setup_teardown(nobody_is_waited_for_without_leave, setup, teardown),
        cmocka_unit_test_setup_teardown(a_standalone_target_waits_for_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(who_was_late_is_not_waited_for_for_a_while, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
