/* URIs: what is taken, what is refused, and that no error shows a password. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "common/base/uri.h"

static struct uri parse(const char *text)
{
    struct uri u = {0};
    struct error e = {0};
    if (!uri_parse(text, &u, &e))
        fail_msg("%s: %s", text, e.text);
    return u;
}

static const char *refusal(const char *text)
{
    static struct error e;
    struct uri u = {0};
    e = (struct error){0};
    if (uri_parse(text, &u, &e))
        fail_msg("%s was taken", text);
    assert_int_equal(e.class, ERROR_FATAL);
    assert_int_equal(e.exit_code, EX_USAGE);
    assert_null(u.host);
    return e.text;
}

static void contains(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" does not contain \"%s\"", text, part);
}

static void all_parts_are_found(void **state)
{
    (void)state;
    struct uri u = parse("redis://me:secret@db.example:7000/3");
    assert_string_equal(u.host, "db.example");
    assert_string_equal(u.user, "me");
    assert_string_equal(u.password, "secret");
    assert_int_equal(u.port, 7000);
    assert_int_equal(u.db, 3);
    assert_false(u.tls || u.unix_socket || u.null_sink);
    uri_free(&u);
    assert_null(u.host);
}

static void what_is_left_out_has_defaults(void **state)
{
    (void)state;
    static const char *const texts[] = {"redis://h", "redis://h/", "redis://h:", "REDIS://h:6379/0"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct uri u = parse(texts[i]);
        assert_string_equal(u.host, "h");
        assert_null(u.user);
        assert_null(u.password);
        assert_int_equal(u.port, 6379);
        assert_int_equal(u.db, 0);
        uri_free(&u);
    }
}

static void password_without_user_and_user_without_password(void **state)
{
    (void)state;
    struct uri u = parse("redis://:pass@host");
    assert_null(u.user);
    assert_string_equal(u.password, "pass");
    uri_free(&u);
    u = parse("redis://user@host");
    assert_string_equal(u.user, "user");
    assert_null(u.password);
    uri_free(&u);
    u = parse("redis://user:@host");
    assert_string_equal(u.user, "user");
    assert_null(u.password);
    uri_free(&u);
}

static void tls_has_the_same_default_port(void **state)
{
    (void)state;
    struct uri u = parse("rediss://host");
    assert_true(u.tls);
    assert_int_equal(u.port, 6379);
    uri_free(&u);
}

static void percent_escapes_are_decoded_and_nothing_else(void **state)
{
    (void)state;
    struct uri u = parse("redis://a%3Ab:p%40%2f%25+%20@host");
    assert_string_equal(u.user, "a:b");
    assert_string_equal(u.password, "p@/%+ ");
    uri_free(&u);
}

static void an_at_sign_in_the_password_needs_no_escape(void **state)
{
    (void)state;
    struct uri u = parse("redis://u:p@ss:w@host:1");
    assert_string_equal(u.password, "p@ss:w");
    assert_string_equal(u.host, "host");
    uri_free(&u);
}

static void ipv6_hosts_stand_in_brackets(void **state)
{
    (void)state;
    char text[64];
    struct uri u = parse("redis://:x@[2001:db8::1]:6380/2");
    assert_string_equal(u.host, "2001:db8::1");
    assert_int_equal(u.port, 6380);
    uri_display(&u, text, sizeof text);
    assert_string_equal(text, "redis://[2001:db8::1]:6380/2");
    uri_free(&u);
    u = parse("redis://[::1]");
    assert_string_equal(u.host, "::1");
    uri_free(&u);
    contains(refusal("redis://::1"), "brackets");
    contains(refusal("redis://2001:db8::1:6379"), "brackets");
    contains(refusal("redis://[::1"), "]");
    contains(refusal("redis://[::1]6379"), ":port");
}

static void unix_sockets_are_absolute_paths(void **state)
{
    (void)state;
    char text[64];
    struct uri u = parse("unix:///run/redis%20a.sock");
    assert_true(u.unix_socket);
    assert_string_equal(u.host, "/run/redis a.sock");
    uri_display(&u, text, sizeof text);
    assert_string_equal(text, "unix:///run/redis a.sock");
    uri_free(&u);
    u = parse("unix://u:p@/run/a@b");
    assert_string_equal(u.host, "/run/a@b");
    assert_string_equal(u.password, "p");
    uri_free(&u);
    contains(refusal("unix://run/redis.sock"), "absolute");
    contains(refusal("unix:///"), "absolute");
}

static void the_null_sink_has_no_host(void **state)
{
    (void)state;
    char text[16];
    struct uri u = parse("null:");
    assert_true(u.null_sink);
    assert_null(u.host);
    uri_display(&u, text, sizeof text);
    assert_string_equal(text, "null:");
}

static void a_text_without_scheme_is_told_how_to_write_it(void **state)
{
    (void)state;
    contains(refusal("10.0.0.1:6379"), "redis://10.0.0.1:6379");
    contains(refusal("localhost"), "redis://localhost");
    contains(refusal(""), "redis://host:port");
    contains(refusal("http://host"), "rediss://");
}

static void numbers_out_of_range_are_refused(void **state)
{
    (void)state;
    contains(refusal("redis://h:0"), "65535");
    contains(refusal("redis://h:65536"), "65535");
    contains(refusal("redis://h:-1"), "port");
    contains(refusal("redis://h:99999999999999999999999"), "port");
    contains(refusal("redis://h/65536"), "database");
    contains(refusal("redis://h/x"), "database");
    contains(refusal("redis://h/1/2"), "database");
    contains(refusal("redis://h?timeout=3"), "options");
    contains(refusal("redis://h/1?timeout=3"), "options");
    contains(refusal("redis://"), "host");
    contains(refusal("redis://u:p@"), "host");
    contains(refusal("redis://a b"), "blank");
}

static void broken_escapes_are_refused(void **state)
{
    (void)state;
    contains(refusal("redis://u:%zz@h"), "%25");
    contains(refusal("redis://u:%4@h"), "%25");
    contains(refusal("redis://u:%00@h"), "%25");
    contains(refusal("redis://h%"), "%");
    contains(refusal("unix:///a%0"), "%");
}

static void no_error_shows_a_password(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "redis://u:hunter2@h:bad", "redis://u:hunter2@h/bad",  "redis://u:%hunter2@h",
        "redis://u:hunter2/@h:1",  "redis://u:/hunter2@h:1",   "redis://u:?hunter2@h",
        "redis://u:#hunter2@h",    "redis://u:hunter2@",       "redis://:hunter2",
        "redis://host:hunter2",    "u:hunter2@host:6379",      "host:hunter2",
        "http://u:hunter2@h",      "redis://u:hunter2@[::1",   "redis://h?password=hunter2",
        "redis://h/?auth=hunter2", "redis://u:12@hunter2@h:x", "unix://u:hunter2@run/x",
        "redis://u:hunter2/a@b@h", "redis://u:hunter2@h:1:2",  "redis:u:hunter2@h",
        "redis://u:hunter2@[h:1",  "redis://:1hunter2",        "redis://[::1]:hunter2",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const char *text = refusal(texts[i]);
        if (strstr(text, "hunter2"))
            fail_msg("%s: %s", texts[i], text);
    }
}

static void display_shows_neither_user_nor_password(void **state)
{
    (void)state;
    char text[64];
    struct uri u = parse("rediss://me:secret@host:1/5");
    uri_display(&u, text, sizeof text);
    assert_string_equal(text, "rediss://host:1/5");
    char small[8];
    memset(small, 'x', sizeof small);
    uri_display(&u, small, sizeof small);
    assert_string_equal(small, "rediss:");
    uri_free(&u);
}

static void a_failed_parse_leaves_what_was_there(void **state)
{
    (void)state;
    struct uri u = parse("redis://first");
    struct error e;
    assert_false(uri_parse("redis://second:bad", &u, &e));
    assert_string_equal(u.host, "first");
    assert_true(uri_parse("redis://:p@third", &u, &e));
    assert_string_equal(u.host, "third");
    struct uri copy = parse("redis://fourth");
    uri_copy(&copy, &u);
    assert_string_equal(copy.host, "third");
    assert_string_equal(copy.password, "p");
    assert_ptr_not_equal(copy.password, u.password);
    uri_free(&copy);
    uri_free(&u);
}

/* host:port of each, with what else it has. */
static void assert_list(const char *text, const char *const *expected)
{
    struct uri list[URI_LIST_MAX] = {{0}};
    struct error e = {0};
    size_t count = uri_parse_list(text, list, &e), n = 0;
    if (!count)
        fail_msg("%s: %s", text, e.text);
    for (; expected[n]; n++) {
        char one[400];
        assert_true(n < count);
        snprintf(one, sizeof one, "%s %s:%s@%s:%u", list[n].tls ? "tls" : "plain",
                 list[n].user ? list[n].user : "", list[n].password ? list[n].password : "", list[n].host,
                 list[n].port);
        assert_string_equal(one, expected[n]);
    }
    assert_int_equal(count, n);
    for (size_t i = 0; i < count; i++)
        uri_free(&list[i]);
}

static void several_addresses_are_told_apart(void **state)
{
    (void)state;
    assert_list("redis://h", (const char *const[]){"plain :@h:6379", NULL});
    assert_list("redis://u:p@a:1,b,[::1]:3",
                (const char *const[]){"plain u:p@a:1", "plain u:p@b:6379", "plain u:p@::1:3", NULL});
    assert_list(
        "redis://a,rediss://:x@b:2,c,REDIS://d",
        (const char *const[]){"plain :@a:6379", "tls :x@b:2", "tls :x@c:6379", "plain :@d:6379", NULL});
    /* A comma of a password. */
    assert_list("redis://:p,q@a,b", (const char *const[]){"plain :p,q@a:6379", "plain :p,q@b:6379", NULL});
    assert_list("redis://a,redis://:p,q@b",
                (const char *const[]){"plain :@a:6379", "plain :p,q@b:6379", NULL});
}

static void a_list_with_something_wrong_is_refused_without_a_password(void **state)
{
    (void)state;
    static const char *const wrong[] = {"redis://:secret@a,", "redis://:secret@a,,b", "redis://:secret@a,b:x",
                                        "redis://:secret@a,redis://", ",redis://:secret@a"};
    struct uri list[URI_LIST_MAX] = {{0}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct error e = {0};
        assert_int_equal(uri_parse_list(wrong[i], list, &e), 0);
        assert_int_equal(e.exit_code, EX_USAGE);
        assert_null(strstr(e.text, "secret"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_parts_are_found),
        cmocka_unit_test(what_is_left_out_has_defaults),
        cmocka_unit_test(password_without_user_and_user_without_password),
        cmocka_unit_test(tls_has_the_same_default_port),
        cmocka_unit_test(percent_escapes_are_decoded_and_nothing_else),
        cmocka_unit_test(an_at_sign_in_the_password_needs_no_escape),
        cmocka_unit_test(ipv6_hosts_stand_in_brackets),
        cmocka_unit_test(unix_sockets_are_absolute_paths),
        cmocka_unit_test(the_null_sink_has_no_host),
        cmocka_unit_test(a_text_without_scheme_is_told_how_to_write_it),
        cmocka_unit_test(numbers_out_of_range_are_refused),
        cmocka_unit_test(broken_escapes_are_refused),
        cmocka_unit_test(no_error_shows_a_password),
        cmocka_unit_test(display_shows_neither_user_nor_password),
        cmocka_unit_test(a_failed_parse_leaves_what_was_there),
        cmocka_unit_test(several_addresses_are_told_apart),
        cmocka_unit_test(a_list_with_something_wrong_is_refused_without_a_password),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
