/* What a source is judged to be: its kind, release and databases, and whether the target has the memory. */
#include "tests/unit/supervisor/supervisor_testing.h"

#include "supervisor/source/source_facts.h"

static const uint32_t databases[] = {0, 20};

static struct source_judged usual(const struct settings *s)
{
    return (struct source_judged){.source = "redis://s:1",
                                  .target = "redis://t:1",
                                  .settings = s,
                                  .release = 13800,
                                  .databases = databases,
                                  .database_count = 1,
                                  .target_databases = 16,
                                  .memory_policy = "noeviction"};
}

static void assert_source(const struct source_facts *facts, const struct source_judged *with, int exit_code,
                          const char *text)
{
    struct findings f = {0};
    source_facts_judge(facts, with, &f);
    if (!text)
        assert_int_equal(f.count, 0);
    else if (f.count != 1 || !strstr(f.list[0].text, text))
        fail_msg("%zu: %s", f.count, f.count ? f.list[0].text : "");
    else
        assert_int_equal(f.list[0].exit_code, exit_code);
    findings_free(&f);
}

static void source_is_judged_by_what_it_is(void **state)
{
    (void)state;
    struct settings s;
    settings_init(&s);
    struct source_facts facts = {.info = true, .databases = 16};
    struct source_judged with = usual(&s);
    assert_source(&facts, &with, 0, NULL);
    facts.cluster = SOURCE_CLUSTER_REAL;
    assert_source(&facts, &with, EX_CONFIG, "node of a Dragonfly Cluster");
    facts.cluster = SOURCE_CLUSTER_UNTOLD;
    assert_source(&facts, &with, EX_NOPERM, "+dflycluster");
    facts.cluster = SOURCE_CLUSTER_NONE;
    facts.dfly_refused = true;
    assert_source(&facts, &with, EX_NOPERM, "give it +dfly ");
    facts.dfly_refused = false;
    facts.databases = 32;
    assert_source(&facts, &with, 0, "may have 32 databases");
    with.database_count = 2;
    assert_source(&facts, &with, EX_CONFIG, "in database 20, and the target has 16");
    with.goes_on = true;
    assert_source(&facts, &with, 0, "is counted, key by key");
    facts = (struct source_facts){.info = true, .not_compared = "+dump +scan"};
    with = usual(&s);
    assert_source(&facts, &with, 0, "give its user ~* +dump +scan");
    facts = (struct source_facts){0};
    assert_source(&facts, &with, 0, "+info");
    settings_free(&s);
}

static void releases_that_leave_out_keys_are_named(void **state)
{
    (void)state;
    struct settings s;
    settings_init(&s);
    struct source_facts facts = {.info = true, .omits = 7};
    struct source_judged with = usual(&s);
    static const struct {
        uint32_t release;
        bool named;
    } cases[] = {{0, true}, {13899, false}, {13900, true}, {14001, true}, {14100, true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        with.release = cases[i].release;
        assert_source(&facts, &with, 0, cases[i].named ? "--journal_omit_redundant_writes=false" : NULL);
    }
    with.release = 14001;
    assert_source(&facts, &with, 0, "Dragonfly 1.40.1 ");
    with.goes_on = true; /* no full sync, no loss */
    assert_source(&facts, &with, 0, NULL);
    settings_free(&s);
}

static void releases_that_do_not_journal_reads_are_named(void **state)
{
    (void)state;
    struct settings s;
    settings_init(&s);
    struct source_facts facts = {.info = true};
    struct source_judged with = usual(&s);
    static const struct {
        uint32_t release;
        const char *named;
    } cases[] = {{13003, "Dragonfly 1.30.3 does not journal XREADGROUP"},
                 {13699, "does not journal XREADGROUP"},
                 {13700, NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        with.release = cases[i].release;
        assert_source(&facts, &with, 0, cases[i].named);
    }
    settings_free(&s);
}

static void memory_of_the_target_is_compared(void **state)
{
    (void)state;
    struct settings s;
    settings_init(&s);
    struct source_facts facts = {.info = true, .used_memory = 100 << 20};
    struct source_judged with = usual(&s);
    assert_source(&facts, &with, 0, NULL);
    with.memory_limit = 200 << 20;
    assert_source(&facts, &with, 0, NULL);
    with.memory_policy = "allkeys-lru";
    assert_source(&facts, &with, 0, "200 MiB is reached (allkeys-lru): set");
    with.memory_limit = 50 << 20;
    assert_source(&facts, &with, 0, "less than the source uses");
    with.memory_policy = "noeviction";
    assert_source(&facts, &with, 0, "the source uses 100 MiB: raise it");
    with.memory_policy = "allkeys-lru";
    facts.used_memory = 0;
    assert_source(&facts, &with, 0, "set maxmemory-policy noeviction");
    facts.used_memory = 100 << 20;
    with.memory_policy = "noeviction";
    with.memory_limit = 0;
    with.memory_system = 150 << 20;
    with.memory_used = 10 << 20;
    assert_source(&facts, &with, 0, NULL);
    with.memory_used = 100 << 20;
    assert_source(&facts, &with, 0, "has 50 MiB left beside what the target holds");
    settings_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(source_is_judged_by_what_it_is),
        cmocka_unit_test(releases_that_leave_out_keys_are_named),
        cmocka_unit_test(releases_that_do_not_journal_reads_are_named),
        cmocka_unit_test(memory_of_the_target_is_compared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
