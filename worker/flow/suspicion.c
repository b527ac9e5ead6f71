/* Recording suspects. */
#include "common/ipc/divergence.h"
#include "common/log/log.h"
#include "worker/flow/flow.h"
#include "worker/keys/suspects.h"

bool flow_heals(const struct flow *f)
{
    const struct settings *s = &f->settings;
    return !s->target.null_sink && s->on_conflict != ON_CONFLICT_SKIP && s->on_conflict != ON_CONFLICT_STOP;
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
        if (!f->suspects_overflowed)
            log_warning("%s: refused or lost keys count as divergences, and others as suspects that are "
                        "unknown; once the run is in step compare all keys: df2redis verify --repair",
                        error.text);
        f->suspects_overflowed = true;
        if (SUSPECT_ONLY(reason))
            cursor_add(&f->cursor.marks->suspects_unknown, 1);
        else
            flow_report(f, &(struct report){reason, command, target_db, key, 1, NULL});
    }
    flow_note_suspects(f);
}
