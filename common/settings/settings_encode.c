/* Settings as bytes for a worker: the rows of the table in order, each as its kind, then what has no row.
 *
 *   u32 rows | row … | u8 migrate | u8 on_full_resync_given
 *   URI: u8 flags, u32 port, u32 db, host, address, user, password, text    TEXT, NAME, WORD, ADDRESS: text
 *   LIST: u32 n, n × text    DB: u32 n, n × (u32 from, u32 to)     other kinds: u64
 *   text: u8 is there, and if so u32 length, bytes (no zero byte among them)
 */
#include "common/settings/settings_table.h"

#include <stdlib.h>
#include <sysexits.h>

#include "common/base/wire.h"

enum { URI_TLS = 1, URI_UNIX = 2, URI_NULL = 4 };

static void put_text(struct buf *out, const char *text)
{
    wire_put_u8(out, text != NULL);
    if (text)
        wire_put_bytes(out, slice_str(text));
}

static void put_uri(struct buf *out, const struct uri *u, const char *text)
{
    wire_put_u8(out, (uint8_t)((u->tls ? URI_TLS : 0) | (u->unix_socket ? URI_UNIX : 0) |
                               (u->null_sink ? URI_NULL : 0)));
    wire_put_u32(out, u->port);
    wire_put_u32(out, u->db);
    put_text(out, u->host);
    put_text(out, u->address);
    put_text(out, u->user);
    put_text(out, u->password);
    put_text(out, text);
}

static void put_list(struct buf *out, char *const *list)
{
    uint32_t n = 0;
    while (list && list[n])
        n++;
    wire_put_u32(out, n);
    for (uint32_t i = 0; i < n; i++)
        put_text(out, list[i]);
}

static void put_dbs(struct buf *out, const struct settings *s)
{
    wire_put_u32(out, (uint32_t)s->db_map_count);
    for (size_t i = 0; i < s->db_map_count; i++) {
        wire_put_u32(out, s->db_maps[i].from);
        wire_put_u32(out, s->db_maps[i].to);
    }
}

void settings_encode_row(const struct settings *s, const struct setting *row, struct buf *out)
{
    const void *field = setting_field(s, row);
    if (row->kind == SETTING_URI)
        put_uri(out, field, *(char *const *)((const uint8_t *)s + row->text_offset));
    else if (setting_is_text(row))
        put_text(out, *(char *const *)field);
    else if (row->kind == SETTING_LIST)
        put_list(out, *(char **const *)field);
    else if (row->kind == SETTING_DB)
        put_dbs(out, s);
    else
        wire_put_u64(out, setting_get_number(s, row));
}

void settings_encode(const struct settings *s, struct buf *out)
{
    wire_put_u32(out, (uint32_t)settings_table_count);
    for (size_t i = 0; i < settings_table_count; i++)
        settings_encode_row(s, &settings_table[i], out);
    wire_put_u8(out, s->migrate);
    wire_put_u8(out, s->on_full_resync_given);
}

static void get_text(struct wire_reader *r, char **out)
{
    free(*out);
    *out = NULL;
    uint8_t there = wire_get_u8(r);
    r->failed |= there > 1;
    if (there != 1)
        return;
    struct slice text = wire_get_bytes(r);
    r->failed |= text.len > 0 && memchr(text.data, 0, text.len);
    if (!r->failed)
        *out = x_strndup((const char *)text.data, text.len);
}

static void get_uri(struct wire_reader *r, struct uri *u, char **text)
{
    uint8_t flags = wire_get_u8(r);
    uint32_t port = wire_get_u32(r);
    r->failed |= flags > (URI_TLS | URI_UNIX | URI_NULL) || port > UINT16_MAX;
    u->tls = flags & URI_TLS;
    u->unix_socket = flags & URI_UNIX;
    u->null_sink = flags & URI_NULL;
    u->port = (uint16_t)port;
    u->db = wire_get_u32(r);
    get_text(r, &u->host);
    get_text(r, &u->address);
    get_text(r, &u->user);
    get_text(r, &u->password);
    get_text(r, text);
}

static void get_list(struct wire_reader *r, char ***list)
{
    char *text = NULL;
    uint32_t n = wire_get_u32(r);
    for (uint32_t i = 0; i < n && !r->failed; i++) {
        get_text(r, &text);
        r->failed |= !text;
        if (text)
            settings_add_pattern(list, text);
    }
    free(text);
}

static void get_dbs(struct wire_reader *r, struct settings *s)
{
    const char *why;
    uint32_t n = wire_get_u32(r);
    for (uint32_t i = 0; i < n && !r->failed; i++) {
        uint32_t from = wire_get_u32(r), to = wire_get_u32(r);
        r->failed |= r->failed || !settings_add_db(s, from, to, &why);
    }
}

static void get_row(struct wire_reader *r, struct settings *s, const struct setting *row)
{
    void *field = setting_field(s, row);
    if (row->kind == SETTING_URI) {
        get_uri(r, field, (char **)((uint8_t *)s + row->text_offset));
    } else if (setting_is_text(row)) {
        get_text(r, field);
        r->failed |= row->kind == SETTING_NAME && (!s->name || !setting_name_valid(s->name));
    } else if (row->kind == SETTING_LIST) {
        get_list(r, field);
    } else if (row->kind == SETTING_DB) {
        get_dbs(r, s);
    } else {
        uint64_t v = wire_get_u64(r);
        uint64_t max = row->kind == SETTING_FLAG ? 1 : row->max;
        /* A choice not made is 0, below what can be chosen. */
        r->failed |= v > max || (v < row->min && row->kind != SETTING_CHOICE);
        if (!r->failed)
            setting_put_number(s, row, v);
    }
}

bool settings_decode(struct settings *s, struct slice bytes, struct error *error)
{
    struct wire_reader r = {bytes, false};
    struct settings fresh;
    settings_init(&fresh);
    r.failed |= wire_get_u32(&r) != settings_table_count;
    for (size_t i = 0; i < settings_table_count && !r.failed; i++)
        get_row(&r, &fresh, &settings_table[i]);
    fresh.migrate = wire_get_u8(&r);
    fresh.on_full_resync_given = wire_get_u8(&r);
    if (!wire_done(&r)) {
        settings_free(&fresh);
        return error_fatal(
            error, EX_SOFTWARE,
            "the settings in a message are broken: df2redis and df2redis-worker must be of one "
            "build");
    }
    settings_free(s);
    *s = fresh;
    return true;
}
