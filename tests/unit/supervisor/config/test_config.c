/* The configuration file, and what wins over what. */
#include "tests/unit/supervisor/supervisor_testing.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "supervisor/config/config.h"
#include "supervisor/config/options.h"

static struct settings s;
static struct error error;
static char path[96];

static int setup(void **state)
{
    error = (struct error){0};
    if (make_dir(state) != 0)
        return -1;
    snprintf(path, sizeof path, "%s/blue.conf", testing_dir);
    setenv("HOME", "/tmp", 1);
    setenv("DF2REDIS_CONFIG_DIR", testing_dir, 1);
    unsetenv("DF2REDIS_SOURCE_PASSWORD");
    settings_init(&s);
    return 0;
}

static int teardown(void **state)
{
    settings_free(&s);
    return remove_dir(state);
}

static void write_config(const char *text)
{
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    fclose(f);
    assert_int_equal(chmod(path, 0640), 0);
}

static void read_config(const char *text)
{
    write_config(text);
    if (!config_read(path, NULL, &s, &error))
        fail_msg("%s", error.text);
}

static void assert_refused(const char *text, int line, const char *says)
{
    char place[160];
    struct settings unused;
    settings_init(&unused);
    write_config(text);
    error = (struct error){0};
    assert_false(config_read(path, NULL, &unused, &error));
    settings_free(&unused);
    snprintf(place, sizeof place, "%s:%d: ", path, line);
    assert_int_equal(error.exit_code, EX_CONFIG);
    if (strncmp(error.text, place, strlen(place)) != 0 || !strstr(error.text, says))
        fail_msg("\"%s\" does not say \"%s\" and \"%s\"", error.text, place, says);
}

static void keys_are_the_options_and_sections_only_group(void **state)
{
    (void)state;
    read_config("source = redis://h:1\n[target]\ntarget=redis://g:2\n# comment\n; comment\n\n[limits]\n"
                "max-rate = 5m ; what the disk takes\n[log]\nlog-level: debug\n[limits]\nbatch-commands = 7");
    assert_string_equal(s.source.host, "h");
    assert_int_equal(s.target.port, 2);
    assert_int_equal(s.max_rate_bytes, 5 << 20);
    assert_int_equal(s.log_level, LOG_LEVEL_DEBUG);
    assert_int_equal(s.batch_commands, 7);
}

static void indented_line_is_a_line_of_its_own(void **state)
{
    (void)state;
    read_config("[limits]\n  max-rate = 1m\n\tbatch-commands = 9\r\n");
    assert_int_equal(s.max_rate_bytes, 1 << 20);
    assert_int_equal(s.batch_commands, 9);
}

static void lists_add_up(void **state)
{
    (void)state;
    read_config("include = a:*\ninclude = b:*\nexclude = *:tmp\n");
    assert_string_equal(s.include[0], "a:*");
    assert_string_equal(s.include[1], "b:*");
    assert_null(s.include[2]);
    assert_string_equal(s.exclude[0], "*:tmp");
}

static void mistakes_are_refused_with_file_and_line(void **state)
{
    (void)state;
    assert_refused("# a\nsorce = redis://h\n", 2, "no setting named \"sorce\"");
    assert_refused("\n\nlog-level = loud\n", 3, "log-level: \"loud\"");
    assert_refused("max-rate = 1m\n[limits]\nmax-rate = 2m\n", 3, "line 1");
    assert_refused("[nosuch]\nmax-rate = 1m\n", 2, "no section [nosuch]");
    assert_refused("max-rate\n", 1, "key = value");
    assert_refused("[limits\n", 1, "key = value");
    assert_refused("max-rate =\n", 1, "max-rate has no value");
    assert_refused("flush-target =\n", 1, "flush-target has no value");
    assert_refused("state-dir = here\n", 1, "must begin with /");
    assert_refused("metrics = here\n", 1, "not a port");
    /* The first one is told. */
    assert_refused("bad line\nmax-rate = x\n", 1, "key = value");
    assert_refused("max-rate = x\nbad line\n", 1, "max-rate");
}

static void line_that_is_too_long_is_refused_not_cut(void **state)
{
    (void)state;
    char text[2000] = "max-rate = 1m\nexclude = ";
    size_t len = strlen(text);
    memset(text + len, 'x', sizeof text - len - 2);
    text[sizeof text - 2] = '\n';
    assert_refused(text, 2, "longer than");
}

static void missing_file_is_told(void **state)
{
    (void)state;
    assert_false(config_read("/nonexistent/file", NULL, &s, &error));
    assert_int_equal(error.exit_code, EX_NOINPUT);
    assert_false(config_read(testing_dir, NULL, &s, &error));
    assert_int_equal(error.exit_code, EX_NOINPUT);
}

static void password_in_a_file_that_all_can_read_is_refused(void **state)
{
    (void)state;
    write_config("source = redis://me:s3cret@h\n");
    assert_true(config_read(path, NULL, &s, &error));
    assert_string_equal(s.source.password, "s3cret");
    assert_int_equal(chmod(path, 0644), 0);
    assert_false(config_read(path, NULL, &s, &error));
    assert_int_equal(error.exit_code, EX_CONFIG);
    assert_null(strstr(error.text, "s3cret"));
    write_config("source = redis://h\n");
    assert_int_equal(chmod(path, 0644), 0);
    assert_true(config_read(path, NULL, &s, &error));
}

static bool parse(struct options *o, int argc, ...)
{
    static char words[12][200];
    char *argv[13] = {words[0], NULL};
    va_list args;
    snprintf(words[0], sizeof words[0], "df2redis");
    va_start(args, argc);
    for (int i = 1; i <= argc; i++) {
        snprintf(words[i], sizeof words[0], "%s", va_arg(args, const char *));
        argv[i] = words[i];
    }
    va_end(args);
    argv[argc + 1] = NULL;
    return options_parse(o, argc + 1, argv, &error);
}

static void command_line_wins_over_the_file(void **state)
{
    (void)state;
    struct options o;
    write_config(
        "source = redis://h\ntarget = redis://g\nmax-rate = 1m\ninclude = a:*\nbatch-commands = 3\n");
    assert_true(parse(&o, 7, "replicate", "-c", path, "--max-rate", "2m", "--include", "b:*"));
    assert_string_equal(o.settings.source.host, "h");
    assert_int_equal(o.settings.max_rate_bytes, 2 << 20);
    assert_int_equal(o.settings.batch_commands, 3);
    assert_string_equal(o.settings.include[0], "b:*");
    assert_null(o.settings.include[1]);
    options_free(&o);
}

/* Also what the command line overrides is checked: the file is wrong, whoever starts it how. */
static void overridden_key_is_checked_all_the_same(void **state)
{
    (void)state;
    struct options o;
    write_config("source = redis://h\ntarget = redis://g\nmax-rate = much\n");
    assert_false(parse(&o, 5, "replicate", "-c", path, "--max-rate", "2m"));
    assert_non_null(strstr(error.text, "blue.conf:3: max-rate"));
    options_free(&o);
}

static void file_of_the_name_is_found(void **state)
{
    (void)state;
    struct options o;
    write_config("source = redis://h\ntarget = redis://g\nstate-dir = /some/where\n");
    assert_true(parse(&o, 3, "replicate", "-n", "blue"));
    assert_string_equal(o.settings.name, "blue");
    assert_string_equal(o.config.path, path);
    options_free(&o);
    assert_true(parse(&o, 3, "stop", "-n", "blue"));
    assert_string_equal(o.settings.state_dir, "/some/where");
    assert_null(o.settings.source.host);
    options_free(&o);
    assert_false(parse(&o, 3, "replicate", "-n", "green"));
    assert_null(o.config.path);
    options_free(&o);
    assert_false(parse(&o, 1, "replicate"));
    options_free(&o);
}

static void check_config_and_wait_have_their_options(void **state)
{
    (void)state;
    struct options o;
    write_config("source = redis://h\ntarget = redis://g\n");
    assert_true(parse(&o, 4, "replicate", "-c", path, "--check-config"));
    assert_true(o.check_config);
    options_free(&o);
    assert_true(parse(&o, 3, "wait", "--in-step", "--timeout=2m"));
    assert_int_equal(o.verb, VERB_WAIT);
    assert_int_equal(o.timeout_ms, 120000);
    options_free(&o);
    assert_false(parse(&o, 3, "wait", "--timeout", "soon"));
    options_free(&o);
    assert_false(parse(&o, 2, "status", "--check-config"));
    options_free(&o);
    assert_false(parse(&o, 2, "stop", "--watch"));
    options_free(&o);
    assert_false(parse(&o, 5, "stop", "-c", path, "-c", path));
    options_free(&o);
}

/* Its lines "#key = value", one by one: all settings are there, and what has a default has that one. */
static void sample_has_every_setting_with_its_default(void **state)
{
    (void)state;
    struct settings defaults;
    char line[200], key[60];
    const char *names[128];
    settings_init(&defaults);
    FILE *sample = fopen("packaging/df2redis.conf.sample", "re");
    assert_non_null(sample);
    struct buf text = {0};
    while (fgets(line, sizeof line, sample)) {
        bool option = line[0] == '#' && line[1] >= 'a' && line[1] <= 'z' && strstr(line, " = ");
        buf_printf(&text, "%s", option ? line + 1 : line);
    }
    fclose(sample);
    buf_put_u8(&text, '\0');
    read_config((const char *)text.data);
    for (const struct setting_help *h = settings_help(); h->name; h++) {
        snprintf(key, sizeof key, "\n%s = ", h->name);
        if (!strstr((const char *)text.data, key))
            fail_msg("%s is not in the sample", h->name);
    }
    size_t n = settings_differences(&s, &defaults, names, 128);
    static const char no_default[] =
        "source target source-password-file target-password-file on-conflict state-dir "
        "include exclude db tls-ca tls-cert tls-key log-file pidfile user metrics metrics-host";
    for (size_t i = 0; i < n; i++)
        if (!strstr(no_default, names[i]))
            fail_msg("%s does not have its default in the sample", names[i]);
    buf_free(&text);
    settings_free(&defaults);
}

static void sample_as_it_is_sets_nothing(void **state)
{
    (void)state;
    struct settings defaults;
    const char *names[128];
    settings_init(&defaults);
    assert_true(config_read("packaging/df2redis.conf.sample", NULL, &s, &error));
    assert_int_equal(settings_differences(&s, &defaults, names, 128), 0);
    settings_free(&defaults);
}

/* What systemd hands over counts where nothing else was given, whatever the file's mode. */
static void credential_gives_the_password(void **state)
{
    (void)state;
    struct options o;
    char file[96];
    snprintf(file, sizeof file, "%s/source-password", testing_dir);
    int fd = open(file, O_WRONLY | O_CREAT, 0440);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "word\n", 5), 5);
    close(fd);
    setenv("CREDENTIALS_DIRECTORY", testing_dir, 1);
    assert_true(parse(&o, 5, "replicate", "-s", "redis://h", "-t", "redis://g"));
    assert_string_equal(o.settings.source.password, "word");
    assert_null(o.settings.target.password);
    options_free(&o);
    assert_true(parse(&o, 5, "replicate", "-s", "redis://:other@h", "-t", "redis://g"));
    assert_string_equal(o.settings.source.password, "other");
    options_free(&o);
    unsetenv("CREDENTIALS_DIRECTORY");
}

static void addresses_for_metrics(void **state)
{
    (void)state;
    char host[64];
    uint16_t port;
    assert_true(settings_metrics_address("9121", host, sizeof host, &port));
    assert_string_equal(host, "127.0.0.1");
    assert_int_equal(port, 9121);
    assert_true(settings_metrics_address("0.0.0.0:80", host, sizeof host, &port));
    assert_string_equal(host, "0.0.0.0");
    assert_true(settings_metrics_address("[::1]:9121", host, sizeof host, &port));
    assert_string_equal(host, "::1");
    static const char *const wrong[] = {"", ":", ":80", "host:", "h:65536", "::1:80", "[]:1", "a b", NULL};
    for (const char *const *w = wrong; *w; w++)
        assert_false(settings_metrics_address(*w, host, sizeof host, &port));
}

static void differences_are_named(void **state)
{
    (void)state;
    struct settings other;
    const char *names[8];
    settings_init(&other);
    assert_int_equal(settings_differences(&s, &other, names, 8), 0);
    assert_true(settings_set(&other, "max-rate", "1m", &error));
    assert_true(settings_set(&other, "exclude", "x", &error));
    assert_int_equal(settings_differences(&s, &other, names, 8), 2);
    assert_string_equal(names[0], "exclude");
    assert_string_equal(names[1], "max-rate");
    settings_copy_number(&s, &other, "max-rate");
    assert_int_equal(s.max_rate_bytes, 1 << 20);
    settings_free(&other);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(keys_are_the_options_and_sections_only_group),
        TEST(indented_line_is_a_line_of_its_own),
        TEST(lists_add_up),
        TEST(mistakes_are_refused_with_file_and_line),
        TEST(line_that_is_too_long_is_refused_not_cut),
        TEST(missing_file_is_told),
        TEST(password_in_a_file_that_all_can_read_is_refused),
        TEST(command_line_wins_over_the_file),
        TEST(overridden_key_is_checked_all_the_same),
        TEST(file_of_the_name_is_found),
        TEST(check_config_and_wait_have_their_options),
        TEST(sample_has_every_setting_with_its_default),
        TEST(sample_as_it_is_sets_nothing),
        TEST(credential_gives_the_password),
        TEST(addresses_for_metrics),
        TEST(differences_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
