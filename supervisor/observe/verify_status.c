#include "supervisor/observe/verify_status.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/ipc/verify_report.h"

enum { REPORT_MAX_BYTES = 65536, SILENT_S = 10 };

static bool read_report(const char *directory, struct verify_report *out, time_t *written)
{
    struct buf path = {0}, bytes = {0};
    struct stat st;
    buf_printf(&path, "%s/verify.report", directory);
    buf_put_u8(&path, '\0');
    int fd = open((const char *)path.data, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    ssize_t n = -1;
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        n = read(fd, buf_reserve(&bytes, REPORT_MAX_BYTES), REPORT_MAX_BYTES);
        *written = st.st_mtime;
    }
    bytes.len = n > 0 ? (size_t)n : 0;
    bool ok = bytes.len && verify_report_decode(out, buf_slice(&bytes));
    if (fd >= 0)
        close(fd);
    buf_free(&path);
    buf_free(&bytes);
    return ok;
}

cJSON *verify_status(const char *directory)
{
    struct verify_report *r = x_calloc(1, sizeof *r);
    time_t written = 0;
    cJSON *json = read_report(directory, r, &written) ? cJSON_CreateObject() : NULL;
    if (json) {
        struct verify_row sum = verify_total(r);
        bool ended = r->phase == VERIFY_ENDED;
        cJSON_AddStringToObject(json, "phase", verify_phase_name((enum verify_phase)r->phase));
        cJSON_AddBoolToObject(json, "ended", ended);
        cJSON_AddBoolToObject(json, "interrupted", !ended && time(NULL) - written > SILENT_S);
        cJSON_AddNumberToObject(json, "scanned", (double)r->scanned);
        cJSON_AddNumberToObject(json, "to_scan", (double)r->to_scan);
        cJSON_AddNumberToObject(json, "keys", (double)sum.keys);
        cJSON_AddNumberToObject(json, "different", (double)sum.different);
        cJSON_AddNumberToObject(json, "repaired", (double)sum.healed);
        cJSON_AddNumberToObject(json, "undecided", (double)sum.undecided);
        cJSON_AddNumberToObject(json, "incomparable", (double)sum.incomparable);
        cJSON_AddNumberToObject(json, "pending", (double)r->pending);
        cJSON_AddNumberToObject(json, "begun_ms", (double)r->begun_unix_ms);
        cJSON_AddNumberToObject(json, "spent_ms", (double)r->spent_ms);
    }
    free(r);
    return json;
}
