/* For tests of translated commands: command lines as words in, what the target would get as words out.
 *
 *   in   "SET key value"              '' is an empty word
 *   out  "SET key value | DEL other"  a script is written <script>, a database other than 0 before its
 *                                     first command [3] */
#ifndef DF2REDIS_TEST_TRANSLATE_CASE_H
#define DF2REDIS_TEST_TRANSLATE_CASE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "worker/link/batch.h"
#include "worker/translate/commands.h"
#include "common/ipc/divergence.h"

#define CASE_NOW_MS INT64_C(1700000000000)
enum { CASE_MAX_WORDS = 64 };

struct translate_case {
    struct settings settings;
    struct capabilities target;
    struct translator translator;
    struct buf resp;
    bool once;
    struct buf reports; /* "reason command key\n" … */
    struct buf shown;
    struct error error;
    uint64_t txid;
    uint32_t db;
};

static inline int64_t case_now(void)
{
    return CASE_NOW_MS;
}

static inline void case_report(void *arg, const char *reason, const char *command, struct slice key,
                               uint64_t count)
{
    struct translate_case *c = arg;
    (void)count;
    buf_printf(&c->reports, "%s %s %.*s\n", reason, command, (int)key.len, (const char *)key.data);
}

/* The newest target there is, with every module. */
static inline struct capabilities case_modern_target(void)
{
    return (struct capabilities){.kind = SERVER_REDIS,
                                 .version = 80400,
                                 .databases = 16,
                                 .max_bulk_bytes = 512 << 20,
                                 .restore_listpacks = true,
                                 .restore_set_listpack = true,
                                 .stream_type = 21,
                                 .hash_field_ttl = true,
                                 .xgroup_entriesread = true,
                                 .xsetid_entries = true,
                                 .xadd_minid = true,
                                 .copy = true,
                                 .getdel = true,
                                 .zrangestore = true,
                                 .json = true,
                                 .redis_json = true,
                                 .json_merge = true,
                                 .bloom = true,
                                 .cuckoo = true,
                                 .cms = true,
                                 .topk = true,
                                 .search = true,
                                 .search_again = true,
                                 .throttle = true,
                                 .scripts = true};
}

/* Redis 6.2 without modules, and 6.0. */
static inline struct capabilities case_redis_6(bool six_two)
{
    return (struct capabilities){.kind = SERVER_REDIS,
                                 .version = six_two ? 60214 : 60016,
                                 .databases = 16,
                                 .max_bulk_bytes = 512 << 20,
                                 .stream_type = 15,
                                 .xadd_minid = six_two,
                                 .copy = six_two,
                                 .getdel = six_two,
                                 .zrangestore = six_two,
                                 .scripts = true};
}

static inline void case_open(struct translate_case *c, struct capabilities target)
{
    *c = (struct translate_case){.target = target};
    settings_init(&c->settings);
    translator_init(&c->translator, &c->settings, &c->target, output_for_tests(&c->resp, &c->once));
    c->translator.now_unix_ms = case_now;
    c->translator.report = case_report;
    c->translator.report_arg = c;
}

static inline void case_close(struct translate_case *c)
{
    output_free(c->translator.out);
    translator_free(&c->translator);
    settings_free(&c->settings);
    buf_free(&c->resp);
    buf_free(&c->reports);
    buf_free(&c->shown);
}

static inline void case_set(struct translate_case *c, const char *name, const char *value)
{
    if (!settings_set(&c->settings, name, value, &c->error))
        fail_msg("%s %s: %s", name, value, c->error.text);
}

static inline size_t case_words(const char *line, struct slice *argv)
{
    size_t n = 0;
    while (*line) {
        size_t len = strcspn(line, " ");
        assert_true(n < CASE_MAX_WORDS);
        argv[n++] = len == 2 && line[0] == '\'' && line[1] == '\'' ? slice_of(line, 0) : slice_of(line, len);
        line += len;
        line += *line == ' ';
    }
    return n;
}

/* One RESP array of bulk strings at *at, as words. */
static inline void case_show_command(struct translate_case *c, size_t *at)
{
    const char *resp = (const char *)c->resp.data;
    char *end;
    assert_int_equal(resp[*at], '*');
    unsigned long n = strtoul(resp + *at + 1, &end, 10);
    *at = (size_t)(end - resp) + 2;
    bool script = false;
    for (unsigned long i = 0; i < n; i++) {
        assert_true(*at < c->resp.len);
        assert_int_equal(resp[*at], '$');
        unsigned long len = strtoul(resp + *at + 1, &end, 10);
        *at = (size_t)(end - resp) + 2;
        assert_true(*at + len + 2 <= c->resp.len);
        if (i)
            buf_put_u8(&c->shown, ' ');
        if (script && i == 1)
            buf_printf(&c->shown, "<script>");
        else if (len == 0)
            buf_printf(&c->shown, "''");
        else
            buf_put(&c->shown, resp + *at, len);
        script = i == 0 && len == 4 && memcmp(resp + *at, "EVAL", 4) == 0;
        *at += len + 2;
    }
}

/* What is in resp, as words; valid until the next call. */
static inline const char *case_show(struct translate_case *c)
{
    buf_clear(&c->shown);
    buf_put_u8(&c->resp, 0);
    c->resp.len--;
    for (size_t at = 0; at < c->resp.len;) {
        size_t begin = c->shown.len;
        case_show_command(c, &at);
        uint8_t *shown = c->shown.data + begin;
        size_t len = c->shown.len - begin;
        if (len == 8 && memcmp(shown, "SELECT 0", 8) == 0) {
            c->shown.len = begin;
        } else if (len > 7 && memcmp(shown, "SELECT ", 7) == 0) {
            memmove(shown + 1, shown + 7, len - 7);
            shown[0] = '[';
            c->shown.len = begin + 1 + len - 7;
            buf_printf(&c->shown, "] ");
        } else if (at < c->resp.len) {
            buf_printf(&c->shown, " | ");
        }
    }
    buf_put_u8(&c->shown, 0);
    return (const char *)c->shown.data;
}

static inline bool case_run(struct translate_case *c, const struct slice *argv, size_t argc)
{
    struct entry e = {.kind = ENTRY_COMMAND, .db = c->db, .txid = c->txid, .argv = argv, .argc = argc};
    buf_clear(&c->resp);
    buf_clear(&c->reports);
    c->once = false;
    c->error = (struct error){0};
    return translate(&c->translator, &e, &c->error);
}

/* Translates `in`; `once`: what goes out must be carried exactly once. */
static inline void case_expect(struct translate_case *c, const char *in, const char *out, bool once)
{
    struct slice argv[CASE_MAX_WORDS];
    size_t argc = case_words(in, argv);
    if (!case_run(c, argv, argc))
        fail_msg("%s: %s", in, c->error.text);
    const char *shown = case_show(c);
    if (strcmp(shown, out) != 0)
        fail_msg("%s\n  became   %s\n  expected %s", in, shown, out);
    if (c->once != once)
        fail_msg("%s: once is %d", in, c->once);
}

/* The reports of the last command: "reason command key\n" each. */
static inline void case_expect_reports(struct translate_case *c, const char *reports)
{
    buf_put_u8(&c->reports, 0);
    assert_string_equal((const char *)c->reports.data, reports);
}

#endif
