/* What is found before anything is written: the list of findings, and the rights of the target's user. */
#include "tests/unit/supervisor/supervisor_testing.h"

#include "supervisor/rules/rights.h"
#include "supervisor/source/source_facts.h"

static struct error error;

/* ---- the list ---- */

static void nothing_found_is_no_error(void **state)
{
    (void)state;
    struct findings f = {0};
    assert_false(findings_tell(&f, &error));
    findings_warn(&f, "only a %s", "warning");
    assert_false(findings_tell(&f, &error));
    assert_int_equal(f.count, 0);
}

static void one_error_is_told_in_its_own_words(void **state)
{
    (void)state;
    struct findings f = {0};
    findings_refuse(&f, EX_CONFIG, "this is wrong");
    findings_refuse(&f, EX_CONFIG, "this is wrong");
    assert_true(findings_tell(&f, &error));
    assert_string_equal(error.text, "this is wrong");
    assert_int_equal(error.exit_code, EX_CONFIG);
}

static void of_several_a_missing_right_decides_the_exit_code(void **state)
{
    (void)state;
    struct findings f = {0};
    findings_refuse(&f, EX_CONFIG, "one");
    findings_refuse(&f, EX_NOPERM, "two");
    findings_refuse(&f, EX_CONFIG, "three");
    assert_true(findings_tell(&f, &error));
    assert_int_equal(error.exit_code, EX_NOPERM);
    assert_non_null(strstr(error.text, "3 errors"));
}

static void each_finding_belongs_to_the_probe_before_it(void **state)
{
    (void)state;
    struct findings f = {0};
    findings_warn(&f, "of no probe");
    findings_probe(&f, "one", "%d seen", 1);
    findings_unknown(&f, "two", "not told");
    findings_refuse(&f, EX_CONFIG, "of two");
    findings_probe(&f, "one", "dropped");
    findings_warn(&f, "of one");
    assert_int_equal(f.probe_count, 2);
    assert_string_equal(f.probes[0].text, "1 seen");
    assert_true(f.probes[0].known);
    assert_false(f.probes[1].known);
    assert_true(f.list[0].probe == FINDINGS_NO_PROBE);
    assert_int_equal(f.list[1].probe, 1);
    assert_int_equal(f.list[2].probe, 0);
    assert_int_equal(findings_exit_code(&f), EX_CONFIG);
    findings_refuse(&f, EX_CANTCREAT, "later");
    assert_int_equal(findings_exit_code(&f), EX_CONFIG);
    findings_free(&f);
    assert_int_equal(findings_exit_code(&f), 0);
}

/* ---- rights ---- */

static redisReply queued = {.type = REDIS_REPLY_STATUS, .str = (char *)"QUEUED"};

static const struct rights_context standalone = {
    .target = "redis://t:1", .run = "default", .marks = true, .databases = true};

/* What the row with this command is answered: of the key, or of the command. */
static struct findings judged_with(const struct settings *settings, const char *command, const char *answer,
                                   struct rights_context context)
{
    struct rights r = {.probed = true};
    struct findings out = {0};
    struct slice argv[RIGHTS_MAX_ARGS];
    redisReply refused = {.type = REDIS_REPLY_ERROR, .str = (char *)answer, .len = strlen(answer)};
    rights_keys(&r, settings);
    for (size_t i = 0; i < rights_rows(&r); i++) {
        size_t argc = rights_row(&r, i, "df2redis:default", argv);
        struct buf line = {0};
        for (size_t k = 0; k < argc; k++)
            buf_printf(&line, "%s%.*s", k ? " " : "", (int)argv[k].len, (const char *)argv[k].data);
        buf_put_u8(&line, '\0');
        bool is_it = strncmp((const char *)line.data, command, strlen(command)) == 0;
        rights_answer(&r, i, is_it ? &refused : &queued);
        buf_free(&line);
    }
    context.include = settings->include != NULL;
    rights_judge(&r, &context, &out);
    return out;
}

static struct findings judged(const char *command, const char *answer, struct rights_context context)
{
    struct settings settings;
    settings_init(&settings);
    struct findings out = judged_with(&settings, command, answer, context);
    settings_free(&settings);
    return out;
}

static void assert_found(const char *command, const char *answer, struct rights_context context,
                         int exit_code, const char *text)
{
    struct findings f = judged(command, answer, context);
    if (f.count != 1 || !strstr(f.list[0].text, text))
        fail_msg("%s: %zu, %s", command, f.count, f.count ? f.list[0].text : "");
    assert_int_equal(f.errors, exit_code != 0);
    assert_int_equal(f.list[0].exit_code, exit_code);
    findings_free(&f);
}

static void assert_nothing_found(const char *command, const char *answer, struct rights_context context)
{
    struct findings f = judged(command, answer, context);
    if (f.count)
        fail_msg("%s: %s", command, f.list[0].text);
}

static const char no_command[] = "NOPERM User app has no permissions to run the 'x' command";
static const char no_key[] = "NOPERM No permissions to access a key";
static const char no_command_6_2[] =
    "NOPERM this user has no permissions to run the 'x' command or its subcommand";
static const char no_key_6_2[] =
    "NOPERM this user has no permissions to access one of the keys used as arguments";

static void every_right_is_there(void **state)
{
    (void)state;
    assert_nothing_found("no such row", "", standalone);
}

static void mark_needs_its_key_and_its_commands(void **state)
{
    (void)state;
    struct rights_context without = standalone;
    assert_found("HSET df2redis:default", no_key, standalone, EX_NOPERM, "~df2redis:default* +hset");
    assert_found("HSET df2redis:default", no_key_6_2, standalone, EX_NOPERM, "~df2redis:default* +hset");
    assert_found("EVAL", no_command, standalone, EX_NOPERM, "+eval");
    without.marks = false;
    assert_nothing_found("HSET df2redis:default", no_key, without);
}

static void data_needs_its_commands_whatever_the_keys(void **state)
{
    (void)state;
    assert_found("RESTORE", no_command, standalone, EX_NOPERM, "give it +restore");
    assert_found("RESTORE", no_command_6_2, standalone, EX_NOPERM, "give it +restore");
    assert_found("RESTORE", "ERR unknown command 'RESTORE', with args beginning with: ", standalone,
                 EX_NOPERM, "+restore, which the target does not have");
    assert_nothing_found("RESTORE", no_key, standalone);
    assert_nothing_found("RESTORE", "OOM command not allowed when used memory > 'maxmemory'.", standalone);
    assert_nothing_found("RESTORE", "MOVED 1 127.0.0.1:7000", standalone);
}

static void flush_is_needed_when_it_is_due(void **state)
{
    (void)state;
    struct rights_context due = standalone;
    due.flush_due = true;
    assert_found("FLUSHALL", no_command, standalone, 0, "the run stops at a FLUSHALL");
    assert_found("FLUSHALL", no_command, due, EX_NOPERM, "+flushall");
    assert_found("FLUSHALL", "ERR unknown command 'FLUSHALL', with args", due, EX_NOPERM, "does not have");
}

static void what_is_only_useful_is_warned_of(void **state)
{
    (void)state;
    assert_found("CONFIG", no_command, standalone, 0, "+config|get");
    assert_found("DUMP", no_command, standalone, 0, "+dump");
    assert_nothing_found("PEXPIRETIME", "ERR unknown command 'PEXPIRETIME'", standalone);
}

/* Without them the worker ends the run. */
static void broken_connections_must_be_ended(void **state)
{
    (void)state;
    assert_found("CLIENT SETNAME", no_command, standalone, EX_NOPERM, "give it +client|setname");
    assert_found("CLIENT LIST", no_command_6_2, standalone, EX_NOPERM, "give it +client|list");
    assert_found("CLIENT KILL", no_command, standalone, EX_NOPERM, "give it +client|kill");
    assert_found("CLIENT KILL", "ERR unknown command 'CLIENT'", standalone, EX_NOPERM, "does not have");
}

static void every_key_must_be_writable(void **state)
{
    (void)state;
    assert_found("SET df2redis-probe", no_key, standalone, EX_NOPERM,
                 "give it ~*, or choose keys with --include");
    assert_found("RENAME df2redis-probe", no_key_6_2, standalone, EX_NOPERM, "give it ~*");
}

static void assert_found_with(const char *name, const char *value, const char *command, const char *text)
{
    struct settings settings;
    settings_init(&settings);
    assert_true(settings_set(&settings, "include", "app:*", NULL));
    assert_true(settings_set(&settings, "include", "t[0-9]?", NULL));
    assert_true(!name || settings_set(&settings, name, value, NULL));
    struct findings f = judged_with(&settings, command, no_key, standalone);
    assert_int_equal(f.count, text != NULL);
    if (text && !strstr(f.list[0].text, text))
        fail_msg("%s", f.list[0].text);
    findings_free(&f);
    settings_free(&settings);
}

static void keys_that_are_chosen_must_be_writable(void **state)
{
    (void)state;
    assert_found_with(NULL, NULL, "SET app:df2redis-probe", "every key that is copied: give it ~app:*");
    assert_found_with(NULL, NULL, "SET t0?", "every key that is copied: give it ~t[0-9]?");
    assert_found_with(NULL, NULL, "SET df2redis-probe", NULL);
    assert_found_with("exclude", "app:*", "SET app:", NULL);
}

static void cluster_needs_more(void **state)
{
    (void)state;
    struct rights_context cluster = standalone;
    cluster.cluster = true;
    assert_found("ASKING", no_command, cluster, EX_NOPERM, "give it +asking");
    assert_found("CLUSTER NODES", no_command, cluster, EX_NOPERM, "give it +cluster|nodes");
    assert_found("MIGRATE", no_command, cluster, 0, "give its user +migrate");
    assert_found("CLUSTER GETKEYSINSLOT", no_command, cluster, 0, "give its user +cluster|getkeysinslot");
    assert_found("PEXPIRE df2redis", no_command, cluster, 0, "give its user +pexpire");
    assert_found("WAIT", no_command, cluster, 0, "give its user +wait");
    assert_nothing_found("ASKING", no_command, standalone);
    assert_nothing_found("MIGRATE", no_command, standalone);
}

/* Redis 8 has all modules, whatever the source holds. */
static void commands_of_modules_are_warned_of(void **state)
{
    (void)state;
    struct rights_context valkey = standalone;
    valkey.valkey = true;
    assert_found("JSON.SET", no_command, standalone, 0, "give it +json.set");
    assert_found("JSON.GET", no_command, standalone, 0, "give it +json.get");
    assert_found("BF.ADD", no_command, standalone, 0, "counted, key by key; give it +bf.add");
    assert_nothing_found("JSON.SET", "ERR unknown command 'JSON.SET'", standalone);
    assert_found("FT._DROPINDEXIFX", no_command, standalone, 0, "give it +ft._dropindexifx");
    assert_nothing_found("FT.DROPINDEX", no_command, standalone);
    assert_found("FT.DROPINDEX", no_command, valkey, 0, "give it +ft.dropindex");
    assert_found("HPERSIST", no_command, standalone, EX_NOPERM, "give it +hpersist");
}

static void import_mode_of_a_valkey_needs_a_right(void **state)
{
    (void)state;
    struct rights_context valkey = standalone;
    valkey.valkey = true;
    assert_found("CLIENT IMPORT-SOURCE", no_command, valkey, 0, "give its user +client|import-source");
    assert_nothing_found("CLIENT IMPORT-SOURCE", "ERR unknown subcommand 'IMPORT-SOURCE'", valkey);
    assert_nothing_found("CLIENT IMPORT-SOURCE", no_command_6_2, standalone);
}

static void verification_needs_the_names_of_the_target(void **state)
{
    (void)state;
    assert_found("SCAN", no_command, standalone, 0,
                 "df2redis verify cannot compare its keys: give its user +scan");
}

/* ---- the list in the manual ---- */

/* As ACL SETUSER has it: "+client|kill". */
static void put_name(struct buf *out, const char *command, size_t len)
{
    buf_put_u8(out, '+');
    for (size_t i = 0; i < len; i++) {
        char c = command[i];
        buf_put_u8(out, (uint8_t)(c == ' ' ? '|' : c >= 'A' && c <= 'Z' ? c + 'a' - 'A' : c));
    }
    buf_put_u8(out, ' ');
}

/* The commands of the .Ic lines between two lines of the manual: "+info +multi … ". */
static void read_manual(const char *from, const char *to, struct buf *out)
{
    char line[256];
    bool inside = false;
    FILE *in = fopen("man/df2redis.1", "r");
    assert_non_null(in);
    while (fgets(line, sizeof line, in)) {
        inside |= strncmp(line, from, strlen(from)) == 0;
        if (inside && strncmp(line, to, strlen(to)) == 0)
            break;
        if (!inside || strncmp(line, ".Ic ", 4) != 0)
            continue;
        char *save = NULL;
        for (char *word = strtok_r(line + 4, ",.;\n", &save); word; word = strtok_r(NULL, ",.;\n", &save)) {
            word += strspn(word, " ");
            size_t len = strlen(word);
            while (len && word[len - 1] == ' ')
                len--;
            if (len)
                put_name(out, word, len);
        }
    }
    fclose(in);
    buf_put_u8(out, '\0');
}

static bool has_name(const char *names, const char *name)
{
    size_t len = strlen(name);
    for (const char *at = names; (at = strstr(at, name)); at += len)
        if (at[len] == ' ')
            return true;
    return false;
}

static void manual_lists_the_rights_that_are_probed(void **state)
{
    (void)state;
    /* These have probes of their own (target_probe.c, capabilities.c). */
    static const char others[] = "+info +multi +exec +discard ";
    struct rights r = {0};
    struct settings settings;
    struct buf listed = {0}, probed = {0};
    char name[40];
    settings_init(&settings);
    rights_keys(&r, &settings);
    read_manual("In addition to the commands that are copied", "The user of the source needs", &listed);
    const char *list = (const char *)listed.data;
    buf_printf(&probed, "%s", others);
    for (size_t i = 0; i < rights_rows(&r); i++) {
        if (!rights_named(i, name, sizeof name))
            continue;
        if (!has_name(list, name))
            fail_msg("probed, but not in df2redis(1): %s", name);
        buf_printf(&probed, "%s ", name);
    }
    buf_put_u8(&probed, '\0');
    char *save = NULL;
    for (char *word = strtok_r((char *)listed.data, " ", &save); word; word = strtok_r(NULL, " ", &save))
        if (!has_name((const char *)probed.data, word))
            fail_msg("in df2redis(1), but not probed: %s", word);
    buf_free(&listed);
    buf_free(&probed);
    settings_free(&settings);
}

/* CONFIG GET is +config for a Dragonfly, whose rights have no subcommands. */
static void manual_lists_the_rights_on_the_source_that_are_printed(void **state)
{
    (void)state;
    struct buf listed = {0}, printed = {0};
    char *save = NULL;
    read_manual("The user of the source needs", "on all keys.", &listed);
    source_rights(&printed);
    buf_printf(&printed, " ");
    buf_put_u8(&printed, '\0');
    char *list = (char *)listed.data, *copy = x_strdup((const char *)printed.data);
    for (char *at = strstr(list, "+config|get"); at; at = NULL)
        memcpy(at, "+config    ", strlen("+config|get"));
    for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save))
        if (!has_name(list, word))
            fail_msg("printed, but not in df2redis(1): %s", word);
    for (char *word = strtok_r(list, " ", &save); word; word = strtok_r(NULL, " ", &save))
        if (!has_name((const char *)printed.data, word))
            fail_msg("in df2redis(1), but not printed: %s", word);
    free(copy);
    buf_free(&listed);
    buf_free(&printed);
}

static void databases_need_select(void **state)
{
    (void)state;
    struct rights_context one = standalone;
    assert_found("SELECT", no_command, standalone, EX_NOPERM, "+select");
    one.databases = false;
    assert_nothing_found("SELECT", no_command, one);
}

static void nothing_is_said_of_rights_that_were_not_probed(void **state)
{
    (void)state;
    struct rights r = {.missing = {true, true, true}};
    struct findings out = {0};
    rights_judge(&r, &standalone, &out);
    assert_int_equal(out.count, 0);
}

/* Should they ever be carried out, they do no harm. */
static void flushes_of_the_probe_are_no_flushes(void **state)
{
    (void)state;
    struct slice argv[RIGHTS_MAX_ARGS];
    struct rights r = {0};
    for (size_t i = 0; i < rights_rows(&r); i++) {
        size_t argc = rights_row(&r, i, "df2redis:default", argv);
        if (slice_is(argv[0], "FLUSHALL") || slice_is(argv[0], "FLUSHDB"))
            assert_true(argc == 2 && slice_is(argv[1], "probe"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_found_is_no_error),
        cmocka_unit_test(one_error_is_told_in_its_own_words),
        cmocka_unit_test(of_several_a_missing_right_decides_the_exit_code),
        cmocka_unit_test(each_finding_belongs_to_the_probe_before_it),
        cmocka_unit_test(every_right_is_there),
        cmocka_unit_test(mark_needs_its_key_and_its_commands),
        cmocka_unit_test(data_needs_its_commands_whatever_the_keys),
        cmocka_unit_test(flush_is_needed_when_it_is_due),
        cmocka_unit_test(what_is_only_useful_is_warned_of),
        cmocka_unit_test(broken_connections_must_be_ended),
        cmocka_unit_test(every_key_must_be_writable),
        cmocka_unit_test(keys_that_are_chosen_must_be_writable),
        cmocka_unit_test(cluster_needs_more),
        cmocka_unit_test(commands_of_modules_are_warned_of),
        cmocka_unit_test(import_mode_of_a_valkey_needs_a_right),
        cmocka_unit_test(verification_needs_the_names_of_the_target),
        cmocka_unit_test(manual_lists_the_rights_that_are_probed),
        cmocka_unit_test(manual_lists_the_rights_on_the_source_that_are_printed),
        cmocka_unit_test(databases_need_select),
        cmocka_unit_test(nothing_is_said_of_rights_that_were_not_probed),
        cmocka_unit_test(flushes_of_the_probe_are_no_flushes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
