/* Rounds over the source's addresses.
 *
 * getaddrinfo(3) is ours here: "two" is 127.0.0.1 and 127.0.0.2, "none" is unknown, every other name
 * 127.0.0.9. */
#include "tests/unit/supervisor/supervisor_testing.h"

#include <arpa/inet.h>
#include <netdb.h>

#include "supervisor/source/addresses.h"

static struct addresses a;
static struct settings settings;

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
    static struct sockaddr_in addresses[2];
    static struct addrinfo list[2];
    (void)service, (void)hints;
    bool two = strcmp(name, "two") == 0;
    if (strcmp(name, "none") == 0)
        return EAI_NONAME;
    for (unsigned i = 0; i < 2; i++) {
        addresses[i] = (struct sockaddr_in){.sin_family = AF_INET};
        inet_pton(AF_INET, !two ? "127.0.0.9" : i ? "127.0.0.2" : "127.0.0.1", &addresses[i].sin_addr);
        list[i] = (struct addrinfo){.ai_family = AF_INET,
                                    .ai_addr = (struct sockaddr *)&addresses[i],
                                    .ai_addrlen = sizeof addresses[i],
                                    .ai_next = i == 0 ? &list[1] : NULL};
    }
    *out = list;
    return 0;
}

void freeaddrinfo(struct addrinfo *list)
{
    (void)list;
}

static void begin(const char *source)
{
    struct error error = {0};
    settings_init(&settings);
    if (!settings_set(&settings, "source", source, &error))
        fail_msg("%s", error.text);
    addresses_init(&a, &settings);
}

static int teardown(void **state)
{
    (void)state;
    addresses_free(&a);
    settings_free(&settings);
    return 0;
}

static void expect_current(const char *name)
{
    struct error error = {0};
    char text[300];
    const struct uri *u = addresses_current(&a, &error);
    if (!u)
        fail_msg("%s", error.text);
    uri_display(u, text, sizeof text);
    assert_string_equal(text, name);
}

static bool next(enum error_class class, const char *why, struct error *all)
{
    struct error error = {.class = class, .exit_code = class == ERROR_FATAL ? 69 : 0};
    snprintf(error.text, sizeof error.text, "%s", why);
    return addresses_next(&a, &error, all);
}

static void every_address_of_every_name_is_tried_and_told(void **state)
{
    (void)state;
    struct error all = {0};
    begin("redis://two:7000,one");
    expect_current("redis://two:7000 (127.0.0.1)");
    assert_true(next(ERROR_FATAL, "first is a replica", &all));
    expect_current("redis://two:7000 (127.0.0.2)");
    assert_true(next(ERROR_RETRY, "second refuses", &all));
    expect_current("redis://one:6379");
    assert_false(next(ERROR_FATAL, "third is a replica", &all));
    assert_int_equal(all.class, ERROR_RETRY); /* one of them may come back */
    assert_non_null(strstr(all.text, "none of 3 addresses"));
    assert_non_null(strstr(all.text, "first is a replica; second refuses; third is a replica"));
    expect_current("redis://two:7000 (127.0.0.1)"); /* another round */
}

static void a_round_begins_where_a_master_was_found(void **state)
{
    (void)state;
    struct error all = {0};
    begin("redis://two,one");
    expect_current("redis://two:6379 (127.0.0.1)");
    assert_true(next(ERROR_RETRY, "away", &all));
    expect_current("redis://two:6379 (127.0.0.2)");
    addresses_found(&a);
    expect_current("redis://two:6379 (127.0.0.2)");
    assert_true(next(ERROR_RETRY, "away", &all));
    expect_current("redis://two:6379 (127.0.0.1)");
    assert_true(next(ERROR_RETRY, "away", &all));
    expect_current("redis://one:6379");
}

static void the_only_address_speaks_for_itself(void **state)
{
    (void)state;
    struct error all = {0};
    begin("redis://one");
    expect_current("redis://one:6379");
    assert_false(next(ERROR_FATAL, "is itself a replica", &all));
    assert_int_equal(all.class, ERROR_FATAL);
    assert_int_equal(all.exit_code, 69);
    assert_string_equal(all.text, "is itself a replica");
}

static void a_name_that_is_not_known_does_not_hold_up_the_others(void **state)
{
    (void)state;
    struct error all = {0};
    begin("redis://none,one");
    expect_current("redis://one:6379");
    assert_false(next(ERROR_FATAL, "is itself a replica", &all));
    addresses_free(&a);
    settings_free(&settings);
    begin("redis://none");
    assert_null(addresses_current(&a, &all));
    assert_int_equal(all.class, ERROR_RETRY);
    assert_non_null(strstr(all.text, "looking up none"));
}

static void credentials_are_the_first_one_s_unless_given(void **state)
{
    (void)state;
    begin("redis://u:p@a,redis://b,redis://:q@c,d");
    assert_int_equal(a.host_count, 4);
    assert_string_equal(a.hosts[1].user, "u");
    assert_string_equal(a.hosts[1].password, "p");
    assert_null(a.hosts[2].user);
    assert_string_equal(a.hosts[2].password, "q");
    assert_string_equal(a.hosts[3].password, "q");
    char text[200];
    addresses_display(&a, text, sizeof text);
    assert_string_equal(text, "redis://a:6379,redis://b:6379,redis://c:6379,redis://d:6379");
}

static void plain_and_tls_are_not_mixed(void **state)
{
    (void)state;
    struct error error = {0};
    begin("redis://a");
    assert_false(settings_set(&settings, "source", "redis://a,rediss://b", &error));
    assert_false(settings_set(&settings, "source", "redis://a,redis://b/1", &error));
}

static void lists_that_have_an_address_in_common_are_of_one_source(void **state)
{
    (void)state;
    begin("redis://a");
    assert_true(addresses_share("redis://a:1,redis://b:1", "redis://c:1,redis://b:1"));
    assert_true(addresses_share("redis://a:1", "redis://a:1"));
    assert_false(addresses_share("redis://a:1", "redis://a:12"));
    assert_false(addresses_share("", "redis://a:1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(every_address_of_every_name_is_tried_and_told, teardown),
        cmocka_unit_test_teardown(a_round_begins_where_a_master_was_found, teardown),
        cmocka_unit_test_teardown(the_only_address_speaks_for_itself, teardown),
        cmocka_unit_test_teardown(a_name_that_is_not_known_does_not_hold_up_the_others, teardown),
        cmocka_unit_test_teardown(credentials_are_the_first_one_s_unless_given, teardown),
        cmocka_unit_test_teardown(plain_and_tls_are_not_mixed, teardown),
        cmocka_unit_test_teardown(lists_that_have_an_address_in_common_are_of_one_source, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
