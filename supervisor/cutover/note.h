/* STATE/NAME/cutover.json: a cut-over that is under way, or was carried out. It outlives the process, so that the next
 * start of the run knows. */
#ifndef DF2REDIS_SUPERVISOR_CUTOVER_NOTE_H
#define DF2REDIS_SUPERVISOR_CUTOVER_NOTE_H

#include <stdint.h>

#include "common/base/error.h"

enum note_stage {
    NOTE_NONE,
    NOTE_PAUSED,    /* the source holds back writes; nobody was switched */
    NOTE_SWITCHING, /* COMMAND runs, or has ended unheard */
    NOTE_SWITCHED,  /* the clients are switched: the target is theirs */
};

struct note {
    enum note_stage stage;
    char then[12];
    int64_t unix_ms;   /* when writes were paused */
    uint64_t pause_ms; /* … for so long at most */
};

/* directory: STATE/NAME. Atomic: a reader sees the old note or the new one. NOTE_NONE removes it. */
bool note_save(const char *directory, const struct note *note, struct error *error);
/* NOTE_NONE: there is none that can be read. */
void note_load(const char *directory, struct note *out);

#endif
