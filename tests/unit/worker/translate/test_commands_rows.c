/* Every row of the table of commands: what becomes of it on a target that knows everything. */
#include "tests/support/translate_case.h"
#include "tests/unit/worker/translate/command_lines.h"

static void every_row_becomes_what_is_expected(void **state)
{
    (void)state;
    struct translate_case c;
    case_open(&c, case_modern_target());
    for (size_t i = 0; i < COMMAND_LINES; i++)
        case_expect(&c, command_lines[i].in,
                    command_lines[i].out ? command_lines[i].out : command_lines[i].in, command_lines[i].once);
    case_close(&c);
}

static void every_row_has_a_line_here(void **state)
{
    (void)state;
    const struct command *tables[] = {command_table, command_table_modules};
    for (size_t i = 0; i < 2; i++)
        for (const struct command *c = tables[i]; c->name; c++) {
            size_t n = strlen(c->name), k = 0, count = COMMAND_LINES;
            while (k < count &&
                   !(strncmp(command_lines[k].in, c->name, n) == 0 && strchr(" ", command_lines[k].in[n])))
                k++;
            if (k == count && c->class != COMMAND_GLOBAL && strcmp(c->name, "RESTORE") != 0)
                fail_msg("%s", c->name); /* RESTORE: test_rewrite_restore.c */
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_becomes_what_is_expected),
        cmocka_unit_test(every_row_has_a_line_here),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
