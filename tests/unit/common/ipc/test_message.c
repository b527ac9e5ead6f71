/* Messages: every type there and back, broken ones refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/ipc/message.h"

enum { TYPES = MESSAGE_CLOCK };

static struct error error;

/* A message of a type with every field set. */
static struct message example(enum message_type type)
{
    struct message m = {.type = type, .fd = -1};
    switch (type) {
    case MESSAGE_HELLO:
        m.hello.version = MESSAGE_VERSION;
        m.hello.pid = 4711;
        break;
    case MESSAGE_FLOW_OPENED:
        m.flow_opened.full = 1;
        memset(m.flow_opened.token, 'a', 40);
        break;
    case MESSAGE_AT_GLOBAL:
    case MESSAGE_LEFT_GLOBAL:
    case MESSAGE_GLOBAL_DONE:
    case MESSAGE_RUN_GLOBAL:
    case MESSAGE_PASS_GLOBAL:
        m.global.txid = UINT64_C(0x0102030405060708);
        snprintf(m.global.command, sizeof m.global.command, "FLUSHALL");
        m.global.arrival = 3;
        m.global.age_ms = type == MESSAGE_PASS_GLOBAL ? 4711 : 0;
        m.global.unheld = type == MESSAGE_PASS_GLOBAL;
        break;
    case MESSAGE_DIVERGENCE:
        snprintf(m.divergence.reason, sizeof m.divergence.reason, "refused_by_target");
        snprintf(m.divergence.command, sizeof m.divergence.command, "HSET");
        memset(m.divergence.key, 'k', sizeof m.divergence.key - 1);
        snprintf(m.divergence.text, sizeof m.divergence.text, "ERR no such thing");
        m.divergence.id = UINT64_MAX - 1;
        break;
    case MESSAGE_FAILED:
        m.failed.class = ERROR_FATAL;
        m.failed.exit_code = 77;
        m.failed.offset = UINT64_MAX;
        memset(m.failed.text, 't', sizeof m.failed.text - 1);
        break;
    case MESSAGE_BREAK:
        memset(m.source_break.text, 'b', sizeof m.source_break.text - 1);
        break;
    case MESSAGE_COMPARE_ALL:
        memset(m.compare_all.reason, 'c', sizeof m.compare_all.reason - 1);
        break;
    case MESSAGE_WENT_BACK:
        m.went_back.seq = UINT64_MAX - 2;
        break;
    case MESSAGE_START:
        m.start.flow = 2;
        m.start.flow_count = 4;
        m.start.mode = START_PARTIAL;
        m.start.session = 99;
        m.start.first_lsn = 12345;
        m.start.asked_lsn = 12340;
        m.start.in_blobs = 1;
        m.start.check = (struct journal_check){12340, UINT64_MAX};
        memset(m.start.last_master_id, 'd', 40);
        buf_put(&m.start.asked, "12340", 5);
        m.start.received_base = 60;
        m.start.source_release = 14001;
        memset(m.start.token, 'f', 40);
        memset(m.start.master_id, 'e', 40);
        snprintf(m.start.sync_id, sizeof m.start.sync_id, "SYNC7");
        snprintf(m.start.masters, sizeof m.start.masters, "10.0.0.1:7000 ::1:7001");
        buf_put(&m.start.settings, "set\0tings", 9);
        break;
    case MESSAGE_RECONFIGURE:
        buf_put(&m.reconfigure.settings, "other", 5);
        break;
    case MESSAGE_VERIFY:
        m.verify.active = 1;
        m.verify.session = 99;
        m.verify.flow_count = 4;
        memset(m.verify.master_id, 'e', 40);
        m.verify.repair = 1;
        m.verify.by_run = 1;
        m.verify.source_only = 1;
        m.verify.sample_ppm = 1000;
        m.verify.keys_per_second = 5000;
        buf_put(&m.verify.settings, "set\0tings", 9);
        break;
    case MESSAGE_VERIFY_REPORT:
        buf_put(&m.verify_report.report, "report", 6);
        break;
    case MESSAGE_CLOCK:
        m.clock.ahead_ms = -60000;
        m.clock.anew = 1;
        break;
    default:
        break;
    }
    return m;
}

static struct buf encoded(enum message_type type)
{
    struct buf bytes = {0};
    struct message m = example(type);
    if (!message_encode(&m, &bytes, &error))
        fail_msg("%s", error.text);
    message_free(&m);
    return bytes;
}

static void every_type_comes_back_as_it_was(void **state)
{
    (void)state;
    for (int type = 1; type <= TYPES; type++) {
        struct buf first = encoded((enum message_type)type), second = {0};
        struct message m;
        if (!message_decode(buf_slice(&first), &m, &error))
            fail_msg("%s: %s", message_name((enum message_type)type), error.text);
        assert_int_equal(m.type, type);
        assert_int_equal(m.fd, -1);
        assert_true(message_encode(&m, &second, &error));
        assert_true(slice_eq(buf_slice(&first), buf_slice(&second)));
        message_free(&m);
        buf_free(&first);
        buf_free(&second);
    }
}

static void every_type_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (int a = 1; a <= TYPES; a++) {
        assert_string_not_equal(message_name((enum message_type)a), "unknown");
        for (int b = 1; b < a; b++)
            assert_string_not_equal(message_name((enum message_type)a), message_name((enum message_type)b));
    }
    assert_string_equal(message_name((enum message_type)0), "unknown");
    assert_string_equal(message_name((enum message_type)(TYPES + 1)), "unknown");
    assert_string_equal(message_name((enum message_type) - 1), "unknown");
}

static void the_fields_of_start_are_where_they_were_put(void **state)
{
    (void)state;
    struct buf bytes = encoded(MESSAGE_START);
    struct message m;
    assert_true(message_decode(buf_slice(&bytes), &m, &error));
    assert_int_equal(m.start.flow, 2);
    assert_int_equal(m.start.flow_count, 4);
    assert_int_equal(m.start.mode, START_PARTIAL);
    assert_int_equal(m.start.session, 99);
    assert_int_equal(m.start.first_lsn, 12345);
    assert_int_equal(m.start.received_base, 60);
    assert_int_equal(m.start.source_release, 14001);
    assert_int_equal(strlen(m.start.token), 40);
    assert_int_equal(strlen(m.start.master_id), 40);
    assert_string_equal(m.start.sync_id, "SYNC7");
    assert_string_equal(m.start.masters, "10.0.0.1:7000 ::1:7001");
    assert_true(slice_eq(buf_slice(&m.start.settings), slice_of("set\0tings", 9)));
    message_free(&m);
    buf_free(&bytes);
}

static void numbers_are_little_endian_whatever_the_machine(void **state)
{
    (void)state;
    struct buf bytes = encoded(MESSAGE_RUN_GLOBAL);
    static const uint8_t expected[] = {MESSAGE_RUN_GLOBAL,
                                       0,
                                       0,
                                       0,
                                       8,
                                       7,
                                       6,
                                       5,
                                       4,
                                       3,
                                       2,
                                       1,
                                       8,
                                       0,
                                       0,
                                       0,
                                       'F',
                                       'L',
                                       'U',
                                       'S',
                                       'H',
                                       'A',
                                       'L',
                                       'L',
                                       3,
                                       0,
                                       0,
                                       0,
                                       0,
                                       0,
                                       0,
                                       0};
    assert_int_equal(bytes.len, sizeof expected);
    assert_memory_equal(bytes.data, expected, sizeof expected);
    buf_free(&bytes);
}

static void a_cut_message_is_refused_at_every_length(void **state)
{
    (void)state;
    for (int type = 1; type <= TYPES; type++) {
        struct buf bytes = encoded((enum message_type)type);
        for (size_t len = 0; len < bytes.len; len++) {
            struct message m;
            if (message_decode(slice_of(bytes.data, len), &m, &error))
                fail_msg("%s: %zu of %zu bytes were taken", message_name((enum message_type)type), len,
                         bytes.len);
        }
        buf_free(&bytes);
    }
}

static void bytes_left_over_are_refused(void **state)
{
    (void)state;
    for (int type = 1; type <= TYPES; type++) {
        struct buf bytes = encoded((enum message_type)type);
        struct message m;
        buf_put_u8(&bytes, 0);
        assert_false(message_decode(buf_slice(&bytes), &m, &error));
        assert_int_equal(error.class, ERROR_FATAL);
        buf_free(&bytes);
    }
}

static void unknown_types_are_refused_both_ways(void **state)
{
    (void)state;
    static const uint32_t types[] = {0, TYPES + 1, 0xffffffff};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        uint8_t bytes[4] = {(uint8_t)types[i], (uint8_t)(types[i] >> 8), (uint8_t)(types[i] >> 16),
                            (uint8_t)(types[i] >> 24)};
        struct message m, unknown = {.type = (enum message_type)types[i], .fd = -1};
        struct buf out = {0};
        assert_false(message_decode(slice_of(bytes, 4), &m, &error));
        assert_false(message_encode(&unknown, &out, &error));
        assert_int_equal(out.len, 0);
        buf_free(&out);
    }
}

static void text_is_always_terminated(void **state)
{
    (void)state;
    struct message m = {.type = MESSAGE_RUN_GLOBAL, .fd = -1}, back;
    struct buf bytes = {0};
    memset(m.global.command, 'x', sizeof m.global.command);
    assert_true(message_encode(&m, &bytes, &error));
    assert_true(message_decode(buf_slice(&bytes), &back, &error));
    assert_int_equal(strlen(back.global.command), sizeof back.global.command - 1);
    buf_free(&bytes);
}

/* u32 type, u64 txid, u32 length, text, u64 arrival */
static void text_longer_than_its_array_is_refused(void **state)
{
    (void)state;
    struct buf bytes = encoded(MESSAGE_RUN_GLOBAL);
    struct message m;
    bytes.len = 16;
    for (unsigned i = 0; i < 32 + 8; i++)
        buf_put_u8(&bytes, 'x');
    bytes.data[12] = 31;
    bytes.len = 16 + 31 + 8;
    assert_true(message_decode(buf_slice(&bytes), &m, &error));
    bytes.data[12] = 32;
    bytes.len = 16 + 32 + 8;
    assert_false(message_decode(buf_slice(&bytes), &m, &error));
    bytes.data[12] = 31;
    bytes.data[20] = 0;
    bytes.len = 16 + 31 + 8;
    assert_false(message_decode(buf_slice(&bytes), &m, &error));
    memset(bytes.data + 12, 0xff, 4);
    assert_false(message_decode(buf_slice(&bytes), &m, &error));
    buf_free(&bytes);
}

static void values_out_of_range_are_refused(void **state)
{
    (void)state;
    struct message m;
    struct buf bytes = encoded(MESSAGE_START);
    bytes.data[12] = START_RESUME + 1;
    assert_false(message_decode(buf_slice(&bytes), &m, &error));
    bytes.data[12] = 0;
    assert_false(message_decode(buf_slice(&bytes), &m, &error));
    buf_free(&bytes);
    bytes = encoded(MESSAGE_START);
    bytes.data[4] = 4; /* FLOW 4 of 4 */
    assert_false(message_decode(buf_slice(&bytes), &m, &error));
    buf_free(&bytes);
    bytes = encoded(MESSAGE_FAILED);
    bytes.data[4] = ERROR_FATAL + 1;
    assert_false(message_decode(buf_slice(&bytes), &m, &error));
    buf_free(&bytes);
    bytes = encoded(MESSAGE_FLOW_OPENED);
    bytes.data[4] = 2;
    assert_false(message_decode(buf_slice(&bytes), &m, &error));
    buf_free(&bytes);
}

static void a_message_larger_than_a_packet_is_refused(void **state)
{
    (void)state;
    struct message m = {.type = MESSAGE_RECONFIGURE, .fd = -1};
    struct buf bytes = {0};
    for (unsigned i = 0; i < MESSAGE_MAX_BYTES - 8; i++)
        buf_put_u8(&m.reconfigure.settings, 's');
    assert_true(message_encode(&m, &bytes, &error));
    assert_int_equal(bytes.len, MESSAGE_MAX_BYTES);
    bytes.len = 0;
    buf_put_u8(&m.reconfigure.settings, 's');
    assert_false(message_encode(&m, &bytes, &error));
    assert_int_equal(bytes.len, 0);
    message_free(&m);
    buf_free(&bytes);
}

static void make_pair(int pair[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
}

static void messages_keep_their_bounds_and_order_on_a_socketpair(void **state)
{
    (void)state;
    int pair[2];
    struct message m;
    make_pair(pair);
    assert_int_equal(message_receive(pair[1], &m, &error), MESSAGE_AGAIN);
    for (int type = 1; type <= TYPES; type++) {
        struct message sent = example((enum message_type)type);
        assert_int_equal(message_send(pair[0], &sent, &error), MESSAGE_OK);
        message_free(&sent);
    }
    for (int type = 1; type <= TYPES; type++) {
        assert_int_equal(message_receive(pair[1], &m, &error), MESSAGE_OK);
        assert_int_equal(m.type, type);
        assert_int_equal(m.fd, -1);
        message_free(&m);
    }
    assert_int_equal(message_receive(pair[1], &m, &error), MESSAGE_AGAIN);
    close(pair[0]);
    close(pair[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_comes_back_as_it_was),
        cmocka_unit_test(every_type_has_a_name_of_its_own),
        cmocka_unit_test(the_fields_of_start_are_where_they_were_put),
        cmocka_unit_test(numbers_are_little_endian_whatever_the_machine),
        cmocka_unit_test(a_cut_message_is_refused_at_every_length),
        cmocka_unit_test(bytes_left_over_are_refused),
        cmocka_unit_test(unknown_types_are_refused_both_ways),
        cmocka_unit_test(text_is_always_terminated),
        cmocka_unit_test(text_longer_than_its_array_is_refused),
        cmocka_unit_test(values_out_of_range_are_refused),
        cmocka_unit_test(a_message_larger_than_a_packet_is_refused),
        cmocka_unit_test(messages_keep_their_bounds_and_order_on_a_socketpair),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
