/* Recording suspects. */
#include "common/ipc/divergence.h"
#include "common/log/log.h"
#include "worker/flow/flow.h"
#include "worker/keys/suspects.h"

bool flow_heals(const struct flow *f)
{
    return settings_repairs(&f->settings);
}

void flow_compare_all(struct flow *f, const char *reason, bool *told)
{
    struct message m = {.type = MESSAGE_COMPARE_ALL, .fd = -1};
    snprintf(m.compare_all.reason, sizeof m.compare_all.reason, "%.159s", reason);
    cursor_add(&f->cursor.marks->compare_all, 1);
    if (!*told)
        flow_tell(f, &m);
    *told = true;
}

void flow_note_suspects(struct flow *f)
{
    cursor_set(&f->cursor.marks->suspects_pending, suspects_count(f->suspects));
    cursor_set(&f->cursor.marks->suspects_perhaps, suspects_perhaps(f->suspects));
}

void flow_suspect(struct flow *f, uint32_t target_db, struct slice key, const char *reason,
                  const char *command)
{
    struct error error;
    if (!settings_key_wanted(&f->settings, key) || settings_key_reserved(&f->settings, key))
        return;
    if (!suspects_add(f->suspects, target_db, key, reason, command, &error)) {
        flow_compare_all(f, error.text, &f->suspects_overflowed);
    }
    flow_note_suspects(f);
}
