/* The files for Prometheus and Grafana against what is really exported. */
#include "tests/unit/supervisor/supervisor_testing.h"

#include <ctype.h>

#include "common/ipc/cursor.h"
#include "supervisor/observe/http.h"

#define RULES "packaging/prometheus/df2redis.rules.yml"
#define DASHBOARD "packaging/grafana/df2redis.json"

static struct buf exported, bytes;

static const char document[] =
    "{\"phase\":\"stable\",\"sessions\":1,\"flows\":[{\"id\":0,\"pid\":%ld,\"received_bytes\":1,"
    "\"batch_histogram\":[1]}],\"divergences\":{\"other\":1},"
    "\"targets\":[{\"address\":\"t:1\",\"rtt_us\":200,\"evicted_keys\":0,\"evicts\":false}],\"degraded\":"
    "false,\"in_step\":true}";

static void read_file(const char *path)
{
    FILE *f = fopen(path, "r");
    if (!f)
        fail_msg("%s: run the tests in the project's root", path);
    buf_clear(&bytes);
    for (size_t n = 1; n > 0; bytes.len += n)
        n = fread(buf_reserve(&bytes, 4096), 1, 4096, f);
    buf_put_u8(&bytes, '\0');
    fclose(f);
}

static int setup(void **state)
{
    (void)state;
    char text[600];
    snprintf(text, sizeof text, document, (long)getpid());
    cJSON *status = cJSON_Parse(text);
    buf_clear(&exported);
    buf_put_u8(&exported, '\n');
    metrics_write(status, &exported);
    buf_put_u8(&exported, '\0');
    cJSON_Delete(status);
    return status ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    buf_free(&exported);
    buf_free(&bytes);
    return 0;
}

static bool is_exported(const char *name, size_t len)
{
    char line[200];
    for (int i = 0; i < 2; i++) {
        snprintf(line, sizeof line, "\n%.*s%c", (int)len, name, " {"[i]);
        if (strstr((const char *)exported.data, line))
            return true;
    }
    return false;
}

/* Every word that begins like one of our metrics, in an expression. */
static size_t check_names(const char *where, const char *text)
{
    size_t found = 0;
    for (const char *at = text; *at;) {
        size_t len = 0;
        while (isalnum((unsigned char)at[len]) || at[len] == '_')
            len++;
        if (strncmp(at, "df2redis_", 9) == 0 || strncmp(at, "process_", 8) == 0) {
            found++;
            if (!is_exported(at, len))
                fail_msg("%s: %.*s is not exported", where, (int)len, at);
        }
        at += len ? len : 1;
    }
    return found;
}

static void alerts_name_only_metrics_that_are_exported(void **state)
{
    (void)state;
    read_file(RULES);
    assert_true(check_names(RULES, (const char *)bytes.data) > 10);
}

static const char *query_of(const cJSON *target)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(target, "expr"));
    return text ? text : "";
}

static void dashboard_names_only_metrics_that_are_exported_and_each_panel_has_one(void **state)
{
    (void)state;
    read_file(DASHBOARD);
    cJSON *dashboard = cJSON_Parse((const char *)bytes.data);
    const cJSON *panel, *target;
    int ids[100] = {0}, panels = 0;
    assert_non_null(dashboard);
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(dashboard, "title")), "df2redis");
    cJSON_ArrayForEach(panel, cJSON_GetObjectItem(dashboard, "panels"))
    {
        const char *title = cJSON_GetStringValue(cJSON_GetObjectItem(panel, "title"));
        int id = (int)cJSON_GetNumberValue(cJSON_GetObjectItem(panel, "id"));
        assert_non_null(title);
        assert_true(id > 0 && id < 100 && !ids[id]++);
        assert_true(cJSON_GetArraySize(cJSON_GetObjectItem(panel, "targets")) > 0);
        cJSON_ArrayForEach(target, cJSON_GetObjectItem(panel, "targets"))
        {
            if (check_names(title, query_of(target)) == 0)
                fail_msg("%s: \"%s\" shows no metric of ours", title, query_of(target));
        }
        panels++;
    }
    assert_true(panels >= 10);
    cJSON_Delete(dashboard);
}

static const char *promtool(void)
{
    const char *named = getenv("DF2REDIS_TEST_PROMTOOL"), *program = named && *named ? named : "promtool";
    char command[300];
    snprintf(command, sizeof command, "command -v %s >/dev/null", program);
    if (system(command) != 0) {
        print_message("skip: promtool is not installed (package prometheus)\n");
        skip();
    }
    return program;
}

static void promtool_has_no_complaint_about_the_alerts(void **state)
{
    (void)state;
    char command[400];
    snprintf(command, sizeof command, "%s check rules " RULES " >&2", promtool());
    assert_int_equal(system(command), 0);
    snprintf(command, sizeof command,
             "%s test rules tests/unit/supervisor/observe/df2redis.rules.test.yml >&2", promtool());
    assert_int_equal(system(command), 0);
}

static void replace(struct buf *text, const char *from, const char *to)
{
    char *at;
    while ((at = strstr((char *)text->data, from))) {
        struct buf tail = {0};
        buf_printf(&tail, "%s", at + strlen(from));
        buf_put_u8(&tail, '\0');
        text->len = (size_t)(at - (char *)text->data);
        buf_printf(text, "%s%s", to, (const char *)tail.data);
        buf_put_u8(text, '\0');
        buf_free(&tail);
    }
}

/* The dashboard's queries as recording rules, with Grafana's variables filled in: are they PromQL? */
static void promtool_has_no_complaint_about_the_dashboard(void **state)
{
    (void)state;
    const char *program = promtool();
    char command[400], path[100];
    const cJSON *panel, *target;
    unsigned n = 0;
    assert_int_equal(make_dir(state), 0);
    snprintf(path, sizeof path, "%s/rules.yml", testing_dir);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fprintf(out, "groups:\n  - name: dashboard\n    rules:\n");
    read_file(DASHBOARD);
    cJSON *dashboard = cJSON_Parse((const char *)bytes.data);
    cJSON_ArrayForEach(panel, cJSON_GetObjectItem(dashboard, "panels"))
    {
        cJSON_ArrayForEach(target, cJSON_GetObjectItem(panel, "targets"))
        {
            struct buf query = {0};
            buf_printf(&query, "%s", query_of(target));
            buf_put_u8(&query, '\0');
            replace(&query, "$__rate_interval", "1m");
            replace(&query, "$instance", ".+");
            fprintf(out, "      - record: dashboard:query:%u\n        expr: '%s'\n", n++,
                    (const char *)query.data);
            buf_free(&query);
        }
    }
    cJSON_Delete(dashboard);
    fclose(out);
    snprintf(command, sizeof command, "%s check rules %s >&2", program, path);
    int code = system(command);
    unlink(path);
    remove_dir(state);
    assert_true(n > 10);
    assert_int_equal(code, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(alerts_name_only_metrics_that_are_exported),
        TEST(dashboard_names_only_metrics_that_are_exported_and_each_panel_has_one),
        TEST(promtool_has_no_complaint_about_the_alerts),
        TEST(promtool_has_no_complaint_about_the_dashboard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
