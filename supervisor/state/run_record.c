/* run.json: written as a whole, by renaming. Fields that earlier releases did not write stay unknown. */
#include "supervisor/state/run_record.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

enum { RECORD_MAX_FLOWS = 1024, RECORD_MAX_BYTES = 256 * 1024 };

static const char *const copy_names[] = {"partial", "complete", "degraded", "ended", "migrated"};

void run_record_free(struct run_record *record)
{
    free(record->begins);
    free(record->asked_lsns);
    free(record->tokens);
    free(record->scope);
    free(record->source);
    free(record->comparing);
    *record = (struct run_record){0};
}

static void add_lsn(cJSON *array, uint64_t lsn)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)lsn);
    cJSON_AddItemToArray(array, cJSON_CreateString(text));
}

static void add_omits(cJSON *json, const struct run_record *record)
{
    char text[24];
    cJSON *omits = cJSON_AddObjectToObject(json, "omits");
    snprintf(text, sizeof text, "%llu", (unsigned long long)record->omits);
    cJSON_AddBoolToObject(omits, "told", record->omits_told);
    cJSON_AddStringToObject(omits, "entries", text);
    cJSON_AddStringToObject(omits, "master_id", record->omits_master_id);
}

static char *record_text(const struct run_record *record)
{
    cJSON *json = cJSON_CreateObject();
    char session[24];
    /* As text: a JSON number is a double. */
    snprintf(session, sizeof session, "%llu", (unsigned long long)record->session);
    cJSON_AddStringToObject(json, "session", session);
    cJSON_AddNumberToObject(json, "flow_count", record->flow_count);
    cJSON_AddStringToObject(json, "master_id", record->master_id);
    cJSON_AddStringToObject(json, "sync_id", record->sync_id);
    cJSON_AddStringToObject(json, "lineage", record->lineage);
    cJSON_AddStringToObject(json, "copy", copy_names[record->copy]);
    cJSON_AddBoolToObject(json, "target_owned", record->target_owned);
    cJSON_AddBoolToObject(json, "kept", record->kept);
    cJSON_AddBoolToObject(json, "prunes", record->prunes);
    cJSON_AddBoolToObject(json, "unmarked", record->unmarked);
    cJSON_AddStringToObject(json, "target_run_id", record->target_run_id);
    cJSON_AddStringToObject(json, "scope", record->scope ? record->scope : "");
    cJSON_AddStringToObject(json, "source", record->source ? record->source : "");
    cJSON_AddStringToObject(json, "last_master_id", record->last_master_id);
    cJSON_AddNumberToObject(json, "role_changes", (double)record->role_changes);
    cJSON_AddBoolToObject(json, "in_blobs", record->in_blobs);
    cJSON_AddStringToObject(json, "comparing", record->comparing ? record->comparing : "");
    snprintf(session, sizeof session, "%llu", (unsigned long long)record->repaired_session);
    cJSON_AddStringToObject(json, "repaired_session", session);
    if (record->counts_omits)
        add_omits(json, record);
    cJSON *lsns = cJSON_AddArrayToObject(json, "first_lsns");
    cJSON *asked = cJSON_AddArrayToObject(json, "asked_lsns");
    cJSON *checks = cJSON_AddArrayToObject(json, "checks");
    cJSON *tokens = cJSON_AddArrayToObject(json, "tokens");
    for (uint32_t i = 0; record->tokens && i < record->flow_count; i++)
        cJSON_AddItemToArray(tokens, cJSON_CreateString(record->tokens[i]));
    for (uint32_t i = 0; record->begins && i < record->flow_count; i++) {
        char check[JOURNAL_CHECK_TEXT_BYTES];
        journal_check_write(&record->begins[i].check, check);
        cJSON_AddItemToArray(checks, cJSON_CreateString(check));
        add_lsn(lsns, record->begins[i].lsn);
        add_lsn(asked, record->asked_lsns ? record->asked_lsns[i] : 0);
    }
    char *text = cJSON_Print(json);
    cJSON_Delete(json);
    return text;
}

bool run_record_save(const struct state_dir *dir, const struct run_record *record, struct error *error)
{
    char *path = NULL, *temporary = NULL, *text = record_text(record);
    bool ok = text && asprintf(&path, "%s/run.json", dir->path) >= 0 &&
              asprintf(&temporary, "%s/run.json.new", dir->path) >= 0;
    if (!ok) {
        free(path);
        cJSON_free(text);
        return error_fatal(error, EX_OSERR, "out of memory");
    }
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && fsync(fd) == 0;
    if (fd >= 0 && close(fd) != 0)
        ok = false;
    ok = ok && rename(temporary, path) == 0;
    if (!ok)
        error_fatal(error, EX_IOERR, "cannot write %s: %s; is the disk full?", path, strerror(errno));
    free(path);
    free(temporary);
    cJSON_free(text);
    return ok;
}

static bool read_text_field(const cJSON *json, const char *name, char *out, size_t out_bytes)
{
    const cJSON *item = cJSON_GetObjectItem(json, name);
    if (!cJSON_IsString(item) || strlen(item->valuestring) >= out_bytes)
        return false;
    snprintf(out, out_bytes, "%s", item->valuestring);
    return true;
}

static bool read_number_text(const cJSON *item, uint64_t *out)
{
    return cJSON_IsString(item) && slice_to_u64(slice_str(item->valuestring), out);
}

/* Fields that earlier releases did not write stay unknown. */
static void read_begin(const cJSON *json, int flow, struct run_record *out)
{
    const cJSON *check = cJSON_GetArrayItem(cJSON_GetObjectItem(json, "checks"), flow);
    struct resume_point *begin = &out->begins[flow];
    uint64_t *asked = &out->asked_lsns[flow];
    begin->unchecked =
        !cJSON_IsString(check) || !journal_check_read(slice_str(check->valuestring), &begin->check);
    if (!read_number_text(cJSON_GetArrayItem(cJSON_GetObjectItem(json, "asked_lsns"), flow), asked) ||
        *asked > begin->lsn)
        *asked = begin->lsn;
}

static void read_comparison(const cJSON *json, struct run_record *out)
{
    const cJSON *reason = cJSON_GetObjectItem(json, "comparing"), *omits = cJSON_GetObjectItem(json, "omits");
    out->comparing = x_strdup(cJSON_IsString(reason) ? reason->valuestring : "");
    if (!read_number_text(cJSON_GetObjectItem(json, "repaired_session"), &out->repaired_session))
        out->repaired_session = 0;
    out->counts_omits = cJSON_IsObject(omits);
    out->omits_told = cJSON_IsTrue(cJSON_GetObjectItem(omits, "told")) &&
                      read_number_text(cJSON_GetObjectItem(omits, "entries"), &out->omits);
    if (!read_text_field(omits, "master_id", out->omits_master_id, sizeof out->omits_master_id))
        out->omits_master_id[0] = '\0';
}

static bool read_record(const cJSON *json, struct run_record *out)
{
    const cJSON *count = cJSON_GetObjectItem(json, "flow_count"), *scope = cJSON_GetObjectItem(json, "scope"),
                *source = cJSON_GetObjectItem(json, "source");
    const cJSON *lsns = cJSON_GetObjectItem(json, "first_lsns"),
                *tokens = cJSON_GetObjectItem(json, "tokens");
    char copy[16];
    if (!read_number_text(cJSON_GetObjectItem(json, "session"), &out->session) || !cJSON_IsNumber(count) ||
        count->valuedouble < 1 || count->valuedouble > (double)RECORD_MAX_FLOWS ||
        !read_text_field(json, "master_id", out->master_id, sizeof out->master_id) ||
        !read_text_field(json, "sync_id", out->sync_id, sizeof out->sync_id) ||
        !read_text_field(json, "lineage", out->lineage, sizeof out->lineage) ||
        !read_text_field(json, "copy", copy, sizeof copy) || !cJSON_IsString(scope) ||
        cJSON_GetArraySize(lsns) != (int)count->valuedouble ||
        cJSON_GetArraySize(tokens) != (int)count->valuedouble)
        return false;
    for (size_t i = 0; i < sizeof copy_names / sizeof *copy_names; i++)
        if (strcmp(copy, copy_names[i]) == 0)
            out->copy = (enum run_copy)i;
    out->target_owned = cJSON_IsTrue(cJSON_GetObjectItem(json, "target_owned"));
    out->kept = cJSON_IsTrue(cJSON_GetObjectItem(json, "kept"));
    out->prunes = cJSON_IsTrue(cJSON_GetObjectItem(json, "prunes"));
    out->unmarked = cJSON_IsTrue(cJSON_GetObjectItem(json, "unmarked"));
    if (!read_text_field(json, "target_run_id", out->target_run_id, sizeof out->target_run_id))
        out->target_run_id[0] = '\0';
    out->flow_count = (uint32_t)count->valuedouble;
    out->scope = x_strdup(scope->valuestring);
    out->source = x_strdup(cJSON_IsString(source) ? source->valuestring : "");
    const cJSON *changes = cJSON_GetObjectItem(json, "role_changes");
    read_comparison(json, out);
    out->in_blobs = cJSON_IsTrue(cJSON_GetObjectItem(json, "in_blobs"));
    out->role_changes = cJSON_IsNumber(changes) ? (int64_t)changes->valuedouble : -1;
    if (!read_text_field(json, "last_master_id", out->last_master_id, sizeof out->last_master_id))
        out->last_master_id[0] = '\0';
    out->begins = x_calloc(out->flow_count, sizeof *out->begins);
    out->asked_lsns = x_calloc(out->flow_count, sizeof *out->asked_lsns);
    out->tokens = x_calloc(out->flow_count, sizeof *out->tokens);
    for (uint32_t i = 0; i < out->flow_count; i++) {
        const cJSON *token = cJSON_GetArrayItem(tokens, (int)i);
        if (!read_number_text(cJSON_GetArrayItem(lsns, (int)i), &out->begins[i].lsn) ||
            !cJSON_IsString(token) || strlen(token->valuestring) >= sizeof *out->tokens)
            return false;
        read_begin(json, (int)i, out);
        snprintf(out->tokens[i], sizeof *out->tokens, "%s", token->valuestring);
    }
    return true;
}

bool run_record_load(const struct state_dir *dir, struct run_record *out)
{
    char *path = NULL, *text = x_malloc(RECORD_MAX_BYTES);
    *out = (struct run_record){0};
    int fd = asprintf(&path, "%s/run.json", dir->path) >= 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    ssize_t n = fd >= 0 ? read(fd, text, RECORD_MAX_BYTES - 1) : -1;
    text[n > 0 ? n : 0] = '\0';
    cJSON *json = n > 0 ? cJSON_Parse(text) : NULL;
    bool ok = json && read_record(json, out);
    if (!ok)
        run_record_free(out);
    cJSON_Delete(json);
    if (fd >= 0)
        close(fd);
    free(path);
    free(text);
    return ok;
}
