/* Which databases have their mark, and the scripts that write and remove marks. */
#include "worker/link/database_marks.h"

#include <stdlib.h>

#include "common/net/resp_write.h"
#include "common/redis/marks.h"

const char database_marks_removal[] =
    "redis.call('SELECT',ARGV[1]) local h=redis.call('HGETALL',KEYS[1]) for i=1,#h,2 do "
    "local d=string.match(h[i],'^" MARK_DATABASE_PATTERN "$') if d then "
    "redis.call('SELECT',d) redis.call('DEL',KEYS[1]..'" MARK_DATABASE_SUFFIX "') "
    "redis.call('SELECT',ARGV[1]) redis.call('HDEL',KEYS[1],h[i]) end end return 0";

void database_marks_free(struct database_marks *m)
{
    free(m->written);
    m->written = NULL;
    m->bytes = 0;
}

void database_marks_forget(struct database_marks *m)
{
    if (m->bytes)
        memset(m->written, 0, m->bytes);
}

bool database_marks_take(struct database_marks *m, uint32_t db)
{
    size_t at = db / 8;
    uint8_t bit = (uint8_t)(1u << db % 8);
    if (!m->settings || !m->settings->marks || db == m->settings->target.db || !*m->claimed)
        return false;
    if (at >= m->bytes) {
        m->written = x_realloc(m->written, at + 1);
        memset(m->written + m->bytes, 0, at + 1 - m->bytes);
        m->bytes = at + 1;
    }
    if (m->written[at] & bit)
        return false;
    m->written[at] |= bit;
    return true;
}

void database_marks_write(const struct database_marks *m, uint32_t db, struct buf *out)
{
    char own[24], number[24];
    resp_put_array(out, 6);
    resp_put_text(out, "EVAL");
    resp_put_text(out, mark_database_script);
    resp_put_text(out, "1");
    resp_put_text(out, m->hash);
    resp_put_bulk(out, slice_of(own, format_u64(own, m->settings->target.db)));
    resp_put_bulk(out, slice_of(number, format_u64(number, db)));
}
