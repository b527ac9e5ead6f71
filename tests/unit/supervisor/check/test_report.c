/* The document of df2redis check, and its table. */
#include "tests/unit/supervisor/supervisor_testing.h"

#include "supervisor/check/report.h"
#include "supervisor/observe/json.h"

static struct settings settings;

static cJSON *document_of(struct findings *f)
{
    settings_init(&settings);
    cJSON *json = report_document(&settings, "redis://s:1,redis://a-name-that-is-long.example.com:6379",
                                  "redis://t:1", f);
    findings_free(f);
    settings_free(&settings);
    return json;
}

static void assert_counts(struct findings *f, unsigned errors, unsigned warnings, unsigned unknown, int code)
{
    cJSON *json = document_of(f);
    assert_int_equal(json_u64(json, "errors"), errors);
    assert_int_equal(json_u64(json, "warnings"), warnings);
    assert_int_equal(json_u64(json, "unknown"), unknown);
    assert_int_equal(json_number(json, "exit_code"), code);
    cJSON_Delete(json);
}

static void exit_code_is_that_of_the_worst(void **state)
{
    (void)state;
    struct findings f = {0};
    findings_probe(&f, "one", "fine");
    assert_counts(&f, 0, 0, 0, EX_OK);
    findings_unknown(&f, "one", "not told");
    assert_counts(&f, 0, 0, 1, EX_OK);
    findings_probe(&f, "one", "fine");
    findings_warn(&f, "careful");
    assert_counts(&f, 0, 1, 0, EX_DATAERR);
    findings_probe(&f, "one", "fine");
    findings_warn(&f, "careful");
    findings_refuse(&f, EX_CANTCREAT, "wrong");
    findings_probe(&f, "two", "fine");
    findings_refuse(&f, EX_CONFIG, "wrong, too");
    assert_counts(&f, 2, 1, 0, EX_CANTCREAT);
}

static void table_fits_80_columns(void **state)
{
    (void)state;
    struct findings f = {0};
    char *text = NULL, word[200];
    size_t bytes = 0;
    memset(word, 'x', sizeof word - 1);
    word[sizeof word - 1] = '\0';
    findings_probe(&f, "state directory", "%s may be used", word);
    findings_probe(&f, "two", "fine");
    findings_refuse(&f, EX_CONFIG,
                    "target %s is wrong in many words, which go on and on until a line is full: %s", word,
                    "do something about it");
    findings_unknown(&f, "three", "the source does not tell: give its user +info");
    cJSON *json = document_of(&f);
    FILE *out = open_memstream(&text, &bytes);
    report_print(json, out);
    fclose(out);
    for (char *line = text; *line;) {
        size_t len = strcspn(line, "\n");
        if (len >= 80)
            fail_msg("%.*s", (int)len, line);
        line += len + (line[len] == '\n');
    }
    assert_non_null(strstr(text, "error     two              target\n                           xxx"));
    assert_non_null(
        strstr(text, "not known three            the source does not tell: give its user +info\n"));
    assert_non_null(strstr(text, "1 error, 0 warnings, 1 not known, 1 ok; nothing was written\n"));
    free(text);
    cJSON_Delete(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exit_code_is_that_of_the_worst),
        cmocka_unit_test(table_fits_80_columns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
