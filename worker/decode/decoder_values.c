/* The open values: the current one, and those suspended between their chunks. */
#include <stdlib.h>

#include "worker/decode/decoder_internal.h"

struct open_value *decoder_value_add(struct decoder *d)
{
    if (d->value_count >= OPEN_VALUES_MAX)
        return NULL;
    if (d->value_count == d->values_capacity) {
        d->values_capacity = d->values_capacity ? d->values_capacity * 2 : 8;
        d->values = x_realloc(d->values, d->values_capacity * sizeof *d->values);
    }
    struct open_value *v = x_calloc(1, sizeof *v);
    d->open = (int)d->value_count;
    d->values[d->value_count++] = v;
    return v;
}

bool decoder_value_set_key(struct decoder *d, struct open_value *v, struct slice key)
{
    if (key.len > OPEN_KEYS_MAX_BYTES - d->open_keys_bytes)
        return false;
    d->open_keys_bytes += key.len;
    buf_put(&v->key, key.data, key.len);
    return true;
}

void decoder_value_remove(struct decoder *d, int index)
{
    struct open_value *v = d->values[index];
    d->open_keys_bytes -= v->key.len;
    buf_free(&v->key);
    free(v);
    d->values[index] = d->values[--d->value_count];
    d->open = NO_VALUE;
}

int decoder_value_find(const struct decoder *d, uint32_t id)
{
    for (size_t i = 0; i < d->value_count; i++)
        if (d->values[i]->id == id)
            return (int)i;
    return NO_VALUE;
}

void decoder_values_free(struct decoder *d)
{
    while (d->value_count)
        decoder_value_remove(d, 0);
    free(d->values);
    d->values = NULL;
    d->values_capacity = 0;
}
