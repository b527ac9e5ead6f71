/* The page at / of --metrics, in a real browser: what it shows of a live run, and that it asks nobody else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <sysexits.h>

#include "tests/support/browser.h"
#include "tests/support/generate.h"
#include "tests/support/monitor.h"
#include "tests/support/raw_pipe.h"
#include "tests/support/run.h"
#include "tests/support/testing.h"

enum { FLOWS = 3, WIDTH = 1280, HEIGHT = 1000, HOLD_BYTES = 3000, PAGE_MS = 300000, PNG_HEADER = 24 };

static struct run run;
static struct server data; /* what the source has */
static struct generate_options content;
static struct browser browser;
static char *url;

static int setup(void **state)
{
    (void)state;
    struct scripted_options options;
    browser = (struct browser){.to = -1, .from = -1};
    scripted_options_init(&options);
    generate_options_init(&content);
    content.flows = FLOWS;
    content.strings = 6000;
    content.journal_sets = 500;
    scripted_options_add(&options, generate_session(&content, NULL));
    run_begin(&run, &options);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    browser_stop(&browser);
    free(url);
    url = NULL;
    run_end(&run);
    server_stop(&data);
    return 0;
}

static void skip_without_browser(void)
{
    if (browser_here())
        return;
    print_message("skip: Chromium is not installed (package chromium)\n");
    skip();
}

static void open_page(void)
{
    char *output, *at;
    assert_true(df2redis_wait_said(&run.program, "http://127.0.0.1:", RUN_DEADLINE_MS));
    output = process_output(&run.program.process);
    at = strstr(output, "http://127.0.0.1:");
    assert_non_null(at);
    at[strcspn(at, " \n\"")] = '\0';
    url = x_strdup(at);
    free(output);
    assert_true(browser_start(&browser, WIDTH, HEIGHT));
    assert_true(browser_open(&browser, url));
}

static void sees(const char *expression)
{
    if (browser_wait(&browser, expression, PAGE_MS))
        return;
    char *text = browser_eval(&browser, "document.body.innerText");
    print_error("%s\n", text ? text : "(no page)");
    free(text);
    fail_msg("the page does not come to this: %s", expression);
}

/* Without loading it again: from the full sync, over a FLOW that is held up, to the run's end. */
static void page_follows_a_run_from_its_full_sync_to_its_end(void **state)
{
    (void)state;
    const char *const extra[] = {"--metrics", "0", NULL};
    skip_without_browser();
    scripted_hold(run.source, 0, HOLD_BYTES);
    run_replicate(&run, extra);
    assert_true(df2redis_wait_status(&run.program, "phase", "full-sync", RUN_DEADLINE_MS));
    open_page();
    sees("document.getElementById('state').textContent === 'full-sync'");
    sees("document.getElementById('flows').rows.length === 3");
    /* The others' bars are full, that of FLOW 0 is not, and both are drawn as long as they say. */
    sees("document.getElementById('flows').rows[1].cells[2].textContent === '100 %'");
    sees("parseInt(document.getElementById('flows').rows[0].cells[2].textContent) < 100");
    sees("(b => b.firstChild.offsetWidth < "
         "b.offsetWidth)(document.getElementById('flows').rows[0].querySelector('.bar'))");
    sees("(b => b.firstChild.offsetWidth === b.offsetWidth && b.offsetWidth > 0)"
         "(document.getElementById('flows').rows[1].querySelector('.bar'))");
    scripted_hold(run.source, 0, NEVER);
    assert_true(run_wait_in_step(&run));
    sees("document.getElementById('state').textContent === 'stable, in step'");
    sees("document.getElementById('flows').rows[0].cells[1].textContent === 'stable'");
    sees("document.getElementById('flows').rows[0].cells[2].textContent === '100 %'");
    sees("document.getElementById('figures').innerText.includes('6,000')"); /* keys */
    sees("document.getElementById('divergences').innerText.includes('none')");
    sees("document.title.includes('in step')");
    sees("document.getElementById('curve').getAttribute('d').startsWith('M')");
    assert_int_equal(run_terminate(&run), EXIT_SUCCESS);
    sees("document.getElementById('state').textContent.startsWith('no answer')");
}

/* The copy took its time in one of them. */
static bool two_seconds_measured(void *arg)
{
    (void)arg;
    cJSON *status = df2redis_status(&run.program);
    const cJSON *list = cJSON_GetObjectItem(status, "throughput_bytes"), *one;
    double applied = 0;
    cJSON_ArrayForEach(one, list)
    {
        applied += one->valuedouble;
    }
    bool yes = cJSON_GetArraySize(list) >= 2 && applied > 0;
    cJSON_Delete(status);
    return yes;
}

/* A browser that has just come sees what was before. */
static void chart_shows_what_was_before_the_page_was_opened(void **state)
{
    (void)state;
    const char *const extra[] = {"--metrics", "0", NULL};
    skip_without_browser();
    run_replicate(&run, extra);
    assert_true(run_wait_in_step(&run));
    assert_true(wait_until(two_seconds_measured, NULL, RUN_DEADLINE_MS));
    open_page();
    sees("document.getElementById('state').textContent === 'stable, in step'");
    sees("document.getElementById('curve').getAttribute('d').includes('L')");
    sees("document.getElementById('curve').getBBox().height > 0");
}

static void page_loads_nothing_from_elsewhere_and_is_to_be_seen(void **state)
{
    (void)state;
    const char *const extra[] = {"--metrics", "0", NULL};
    struct buf png = {0};
    skip_without_browser();
    run_replicate(&run, extra);
    assert_true(run_wait_in_step(&run));
    open_page();
    sees("document.getElementById('state').textContent === 'stable, in step'");
    sees("document.documentElement.scrollWidth <= window.innerWidth");
    buf_put_u8(&browser.requested, '\0');
    buf_put_u8(&browser.complaints, '\0');
    assert_non_null(strstr((const char *)browser.requested.data, "/status.json\n"));
    for (const char *line = (const char *)browser.requested.data; *line; line += strcspn(line, "\n") + 1)
        if (strncmp(line, url, strlen(url)) != 0 && strncmp(line, "about:", 6) != 0)
            fail_msg("it asks for %s", line);
    /* No /favicon.ico is not the page's fault; what Content-Security-Policy stopped would stand here. */
    for (const char *line = (const char *)browser.complaints.data; *line; line += strcspn(line, "\n") + 1)
        if (strncmp(line, "Failed to load resource: the server responded with a status of 404", 66) != 0)
            fail_msg("the browser says: %s", line);
    assert_true(browser_picture(&browser, &png));
    assert_true(png.len > PNG_HEADER);
    assert_memory_equal(png.data, "\x89PNG\r\n\x1a\n", 8);
    assert_int_equal(png.data[18] << 8 | png.data[19], WIDTH);
    buf_free(&png);
}

static void skip_without_pexpiretime(void)
{
    redisContext *c = server_connect(data.port);
    redisReply *r = server_command(c, "PEXPIRETIME none");
    bool lacks = r->type == REDIS_REPLY_ERROR;
    freeReplyObject(r);
    redisFree(c);
    if (lacks)
        skip();
}

static void give_source_its_data(void)
{
    struct raw_pipe pipe;
    redis_start(&data, NULL);
    skip_without_pexpiretime();
    raw_pipe_snapshot(&pipe, &content);
    raw_pipe_run(&pipe, data.port);
    raw_pipe_free(&pipe);
    raw_pipe_journal(&pipe, &content);
    raw_pipe_run(&pipe, data.port);
    raw_pipe_free(&pipe);
    scripted_answer_from(run.source, data.port);
}

static int carry_out(const char *verb, const char *option, const char *value)
{
    const char *const argv[] = {df2redis_binary(), verb, "--state-dir", run.program.dir, option, value, NULL};
    return process_run(argv, RUN_DEADLINE_MS, NULL);
}

/* On the page where there is a browser, and in the metrics. */
static void verification_and_cutover_are_shown(void **state)
{
    (void)state;
    const char *const extra[] = {"--metrics", "0", NULL};
    run_replicate(&run, extra);
    assert_true(run_wait_in_step(&run));
    give_source_its_data();
    server_tell(run.target.port, "SET string:1 wrong");
    assert_int_equal(carry_out("verify", NULL, NULL), EX_DATAERR);
    assert_int_equal(df2redis_status_number(&run.program, "verify.different"), 1);
    assert_true(monitor_metric(&run.program, "verify_keys{outcome=\"compared\"}") == 6500);
    assert_true(monitor_metric(&run.program, "verify_keys{outcome=\"different\"}") == 1);
    assert_true(monitor_metric(&run.program, "verify_keys{outcome=\"repaired\"}") == 0);
    assert_true(monitor_metric(&run.program, "verify_under_way") == 0);
    assert_int_equal(carry_out("cutover", "--exec", "exit 3"), EX_TEMPFAIL);
    assert_true(monitor_metric(&run.program, "cutover_under_way") == 0);
    assert_true(monitor_metric(&run.program, "cutover_paused_seconds") > 0);
    skip_without_browser();
    open_page();
    sees("document.getElementById('proven').textContent.startsWith('verify ended: 6,500 keys, 1 different')");
    sees("document.getElementById('because').textContent.startsWith('cut-over undone: ')");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]); /* a name, with * and ? */
    const struct CMUnitTest tests[] = {
        TEST(page_follows_a_run_from_its_full_sync_to_its_end),
        TEST(chart_shows_what_was_before_the_page_was_opened),
        TEST(page_loads_nothing_from_elsewhere_and_is_to_be_seen),
        TEST(verification_and_cutover_are_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
