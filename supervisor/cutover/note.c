#include "supervisor/cutover/note.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/mem.h"

enum { NOTE_BYTES = 4096 };

static const char *const stages[] = {"none", "paused", "switching", "switched"};

static char *path_of(const char *directory, const char *suffix)
{
    struct buf path = {0};
    buf_printf(&path, "%s/cutover.json%s", directory, suffix);
    buf_put_u8(&path, '\0');
    return (char *)path.data;
}

static char *text_of(const struct note *note)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "stage", stages[note->stage]);
    cJSON_AddStringToObject(json, "then", note->then);
    cJSON_AddNumberToObject(json, "unix_ms", (double)note->unix_ms);
    cJSON_AddNumberToObject(json, "pause_ms", (double)note->pause_ms);
    char *text = cJSON_Print(json);
    cJSON_Delete(json);
    return text;
}

bool note_save(const char *directory, const struct note *note, struct error *error)
{
    char *path = path_of(directory, ""), *temporary = path_of(directory, ".new");
    char *text = note->stage == NOTE_NONE ? NULL : text_of(note);
    bool ok = true;
    if (!text) {
        ok = unlink(path) == 0 || errno == ENOENT;
    } else {
        int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
        if (fd >= 0 && close(fd) != 0)
            ok = false;
        ok = ok && rename(temporary, path) == 0;
    }
    if (!ok)
        error_fatal(error, EX_IOERR, "cannot write %s: %s; is the disk full?", path, strerror(errno));
    cJSON_free(text);
    free(path);
    free(temporary);
    return ok;
}

static void read_note(const cJSON *json, struct note *out)
{
    const cJSON *stage = cJSON_GetObjectItem(json, "stage"), *then = cJSON_GetObjectItem(json, "then");
    const cJSON *unix_ms = cJSON_GetObjectItem(json, "unix_ms"),
                *pause_ms = cJSON_GetObjectItem(json, "pause_ms");
    for (size_t i = 0; cJSON_IsString(stage) && i < sizeof stages / sizeof *stages; i++)
        if (strcmp(stage->valuestring, stages[i]) == 0)
            out->stage = (enum note_stage)i;
    if (cJSON_IsString(then))
        snprintf(out->then, sizeof out->then, "%s", then->valuestring);
    if (cJSON_IsNumber(unix_ms))
        out->unix_ms = (int64_t)unix_ms->valuedouble;
    if (cJSON_IsNumber(pause_ms) && pause_ms->valuedouble > 0)
        out->pause_ms = (uint64_t)pause_ms->valuedouble;
}

void note_load(const char *directory, struct note *out)
{
    char text[NOTE_BYTES], *path = path_of(directory, "");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    *out = (struct note){0};
    text[n > 0 ? n : 0] = '\0';
    cJSON *json = n > 0 ? cJSON_Parse(text) : NULL;
    read_note(json, out);
    cJSON_Delete(json);
    if (fd >= 0)
        close(fd);
    free(path);
}
