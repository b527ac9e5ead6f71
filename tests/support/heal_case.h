/* A scripted source whose values may be read, and a target that is compared with it: what the tests of comparing
 * and healing have in common. After cmocka.h. */
#ifndef DF2REDIS_TESTS_HEAL_CASE_H
#define DF2REDIS_TESTS_HEAL_CASE_H

#include "tests/support/run.h"
#include "tests/support/scripted_words.h"
#include "tests/support/stream_writer.h"
#include "tests/support/suspects.h"
#include "tests/support/testing.h"

enum { FLOWS = 2 };

static struct run run;
static struct server data;           /* what the source has */
static struct redis_cluster cluster; /* the target of some */
static bool in_cluster;
static bool omits_untold;       /* it does not count them */
static uint64_t source_omits;   /* entries that it leaves out of its journal during a full sync */
static const char *source_info; /* more of its INFO */
static const char *source_release;
static uint32_t refused_database; /* of the source; 0: none */
static bool keyspace_of_data;     /* INFO tells of the data's own databases */
static bool migrates;
static void (*prepare)(void);                        /* what the data has before anything else */
static void (*before_run)(void);                     /* with target and state directory there */
static void (*in_snapshot)(struct stream_writer *w); /* what FLOW 0's snapshot has in its journal */

static inline int teardown(void **state)
{
    (void)state;
    run_end(&run);
    server_stop(&data);
    if (in_cluster)
        redis_cluster_stop(&cluster);
    in_cluster = false;
    source_info = NULL;
    source_omits = 0;
    omits_untold = false;
    source_release = NULL;
    refused_database = 0;
    keyspace_of_data = false;
    prepare = NULL;
    before_run = NULL;
    in_snapshot = NULL;
    migrates = false;
    return 0;
}

/* An empty source of FLOWS shards; with_data: it lets its values be read. */
static inline void start_with(bool with_data, const char *const *extra)
{
    struct scripted_options options;
    redis_start(&data, NULL);
    scripted_options_init(&options);
    scripted_options_add(&options, scripted_session_small(FLOWS, in_snapshot));
    options.data_port = with_data ? data.port : 0;
    options.info = source_info;
    options.omits = source_omits;
    options.omits_untold = omits_untold;
    options.refuse_database = refused_database;
    if (source_release)
        options.release = source_release;
    options.keyspace = keyspace_of_data ? NULL
                       : in_cluster     ? "db0:keys=1,expires=0\r\n"
                                        : "db0:keys=1,expires=0\r\ndb3:keys=1,expires=0\r\n";
    if (prepare)
        prepare();
    if (in_cluster)
        run_begin_in(&run, &cluster, &options);
    else
        run_begin(&run, &options);
    if (before_run)
        before_run();
    if (migrates) {
        df2redis_start(&run.program, "migrate", scripted_uri(run.source), run.target.uri, extra);
        return;
    }
    run_replicate(&run, extra);
}

/* The same, and waits: unless it migrates. */
static inline void begin_with(bool with_data, const char *const *extra)
{
    start_with(with_data, extra);
    assert_true(migrates || run_wait_in_step(&run));
}

static inline void begin(void)
{
    begin_with(true, NULL);
}

/* On the source, and journaled for FLOW 0. */
static inline void source(const char *words)
{
    if (!scripted_carry_out(run.source, 0, 0, words))
        fail_msg("%s", words);
}

/* On the data alone: the journal does not tell. */
static inline void source_secretly(const char *words)
{
    server_tell(data.port, words);
}

static inline void target(const char *words)
{
    server_tell(run.target.port, words);
}

static inline void wait_settled(void)
{
    assert_true(run_wait_in_step(&run));
    assert_true(suspects_wait_settled(&run));
}

static inline void assert_equal_to_source(void)
{
    struct state_rules rules = {.read = {.stream_details = true}};
    bool equal = run_equals_server(&run, data.port, &rules, NULL);
    if (!equal)
        df2redis_print(&run.program);
    assert_true(equal);
}

static inline bool log_says(const char *text)
{
    char *path = format_text("%s/default/divergences.log", run.program.dir);
    bool says = file_contains(path, text);
    free(path);
    return says;
}

/* ---- more than a few ---- */

enum { AT_ONCE = 100 };

/* So many keys, journaled in a snapshot. */
static inline void write_keys(struct stream_writer *w, int count)
{
    static char words[2 * AT_ONCE][16];
    static struct slice argv[1 + 2 * AT_ONCE];
    argv[0] = slice_str("MSET");
    for (int i = 0; i < count; i += AT_ONCE) {
        for (int k = 0; k < 2 * AT_ONCE; k++) {
            snprintf(words[k], sizeof words[k], "%d", i + k / 2);
            argv[1 + k] = slice_str(words[k]);
        }
        writer_command(w, 0, 0, 1 + 2 * AT_ONCE, argv);
    }
}

#endif
