/* Settings beside other settings: copied, compared, one number taken over. By their encoding, so that no kind of setting
 * is forgotten. */
#include "common/settings/settings_table.h"

void settings_copy(struct settings *out, const struct settings *from)
{
    struct buf bytes = {0};
    settings_encode(from, &bytes);
    settings_decode(out, buf_slice(&bytes), NULL);
    explicit_bzero(bytes.data, bytes.len);
    buf_free(&bytes);
}

static bool same_value(const struct settings *a, const struct settings *b, const struct setting *row)
{
    struct buf bytes[2] = {{0}};
    settings_encode_row(a, row, &bytes[0]);
    settings_encode_row(b, row, &bytes[1]);
    bool equal = slice_eq(buf_slice(&bytes[0]), buf_slice(&bytes[1]));
    for (size_t i = 0; i < 2; i++) {
        explicit_bzero(bytes[i].data, bytes[i].len);
        buf_free(&bytes[i]);
    }
    return equal;
}

size_t settings_differences(const struct settings *a, const struct settings *b, const char **names,
                            size_t limit)
{
    size_t n = 0;
    for (size_t i = 0; i < settings_table_count && n < limit; i++)
        if (!same_value(a, b, &settings_table[i]))
            names[n++] = settings_table[i].help.name;
    return n;
}

void settings_copy_number(struct settings *to, const struct settings *from, const char *name)
{
    const struct setting *row = setting_find(name);
    if (row && row->size <= sizeof(uint64_t) && !setting_is_text(row))
        setting_put_number(to, row, setting_get_number(from, row));
}
