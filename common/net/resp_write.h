/* Writing RESP commands on the data path. */
#ifndef DF2REDIS_COMMON_NET_RESP_WRITE_H
#define DF2REDIS_COMMON_NET_RESP_WRITE_H

#include "common/base/mem.h"

/* "*<n>\r\n" or "$<n>\r\n" */
static inline void resp_put_header(struct buf *b, char kind, uint64_t n)
{
    char *at = (char *)buf_reserve(b, 24);
    size_t len = 1;
    at[0] = kind;
    if (n < 10)
        at[len++] = (char)('0' + n);
    else
        len += format_u64(at + 1, n);
    at[len++] = '\r';
    at[len++] = '\n';
    b->len += len;
}

static inline void resp_put_array(struct buf *b, uint64_t argc)
{
    resp_put_header(b, '*', argc);
}

/* "$<len>\r\n<bytes>\r\n" */
static inline void resp_put_bulk(struct buf *b, struct slice arg)
{
    resp_put_header(b, '$', arg.len);
    uint8_t *at = buf_reserve(b, arg.len + 2);
    if (arg.len)
        memcpy(at, arg.data, arg.len);
    at[arg.len] = '\r';
    at[arg.len + 1] = '\n';
    b->len += arg.len + 2;
}

static inline void resp_put_text(struct buf *b, const char *text)
{
    resp_put_bulk(b, slice_str(text));
}

#endif
