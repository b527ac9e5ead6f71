/* man/df2redis-commands.7: types × commands × target versions.
 *
 * Nothing of it is written by hand. The rows are those of the table; what a target makes of them is found out
 * by translating command lines (command_lines.h) and snapshot values (the fuzzers' corpus) for each of the
 * servers whose answers are recorded in targets/. The test compares the page with the file; with `write`
 * (make manual) it writes it. */
#include "tests/support/translate_case.h"
#include "tests/unit/worker/translate/command_lines.h"
#include "tests/unit/worker/type_samples.h"

#include "common/net/resp.h"
#include "worker/translate/value_write.h"

#define PAGE "man/df2redis-commands.7"

/* Columns: what the server is called in the page, and its answers; NULL: the newest one with every module. */
static const struct {
    const char *name, *recording;
} targets[] = {
    {"6.2", "redis-6.2"}, {"7.0", "redis-7.0"},   {"7.2", "redis-7.2"},   {"7.4", "redis-7.4"},
    {"8.0", "redis-8.0"}, {"v8.1", "valkey-8.1"}, {"v9.1", "valkey-9.1"}, {"mod", NULL},
};
enum { TARGETS = sizeof targets / sizeof *targets };

static struct capabilities capabilities[TARGETS];
static struct error error;

static struct capabilities recorded(const char *name)
{
    struct capabilities c;
    struct resp_reader reader;
    struct buf bytes = {0};
    redisReply *reply;
    char path[120];
    snprintf(path, sizeof path, "tests/unit/targets/%s.resp", name);
    read_file(path, &bytes);
    resp_reader_init(&reader);
    assert_true(resp_reader_feed(&reader, buf_slice(&bytes), &error));
    for (int i = 0; resp_reader_next(&reader, &reply, &error) == 1; i++) {
        assert_true(capabilities_reply(&c, i, reply, &error));
        freeReplyObject(reply);
    }
    assert_true(capabilities_check(&c, &error));
    resp_reader_free(&reader);
    buf_free(&bytes);
    return c;
}

static int group_setup(void **state)
{
    (void)state;
    for (size_t i = 0; i < TARGETS; i++)
        capabilities[i] = targets[i].recording ? recorded(targets[i].recording) : case_modern_target();
    return 0;
}

/* ---- cells ---- */

/* As it is; rewritten; with a loss that is reported; only reported; nothing to do. */
static const char marks[] = "=~!-.";

/* Nothing of what is reported has come over where only the older value is deleted, so that it does not stay.
 */
static bool is_only_deletion(const char *shown)
{
    while (strncmp(shown, "DEL ", 4) == 0) {
        const char *next = strstr(shown, " | ");
        if (!next)
            return true;
        shown = next + 3;
    }
    return !*shown;
}

static char mark_of(const char *shown, bool same, bool reported)
{
    if (reported)
        return is_only_deletion(shown) ? '-' : '!';
    return *shown ? same ? '=' : '~' : '.';
}

/* Of several lines of a command: what is the most to be known. */
static char both(char a, char b)
{
    if (a == b || !a)
        return b;
    if (strchr("!-", a) || strchr("!-", b))
        return '!';
    if (a == '.' || b == '.')
        return a == '.' ? b : a;
    return '~';
}

/* One like it in the lines, translated; the keys are not given by clients that filter. */
static char command_cell(const struct command *c, size_t target)
{
    struct translate_case run;
    char mark = 0;
    size_t len = strlen(c->name);
    case_open(&run, capabilities[target]);
    for (size_t i = 0; i < COMMAND_LINES; i++) {
        struct slice argv[CASE_MAX_WORDS];
        if (strncmp(command_lines[i].in, c->name, len) != 0 || !strchr(" ", command_lines[i].in[len]))
            continue;
        size_t argc = case_words(command_lines[i].in, argv);
        if (!case_run(&run, argv, argc))
            fail_msg("%s: %s", command_lines[i].in, run.error.text);
        const char *shown = case_show(&run);
        mark = both(mark, mark_of(shown, strcmp(shown, command_lines[i].in) == 0, run.reports.len));
    }
    case_close(&run);
    return mark;
}

/* ---- snapshot values ---- */

/* The words before which a target takes what it is given. */
static bool is_same_value(const struct translate_case *run, uint8_t type)
{
    const uint8_t *at = memmem(run->resp.data, run->resp.len, "RESTORE\r\n", 9);
    static const char key[] = "$1\r\nk\r\n$1\r\n0\r\n$";
    if (!at)
        return type == RDB_STRING;
    at += 9;
    assert_memory_equal(at, key, sizeof key - 1);
    at = memchr(at + sizeof key - 1, '\n', 30);
    assert_non_null(at);
    return at[1] == type;
}

static char type_cell(size_t sample, size_t target)
{
    struct translate_case run;
    struct buf value = {0};
    uint8_t type = samples[sample].type;
    sample_of(sample, &value);
    case_open(&run, capabilities[target]);
    if (!translate_value(&run.translator, slice_str("k"), type, buf_slice(&value), 0, true, &run.error))
        fail_msg("type %u: %s", type, run.error.text);
    char mark = mark_of(case_show(&run), is_same_value(&run, type), run.reports.len);
    case_close(&run);
    buf_free(&value);
    return mark;
}

/* ---- the page ---- */

static void put_text(FILE *out, const char *text)
{
    for (; *text; text++)
        if (*text == '"')
            fputs("\\(dq", out);
        else if (*text == '\\')
            fputs("\\e", out);
        else
            fputc(*text, out);
}

static void put_columns(FILE *out)
{
    for (size_t i = 0; i < TARGETS; i++)
        fprintf(out, " Ta %s", targets[i].name);
    fputs("\n", out);
}

static void put_marks(FILE *out, const char *row)
{
    for (size_t i = 0; i < TARGETS; i++) {
        assert_non_null(strchr(marks, row[i]));
        fprintf(out, row[i] == '.' || row[i] == '!' ? " Ta \\&%c" : " Ta %c", row[i]);
    }
    fputc('\n', out);
}

static void put_types(FILE *out)
{
    fputs(".Bl -column -compact \"xxquicklist of listpacks\" type 6.2 7.0 7.2 7.4 8.0 v8.1 v9.1 mod\n"
          ".It Sy value Ta Sy type",
          out);
    put_columns(out);
    const char *before = "";
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        char row[TARGETS];
        const char *name = rdb_type_name(samples[i].type);
        if (strncmp(name, "hash with", 9) == 0 || strncmp(name, "set with", 8) == 0)
            name = before;
        for (size_t k = 0; k < TARGETS; k++)
            row[k] = type_cell(i, k);
        if (strcmp(name, before) != 0 && *samples[i].layout)
            fprintf(out, ".It Em %s Ta Ta Ta Ta Ta Ta Ta Ta Ta\n", name);
        if (*samples[i].layout)
            fprintf(out, ".It \\ \\ %s Ta %u", samples[i].layout, samples[i].type);
        else
            fprintf(out, ".It Em %s Ta %u", name, samples[i].type);
        put_marks(out, row);
        before = name;
    }
    fputs(".El\n", out);
}

/* In lines of less than 80 bytes, a new one after each ; and none that begins like a request. */
static void put_wrapped(FILE *out, const char *text)
{
    size_t column = 0;
    while (*text) {
        size_t len = strcspn(text, " ");
        char word[80];
        assert_true(len < sizeof word && *text != '.' && *text != '\'');
        snprintf(word, sizeof word, "%.*s", (int)len, text);
        if (column) {
            bool wraps = column + 1 + len > 78;
            fputc(wraps ? '\n' : ' ', out);
            column = wraps ? 0 : column + 1;
        }
        put_text(out, word);
        column += len;
        if (word[len - 1] == ';' || word[len - 1] == '.') {
            fputc('\n', out);
            column = 0;
        }
        text += len + (text[len] == ' ');
    }
    if (column)
        fputc('\n', out);
}

static void put_notes(FILE *out, const struct command *from, const struct command *to)
{
    bool any = false;
    for (const struct command *c = from; c < to; c++)
        any |= c->note || c->needs;
    if (!any)
        return;
    fputs(".Pp\n.Bl -tag -compact -width ZREMRANGEBYSCORE\n", out);
    for (const struct command *c = from; c < to; c++) {
        if (!c->note && !c->needs)
            continue;
        fprintf(out, ".It Ic %s\n", c->name);
        if (c->needs)
            fprintf(out, "Needs %s.\n", c->needs);
        put_wrapped(out, c->note ? c->note : "");
    }
    fputs(".El\n", out);
}

static void put_group(FILE *out, const struct command *from, const struct command *to)
{
    fprintf(out,
            ".Ss %s\n.Bl -column -compact ZREMRANGEBYSCORE idempotent 6.2 7.0 7.2 7.4 8.0 v8.1 v9.1 mod\n"
            ".It Sy command Ta Sy class",
            from->heading);
    put_columns(out);
    for (const struct command *c = from; c < to; c++) {
        fprintf(out, ".It Ic %s Ta %s", c->name, command_class_name(c->class));
        char row[TARGETS];
        for (size_t i = 0; i < TARGETS; i++) {
            row[i] = command_cell(c, i);
            /* Not translated by itself: run once for all FLOWs, or treated as the value that it brings. */
            if (!row[i] && (c->class == COMMAND_GLOBAL || strcmp(c->name, "RESTORE") == 0))
                row[i] = c->class == COMMAND_GLOBAL ? '=' : '~';
            if (!row[i])
                fail_msg("%s has no line in command_lines.h", c->name);
        }
        put_marks(out, row);
    }
    fputs(".El\n", out);
    put_notes(out, from, to);
}

static void put_table(FILE *out, const struct command *table)
{
    for (const struct command *from = table, *to; from->name; from = to) {
        assert_non_null(from->heading);
        for (to = from + 1; to->name && !to->heading;)
            to++;
        put_group(out, from, to);
    }
}

static const char introduction[] =
    ".\\\" Printed by tests/unit/worker/translate/test_commands_manual.c from the tables: make manual.\n"
    ".Dd November 30, 2026\n"
    ".Dt DF2REDIS-COMMANDS 7\n"
    ".Os\n"
    ".Sh NAME\n"
    ".Nm df2redis-commands\n"
    ".Nd support of each type and command on each target\n"
    ".Sh DESCRIPTION\n"
    "This is the support matrix of\n"
    ".Xr df2redis 1 ,\n"
    "printed from its own tables.\n"
    "Its rows are every type of value in a snapshot, and every command in a journal\n"
    "of Dragonfly v1.40.1 and older releases.\n"
    "Its columns are Redis 6.2, 7.0, 7.2, 7.4 and 8.0, Valkey 8.1 and 9.1 (v),\n"
    "all without modules, and a Redis 8 that has the modules it needs (mod).\n"
    ".Pp\n"
    "The signs:\n"
    ".Bl -tag -compact -width 4n\n"
    ".It Li =\n"
    "passed on unchanged; for a value: its bytes, by RESTORE or SET\n"
    ".It Li ~\n"
    "carried over, rewritten or converted for this target\n"
    ".It Li \\&!\n"
    "carried over in part, or in some of its forms only; the rest is counted as a\n"
    "divergence\n"
    ".It Li -\n"
    "not carried over: counted as a divergence, with its key; an older value under\n"
    "that key is deleted\n"
    ".It Li \\&.\n"
    "nothing to do: it has no effect on data that Redis has\n"
    ".El\n"
    ".Pp\n"
    "The classes of commands:\n"
    ".Bl -tag -compact -width idempotent\n"
    ".It idempotent\n"
    "may run again if the rest of the stream follows\n"
    ".It once\n"
    "must not run again: sent together with the mark that records it\n"
    ".It global\n"
    "waits for all FLOWs\n"
    ".It dropped\n"
    "has no effect on data that Redis has\n"
    ".It reported\n"
    "is counted as a divergence\n"
    ".El\n"
    ".Pp\n"
    "Below each table are notes.\n"
    "A command at the start of a note is sent to the target instead.\n"
    "Other words of the notes:\n"
    ".Bl -tag -compact -width \"journaled as\"\n"
    ".It journaled as\n"
    "Dragonfly writes these commands to its journal instead, so the command itself\n"
    "arrives from other releases only\n"
    ".It raw\n"
    "the case that the journal has the command itself\n"
    ".It script\n"
    "the target gets a Lua script\n"
    ".It reported\n"
    "counted as a divergence, see\n"
    ".Xr df2redis 1\n"
    ".El\n"
    ".Sh TYPES\n"
    "A value that is too large for one RESTORE\n"
    ".Pq Fl -restore-limit\n"
    "is written in pieces, on every target.\n"
    "TTLs of keys are always carried over.\n"
    "The numbers are those of the RDB types.\n"
    ".Pp\n";

static const char end[] = ".Sh SEE ALSO\n"
                          ".Xr df2redis 1 ,\n"
                          ".Xr df2redis-protocol 7 ,\n"
                          ".Xr df2redis-worker 8\n";

static char *print_page(void)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    fputs(introduction, out);
    put_types(out);
    fputs(".Sh COMMANDS\n", out);
    put_table(out, command_table);
    put_table(out, command_table_modules);
    fputs(end, out);
    fclose(out);
    return text;
}

static void manual_is_what_the_tables_say(void **state)
{
    (void)state;
    struct buf file = {0};
    char *text = print_page();
    read_file(PAGE, &file);
    buf_put_u8(&file, '\0');
    size_t same = 0;
    while (text[same] && text[same] == (char)file.data[same])
        same++;
    if (text[same] || file.data[same])
        fail_msg(PAGE " is not up to date (make manual): from byte %zu on it should be\n%.300s", same,
                 text + same);
    free(text);
    buf_free(&file);
}

/* Some that are known from elsewhere, so that a matrix of nonsense is seen. */
static void matrix_tells_what_is_known(void **state)
{
    (void)state;
    const struct command *json = command_find(slice_str("JSON.SET")),
                         *hexpire = command_find(slice_str("HEXPIRE"));
    for (size_t i = 0; i < TARGETS; i++) {
        bool ttl = capabilities[i].hash_field_ttl;
        assert_int_equal(command_cell(json, i), capabilities[i].json ? '~' : '-');
        assert_int_equal(command_cell(command_find(slice_str("JSON.MERGE")), i),
                         capabilities[i].json ? '=' : '-');
        assert_int_equal(command_cell(hexpire, i), ttl ? '~' : '-');
        assert_int_equal(command_cell(command_find(slice_str("PERSIST")), i), '=');
        assert_int_equal(command_cell(command_find(slice_str("STICK")), i), '.');
    }
}

static int write_page(void)
{
    void *state = NULL;
    group_setup(&state);
    char *text = print_page();
    FILE *out = fopen(PAGE, "w");
    bool ok = out && fputs(text, out) >= 0 && fclose(out) == 0;
    free(text);
    return ok ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "write") == 0)
        return write_page();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(manual_is_what_the_tables_say),
        cmocka_unit_test(matrix_tells_what_is_known),
    };
    return cmocka_run_group_tests(tests, group_setup, NULL);
}
