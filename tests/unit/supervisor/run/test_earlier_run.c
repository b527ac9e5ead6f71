/* How a run goes on from an earlier one into a cluster where no mark holds for all nodes, as slots have moved. */
#include "tests/unit/supervisor/supervisor_testing.h"

#include "common/base/mem.h"
#include "common/ipc/cursor.h"
#include "supervisor/run/earlier_run.h"

enum { FLOWS = 2, RECORDED = 20, FIRST_LSN = 101 };

static const char master[] = "1111111111111111111111111111111111111111";

static struct run_record record;
static struct target_marks marks;

static int begin(void **state)
{
    record = (struct run_record){.session = RECORDED, .flow_count = FLOWS, .copy = RUN_COPY_COMPLETE};
    snprintf(record.master_id, sizeof record.master_id, "%s", master);
    record.scope = x_strdup("cluster db 0");
    record.begins = x_calloc(FLOWS, sizeof *record.begins);
    for (uint32_t i = 0; i < FLOWS; i++)
        record.begins[i] = (struct resume_point){.lsn = FIRST_LSN + i, .check = {FIRST_LSN + i - 1, 7}};
    marks = (struct target_marks){.run_session = 1};
    memcpy(marks.seen_id, master, sizeof marks.seen_id);
    return make_dir(state);
}

static int end(void **state)
{
    run_record_free(&record);
    target_marks_free(&marks);
    return remove_dir(state);
}

/* As a worker left it. */
static void leave_cursor(uint32_t flow, uint64_t session, enum cursor_phase phase, uint64_t received)
{
    struct cursor c = {0};
    struct error error;
    assert_true(cursor_open(&c, testing_dir, flow, true, &error));
    cursor_set(&c.marks->session, session);
    cursor_set(&c.marks->phase, phase);
    cursor_set(&c.marks->received_offset, received);
    cursor_close(&c);
}

static enum resume_way decide(struct resume_point *points)
{
    struct settings settings;
    struct capabilities target = {.cluster = true, .keys = 1};
    char why[200];
    settings_init(&settings);
    memset(points, 0, FLOWS * sizeof *points);
    enum resume_way way =
        earlier_run_decide(&settings, &record, &marks, &target, testing_dir, points, why, sizeof why);
    settings_free(&settings);
    return way;
}

static void assert_begins_again(void)
{
    struct resume_point points[FLOWS];
    assert_int_equal(decide(points), RESUME_FROM_MARKS);
    for (uint32_t i = 0; i < FLOWS; i++) {
        assert_int_equal(points[i].lsn, FIRST_LSN + i);
        assert_int_equal(points[i].check.lsn, FIRST_LSN + i - 1);
    }
}

static void assert_full_sync(void)
{
    struct resume_point points[FLOWS];
    assert_int_equal(decide(points), RESUME_FULL_SYNC);
}

static void a_session_of_which_nothing_was_received_begins_again(void **state)
{
    (void)state;
    leave_cursor(0, RECORDED - 1, CURSOR_DRAINED, 900); /* its worker had not started */
    leave_cursor(1, RECORDED, CURSOR_FULL_SYNC, 0);
    assert_begins_again();
    leave_cursor(0, RECORDED - 1, CURSOR_STABLE, 900);
    leave_cursor(1, RECORDED - 1, CURSOR_STABLE, 900);
    assert_begins_again();
}

/* A flush takes every FLOW. */
static void one_flow_that_received_nothing_is_enough(void **state)
{
    (void)state;
    leave_cursor(0, RECORDED, CURSOR_STABLE, 900);
    leave_cursor(1, RECORDED, CURSOR_FULL_SYNC, 0);
    assert_begins_again();
    leave_cursor(1, RECORDED, CURSOR_FULL_SYNC, 1);
    assert_full_sync();
}

static void a_session_that_is_not_recorded_may_have_gone_on(void **state)
{
    (void)state;
    leave_cursor(0, RECORDED, CURSOR_FULL_SYNC, 0);
    leave_cursor(1, RECORDED + 1, CURSOR_FULL_SYNC, 0);
    assert_full_sync();
    leave_cursor(1, 0, CURSOR_STARTING, 0); /* made anew, for whichever session */
    assert_full_sync();
}

static void a_flow_without_a_cursor_may_have_gone_on(void **state)
{
    (void)state;
    leave_cursor(0, RECORDED, CURSOR_FULL_SYNC, 0);
    assert_full_sync();
}

static void a_session_with_a_snapshot_does_not_begin_again(void **state)
{
    (void)state;
    leave_cursor(0, RECORDED, CURSOR_FULL_SYNC, 0);
    leave_cursor(1, RECORDED, CURSOR_FULL_SYNC, 0);
    record.begins[1] = (struct resume_point){0};
    assert_full_sync();
    /* Nor one whose journal cannot be compared with the one that was followed. */
    record.begins[1] = (struct resume_point){.lsn = FIRST_LSN + 1};
    assert_full_sync();
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(a_session_of_which_nothing_was_received_begins_again),
        TEST(one_flow_that_received_nothing_is_enough),
        TEST(a_session_that_is_not_recorded_may_have_gone_on),
        TEST(a_flow_without_a_cursor_may_have_gone_on),
        TEST(a_session_with_a_snapshot_does_not_begin_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
