/* The command line. */
#include "tests/unit/supervisor/supervisor_testing.h"

#include "supervisor/config/options.h"

enum { MAX_WORDS = 16 };

static struct options o;
static struct error error;
static char words[MAX_WORDS][200];
static char *argv[MAX_WORDS + 1];

static int setup(void **state)
{
    (void)state;
    o = (struct options){0};
    error = (struct error){0};
    setenv("HOME", "/tmp", 1);
    unsetenv("DF2REDIS_SOURCE_PASSWORD");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    options_free(&o);
    return 0;
}

static bool parse(const char *line)
{
    int argc = 1;
    snprintf(words[0], sizeof words[0], "df2redis");
    argv[0] = words[0];
    while (*line && argc < MAX_WORDS) {
        size_t len = strcspn(line, " ");
        snprintf(words[argc], sizeof words[0], "%.*s", (int)len, line);
        argv[argc] = words[argc];
        argc++;
        line += len + (line[len] == ' ');
    }
    argv[argc] = NULL;
    return options_parse(&o, argc, argv, &error);
}

static void assert_usage_error(const char *line, const char *says)
{
    assert_false(parse(line));
    assert_int_equal(error.exit_code, EX_USAGE);
    if (!strstr(error.text, says))
        fail_msg("\"%s\" does not say \"%s\"", error.text, says);
    options_free(&o);
}

static void options_stand_before_or_after_the_verb(void **state)
{
    (void)state;
    assert_true(parse("--name a replicate -s redis://h:1 --target=redis://g:2 --max-rate 5m"));
    assert_int_equal(o.verb, VERB_REPLICATE);
    assert_string_equal(o.settings.name, "a");
    assert_string_equal(o.settings.source.host, "h");
    assert_int_equal(o.settings.target.port, 2);
    assert_int_equal(o.settings.max_rate_bytes, 5 << 20);
    assert_false(o.settings.migrate);
}

static void short_options_take_their_value_in_three_ways(void **state)
{
    (void)state;
    assert_true(parse("migrate -sredis://h -t=redis://g -n b"));
    assert_string_equal(o.settings.source.host, "h");
    assert_string_equal(o.settings.target.host, "g");
    assert_string_equal(o.settings.name, "b");
    assert_true(o.settings.migrate);
}

static void flags_need_no_value_but_may_have_one(void **state)
{
    (void)state;
    assert_true(parse("migrate -s redis://h -t redis://g --flush-target"));
    assert_true(o.settings.flush_target);
    options_free(&o);
    assert_true(parse("migrate -s redis://h -t redis://g --flush-target=off"));
    assert_false(o.settings.flush_target);
}

static void every_setting_is_an_option(void **state)
{
    (void)state;
    for (const struct setting_help *h = settings_help(); h->name; h++) {
        char line[120];
        snprintf(line, sizeof line, "status --%s=", h->name);
        if (!parse(line))
            assert_null(strstr(error.text, "is not known"));
        options_free(&o);
    }
}

static void check_needs_both_uris_unless_it_prints_rights(void **state)
{
    (void)state;
    assert_true(parse("check -s redis://h -t redis://g --json --flush-target"));
    assert_int_equal(o.verb, VERB_CHECK);
    assert_true(o.json && o.settings.flush_target);
    options_free(&o);
    assert_true(parse("check --acl"));
    assert_true(o.acl);
    options_free(&o);
}

static void status_and_stop_need_no_uris(void **state)
{
    (void)state;
    assert_true(parse("status --json -n x"));
    assert_int_equal(o.verb, VERB_STATUS);
    assert_true(o.json);
    options_free(&o);
    assert_true(parse("stop"));
    assert_int_equal(o.verb, VERB_STOP);
}

static void clean_needs_a_target_and_no_source(void **state)
{
    (void)state;
    assert_true(parse("clean -t redis://:pw@g:7000 -n x"));
    assert_int_equal(o.verb, VERB_CLEAN);
    assert_string_equal(o.settings.name, "x");
    assert_string_equal(o.settings.target.password, "pw");
    options_free(&o);
    assert_usage_error("clean -n x", "clean needs --target");
    options_free(&o);
    assert_usage_error("clean -t null:", "clean needs --target");
}

static void verify_counts_keys_and_shares(void **state)
{
    (void)state;
    assert_true(parse("verify -n x --max-rate 5000 --sample 0.5% --repair"));
    assert_int_equal(o.verb, VERB_VERIFY);
    assert_int_equal(o.keys_per_second, 5000);
    assert_int_equal(o.sample_ppm, 5000);
    assert_true(o.repair && !o.restart);
    options_free(&o);
    assert_usage_error("verify --sample 0", "is not a percentage");
    options_free(&o);
    assert_usage_error("verify --sample 101%", "is not a percentage");
    options_free(&o);
    assert_usage_error("verify --max-rate 5m", "is not a number of keys per second");
    options_free(&o);
    assert_usage_error("status --repair", "--repair is for verify");
}

static void help_is_found_in_all_its_forms(void **state)
{
    (void)state;
    static const char *const lines[] = {"--help", "-h", "help", "replicate --help", "help replicate"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        assert_true(parse(lines[i]));
        assert_int_equal(o.verb, VERB_HELP);
        assert_int_equal(o.help_of, i < 3 ? VERB_NONE : VERB_REPLICATE);
        options_free(&o);
    }
    assert_true(parse("--version"));
    assert_int_equal(o.verb, VERB_VERSION);
}

static void cutover_takes_its_own_options(void **state)
{
    (void)state;
    assert_true(parse("cutover -n a --max-pause 2500ms --exec ./switch --then=takeover --dry-run"));
    assert_int_equal(o.verb, VERB_CUTOVER);
    assert_int_equal(o.cutover.max_pause_ms, 2500);
    assert_string_equal(o.cutover.command, "./switch");
    assert_string_equal(o.cutover.then, "takeover");
    assert_true(o.cutover.dry_run);
    assert_false(o.cutover.accept_divergences);
    options_free(&o);
    assert_true(parse("cutover --accept-divergences --verify"));
    assert_true(o.cutover.verify);
    assert_int_equal(o.cutover.max_pause_ms, 0);
    assert_null(o.cutover.command);
    assert_true(o.cutover.accept_divergences);
    options_free(&o);
    assert_usage_error("cutover --then leave", "stop, takeover, reverse");
    options_free(&o);
    assert_usage_error("cutover --max-pause 1ms", "from 200ms");
    options_free(&o);
    assert_usage_error("cutover --max-pause soon", "is not a time");
    options_free(&o);
    assert_usage_error("stop --exec ./switch", "are for cutover");
}

static void errors_name_what_was_wrong_and_what_is_possible(void **state)
{
    (void)state;
    assert_usage_error("", "replicate, migrate, verify, status, wait, cutover, stop, clean");
    options_free(&o);
    assert_usage_error("frobnicate", "\"frobnicate\"");
    options_free(&o);
    assert_usage_error("replicate migrate", "give one of them");
    options_free(&o);
    assert_usage_error("replicate --frob", "--frob");
    options_free(&o);
    assert_usage_error("replicate -x", "-x");
    options_free(&o);
    assert_usage_error("replicate -t redis://g", "--source");
    options_free(&o);
    assert_usage_error("replicate -s redis://g", "--target");
    options_free(&o);
    assert_usage_error("replicate --name", "--name NAME");
    options_free(&o);
    assert_usage_error("replicate --json -s redis://h -t redis://g",
                       "--json is for status, check and verify");
    assert_usage_error("check --watch -s redis://h -t redis://g", "--watch is for status");
    assert_usage_error("status --acl", "--acl is for check");
    assert_usage_error("check --acl --json", "contradict");
    assert_usage_error("check -s redis://h", "check needs --target");
    assert_usage_error("check -t redis://h", "check needs --source");
    options_free(&o);
    assert_usage_error("replicate -s redis://h -t redis://g --log-level loud", "log-level");
}

static void passwords_are_blanked_in_the_arguments_but_kept(void **state)
{
    (void)state;
    assert_true(parse("replicate --source=redis://me:s3cret@h -t redis://:other@g:7"));
    for (int i = 0; argv[i]; i++) {
        assert_null(strstr(argv[i], "s3cret"));
        assert_null(strstr(argv[i], "other"));
    }
    assert_string_equal(o.settings.source.password, "s3cret");
    assert_string_equal(o.settings.target.password, "other");
    assert_string_equal(argv[2], "--source=redis://me:xxxxxx@h");
}

static void password_of_a_refused_uri_is_blanked_too(void **state)
{
    (void)state;
    assert_false(parse("replicate -s redis://me:s3cret@h:notaport -t redis://g"));
    assert_null(strstr(argv[3], "s3cret"));
    assert_null(strstr(error.text, "s3cret"));
}

static bool is_option(const char *name, size_t len)
{
    for (const struct setting_help *h = settings_help(); h->name; h++)
        if (strlen(h->name) == len && memcmp(h->name, name, len) == 0)
            return true;
    static const char *const own[] = {"json", "watch", "in-step", "config", "acl", "repair", "exec"};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (strlen(own[i]) == len && memcmp(own[i], name, len) == 0)
            return true;
    return false;
}

/* The smallest that there is, with the prompt below it. */
static void help_fits_a_screen(void **state)
{
    (void)state;
    char *text = NULL;
    size_t bytes = 0, lines = 0;
    FILE *out = open_memstream(&text, &bytes);
    help_print(VERB_NONE, out);
    fclose(out);
    for (char *line = text; *line; lines++) {
        size_t len = strcspn(line, "\n");
        if (len >= 80)
            fail_msg("%.*s", (int)len, line);
        line += len + (line[len] == '\n');
    }
    assert_true(lines > 15 && lines < 24);
    for (const char *at = strstr(text, "--"); at; at = strstr(at, "--")) {
        at += 2;
        size_t len = strspn(at, "abcdefghijklmnopqrstuvwxyz-");
        if (!is_option(at, len))
            fail_msg("there is no option --%.*s", (int)len, at);
    }
    free(text);
}

static void help_of_a_run_names_every_setting(void **state)
{
    (void)state;
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    help_print(VERB_REPLICATE, out);
    fclose(out);
    for (const struct setting_help *h = settings_help(); h->name; h++) {
        char option[80];
        snprintf(option, sizeof option, "--%s", h->name);
        assert_non_null(strstr(text, option));
    }
    for (char *line = text; *line;) {
        size_t len = strcspn(line, "\n");
        assert_true(len < 80);
        line += len + (line[len] == '\n');
    }
    free(text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(options_stand_before_or_after_the_verb),
        TEST(short_options_take_their_value_in_three_ways),
        TEST(flags_need_no_value_but_may_have_one),
        TEST(every_setting_is_an_option),
        TEST(check_needs_both_uris_unless_it_prints_rights),
        TEST(status_and_stop_need_no_uris),
        TEST(clean_needs_a_target_and_no_source),
        TEST(verify_counts_keys_and_shares),
        TEST(help_is_found_in_all_its_forms),
        TEST(cutover_takes_its_own_options),
        TEST(errors_name_what_was_wrong_and_what_is_possible),
        TEST(passwords_are_blanked_in_the_arguments_but_kept),
        TEST(password_of_a_refused_uri_is_blanked_too),
        TEST(help_fits_a_screen),
        TEST(help_of_a_run_names_every_setting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
