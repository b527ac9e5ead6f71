/* The view of `status --watch`. */
#include "tests/unit/supervisor/supervisor_testing.h"

#include "supervisor/cli/status.h"

static char *view_of(unsigned flows, size_t rows, size_t columns)
{
    cJSON *status =
        cJSON_Parse("{\"name\":\"blue\",\"mode\":\"replicate\",\"phase\":\"full-sync\",\"source\":"
                    "\"redis://a-host-with-a-rather-long-name.example:6379\",\"target\":\"redis://b\","
                    "\"divergences\":{}}");
    cJSON *list = cJSON_AddArrayToObject(status, "flows");
    for (unsigned i = 0; i < flows; i++) {
        cJSON *flow =
            cJSON_Parse("{\"phase\":\"full-sync\",\"keys\":50,\"snapshot_total_keys\":100,"
                        "\"received_bytes\":2048,\"rate_bytes\":1024,\"lag_bytes\":512,\"restarts\":1}");
        cJSON_AddNumberToObject(flow, "id", i);
        cJSON_AddItemToArray(list, flow);
    }
    char *text = NULL;
    size_t bytes;
    FILE *out = open_memstream(&text, &bytes);
    status_print_live(status, rows, columns, out);
    fclose(out);
    cJSON_Delete(status);
    return text;
}

static void assert_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("no \"%s\" in:\n%s", part, text);
}

static void each_flow_has_a_bar_and_the_sums_follow(void **state)
{
    (void)state;
    char *text = view_of(2, 40, 100);
    assert_has(text, "run blue (replicate");
    assert_has(text, "FLOW 0   full-sync     [############............]    2.0 KiB");
    assert_has(text, "FLOW 1   full-sync     [############............]    2.0 KiB");
    assert_has(text, "together 2.0 KiB/s, lag 1.0 KiB, spool 0 B, 100 keys, 2 worker restarts");
    assert_has(text, "divergences: none");
    free(text);
}

static void view_never_outgrows_the_terminal(void **state)
{
    (void)state;
    for (size_t rows = 3; rows < 30; rows += 4) {
        size_t lines = 0;
        char *text = view_of(64, rows, 40);
        for (char *line = text; *line; lines++) {
            size_t len = strcspn(line, "\n");
            assert_true(len <= 40);
            line += len + (line[len] == '\n');
        }
        assert_true(lines > 0 && lines < rows);
        if (rows > 15)
            assert_has(text, "FLOWs more");
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_flow_has_a_bar_and_the_sums_follow),
        cmocka_unit_test(view_never_outgrows_the_terminal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
