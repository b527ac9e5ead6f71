#include "worker/pipeline/cut_scores.h"

#include "common/base/crc.h"
#include "common/ipc/divergence.h"
#include "worker/flow/flow.h"

enum { JOURNALED_DIGITS = 6 };

/* Significant ones: without leading zeros and the exponent. */
static size_t digits_of(struct slice score)
{
    size_t digits = 0;
    for (size_t i = 0; i < score.len && score.data[i] != 'e' && score.data[i] != 'E'; i++) {
        uint8_t c = score.data[i];
        if (c >= '0' && c <= '9' && (digits || c != '0'))
            digits++;
    }
    return digits;
}

bool cut_scores_possible(const struct entry *e)
{
    for (size_t i = 2; i + 1 < e->argc; i += 2)
        if (digits_of(e->argv[i]) > JOURNALED_DIGITS)
            return false;
    return true;
}

static uint64_t hash_of(const struct entry *e)
{
    return crc64(e->db, e->argv[1].data, e->argv[1].len);
}

static bool follows_its_del(const struct cut_scores *c, const struct entry *e)
{
    bool unknown = !c->known && e->first_seq > 1;
    return unknown || (c->deleted && c->txid == e->txid && c->key_hash == hash_of(e));
}

void cut_scores_note(struct cut_scores *c, struct flow *f, const struct entry *e)
{
    uint32_t db;
    bool command = e->kind == ENTRY_COMMAND;
    if (command && e->argc >= 4 && slice_is(e->argv[0], "ZADD") && follows_its_del(c, e) &&
        cut_scores_possible(e) && flow_heals(f) && settings_db_target(&f->settings, e->db, &db))
        flow_suspect(f, db, e->argv[1], DIVERGENCE_LOST_BY_SOURCE, "ZADD");
    c->known = true;
    c->deleted = command && e->argc == 2 && slice_is(e->argv[0], "DEL");
    c->txid = e->txid;
    c->key_hash = c->deleted ? hash_of(e) : 0;
}
