/* The set: a hash table, a list from the oldest to the newest, and the file. */
#include "worker/keys/suspects.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/crc.h"
#include "common/ipc/divergence.h"
#include "common/ipc/statefile.h"
#include "common/log/log.h"

enum {
    BUCKETS = 16384,
    OVERHEAD_BYTES = sizeof(struct suspect) + 32,
    RECORD_HEAD = 16,              /* length, then checksum, of the body */
    RECORD_MAX = (1 << 20) + 1024, /* KEY_MAX and the other fields */
    KEY_MAX = 1 << 20,
    OUTDATED_BYTES = 256 << 10, /* outdated bytes beyond live_bytes before the file is rewritten */
    READ_MAX_BYTES = 256 << 20,
};

#define MAGIC "df2susp1"
enum { MAGIC_BYTES = sizeof MAGIC - 1, ADDED = '+', REMOVED = '-' };

struct suspects {
    char *directory, *path, *new_path;
    int fd;
    uint64_t file_bytes, live_bytes; /* of all records; of the records of keys in the set */
    struct suspect *bucket[BUCKETS];
    struct suspect *oldest, *newest;
    size_t count, perhaps, memory_bytes;
    struct buf record;
};

/* ---- the set ---- */

static uint64_t suspect_hash(uint32_t db, struct slice key)
{
    return crc64(db, key.data, key.len);
}

struct suspect *suspects_find(const struct suspects *s, uint32_t db, struct slice key)
{
    uint64_t hash = suspect_hash(db, key);
    struct suspect *k = s->bucket[hash % BUCKETS];
    while (k && (k->hash != hash || k->db != db || !slice_eq(k->key, key)))
        k = k->in_bucket;
    return k;
}

static void list_append(struct suspects *s, struct suspect *k)
{
    k->newer = NULL;
    k->older = s->newest;
    if (s->newest)
        s->newest->newer = k;
    else
        s->oldest = k;
    s->newest = k;
}

static void list_remove(struct suspects *s, struct suspect *k)
{
    if (k->older)
        k->older->newer = k->newer;
    else
        s->oldest = k->newer;
    if (k->newer)
        k->newer->older = k->older;
    else
        s->newest = k->older;
}

static size_t record_bytes(const struct suspect *k)
{
    return RECORD_HEAD + 1 + 4 + 2 + strlen(k->reason) + strlen(k->command) + k->key.len;
}

static void set_words(struct suspect *k, struct slice reason, struct slice command)
{
    snprintf(k->reason, sizeof k->reason, "%.*s", (int)reason.len, (const char *)reason.data);
    snprintf(k->command, sizeof k->command, "%.*s", (int)command.len, (const char *)command.data);
}

bool suspect_is_perhaps(const struct suspect *k)
{
    return k->healed || SUSPECT_ONLY(k->reason);
}

/* Updates all totals; in: added, else removed. */
static void update_totals(struct suspects *s, const struct suspect *k, bool in)
{
    size_t one = in ? 1 : (size_t)-1;
    s->count += one;
    s->perhaps += suspect_is_perhaps(k) ? one : 0;
    s->memory_bytes += one * (OVERHEAD_BYTES + k->key.len);
    s->live_bytes += one * record_bytes(k);
}

static struct suspect *set_insert(struct suspects *s, uint32_t db, struct slice key, struct slice reason,
                                  struct slice command)
{
    struct suspect *k = x_calloc(1, sizeof *k + key.len);
    memcpy(k + 1, key.data, key.len);
    k->key = slice_of(k + 1, key.len);
    k->db = db;
    k->times = 1;
    set_words(k, reason, command);
    k->hash = suspect_hash(db, key);
    k->in_bucket = s->bucket[k->hash % BUCKETS];
    s->bucket[k->hash % BUCKETS] = k;
    list_append(s, k);
    update_totals(s, k, true);
    return k;
}

static void change_words(struct suspects *s, struct suspect *k, struct slice reason, struct slice command)
{
    update_totals(s, k, false);
    set_words(k, reason, command);
    update_totals(s, k, true);
}

static void set_delete(struct suspects *s, struct suspect *k)
{
    struct suspect **at = &s->bucket[k->hash % BUCKETS];
    while (*at != k)
        at = &(*at)->in_bucket;
    *at = k->in_bucket;
    list_remove(s, k);
    update_totals(s, k, false);
    free(k);
}

/* ---- the file ---- */

static void put_u32(struct buf *out, uint32_t v)
{
    buf_put(out, &v, sizeof v);
}

/* [u32 length, u32 0, u64 checksum] kind, db, two lengths of words, the words, the key. */
static void encode_record(struct buf *out, uint8_t kind, const struct suspect *k)
{
    size_t begin = out->len, words[2] = {strlen(k->reason), strlen(k->command)};
    uint8_t head[RECORD_HEAD] = {0};
    buf_put(out, head, sizeof head);
    buf_put_u8(out, kind);
    put_u32(out, k->db);
    buf_put_u8(out, (uint8_t)words[0]);
    buf_put_u8(out, (uint8_t)words[1]);
    buf_put(out, k->reason, words[0]);
    buf_put(out, k->command, words[1]);
    buf_put(out, k->key.data, k->key.len);
    uint32_t len = (uint32_t)(out->len - begin - RECORD_HEAD);
    uint64_t crc = crc64(len, out->data + begin + RECORD_HEAD, len);
    memcpy(out->data + begin, &len, sizeof len);
    memcpy(out->data + begin + 8, &crc, sizeof crc);
}

/* Length of the first record; 0: incomplete. */
static size_t record_length(struct slice in)
{
    uint32_t len;
    uint64_t crc;
    if (in.len < RECORD_HEAD)
        return 0;
    memcpy(&len, in.data, sizeof len);
    memcpy(&crc, in.data + 8, sizeof crc);
    if (len > RECORD_MAX || len < 7 || in.len - RECORD_HEAD < len ||
        crc64(len, in.data + RECORD_HEAD, len) != crc)
        return 0;
    return RECORD_HEAD + len;
}

static void replay_record(struct suspects *s, struct slice body)
{
    uint32_t db;
    size_t reason = body.data[5], command = body.data[6], head = 7 + reason + command;
    memcpy(&db, body.data + 1, sizeof db);
    if (head > body.len)
        return;
    struct slice key = slice_of(body.data + head, body.len - head);
    struct suspect *k = suspects_find(s, db, key);
    if (body.data[0] == REMOVED && k)
        set_delete(s, k);
    else if (body.data[0] == ADDED && k)
        change_words(s, k, slice_of(body.data + 7, reason), slice_of(body.data + 7 + reason, command));
    else if (body.data[0] == ADDED)
        set_insert(s, db, key, slice_of(body.data + 7, reason), slice_of(body.data + 7 + reason, command));
}

static bool write_all(int fd, struct slice bytes)
{
    while (bytes.len) {
        ssize_t n = write(fd, bytes.data, bytes.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        bytes = slice_of(bytes.data + n, bytes.len - (size_t)n);
    }
    return true;
}

/* A read error must not be taken for the end of the file: the rest would be truncated. */
static bool read_file(struct suspects *s, struct buf *out, struct error *error)
{
    struct stat st;
    if (fstat(s->fd, &st) != 0)
        return statefile_error(error, s->directory, s->path, "look at it", errno);
    size_t size = st.st_size < READ_MAX_BYTES ? (size_t)st.st_size : READ_MAX_BYTES;
    buf_reserve(out, size + 1);
    while (out->len < size) {
        ssize_t n = pread(s->fd, out->data + out->len, size - out->len, (off_t)out->len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return statefile_error(error, s->directory, s->path, "read it", errno);
        if (n == 0)
            break;
        out->len += (size_t)n;
    }
    return true;
}

/* Reads the complete records, and truncates the file after them. */
static bool load_file(struct suspects *s, struct error *error)
{
    struct buf bytes = {0};
    if (!read_file(s, &bytes, error)) {
        buf_free(&bytes);
        return false;
    }
    size_t at = bytes.len >= MAGIC_BYTES && memcmp(bytes.data, MAGIC, MAGIC_BYTES) == 0 ? MAGIC_BYTES : 0;
    for (size_t n; at && (n = record_length(slice_of(bytes.data + at, bytes.len - at))) > 0; at += n)
        replay_record(s, slice_of(bytes.data + at + RECORD_HEAD, n - RECORD_HEAD));
    buf_free(&bytes);
    if (ftruncate(s->fd, (off_t)at) != 0)
        return statefile_error(error, s->directory, s->path, "truncate its incomplete end", errno);
    if (!at && !write_all(s->fd, slice_str(MAGIC)))
        return statefile_error(error, s->directory, s->path, "write to it", errno);
    s->file_bytes = at ? at : MAGIC_BYTES;
    return true;
}

/* Writes a new file with the keys of the set, and renames it over the old one. A failure is harmless. */
static void rewrite_file(struct suspects *s)
{
    struct error error;
    struct buf all = {0};
    buf_put(&all, MAGIC, MAGIC_BYTES);
    for (const struct suspect *k = s->oldest; k; k = k->newer)
        encode_record(&all, ADDED, k);
    int fd = statefile_open(s->directory, s->new_path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, &error);
    if (fd >= 0 && write_all(fd, buf_slice(&all)) && rename(s->new_path, s->path) == 0) {
        close(s->fd);
        s->fd = fd;
        s->file_bytes = all.len;
    } else if (fd >= 0) {
        close(fd);
        unlink(s->new_path);
    }
    buf_free(&all);
}

static bool write_record(struct suspects *s, uint8_t kind, const struct suspect *k, struct error *error)
{
    buf_clear(&s->record);
    encode_record(&s->record, kind, k);
    if (!write_all(s->fd, buf_slice(&s->record))) {
        int why = errno;
        if (ftruncate(s->fd, (off_t)s->file_bytes) != 0)
            log_error(
                "%s: truncating its incomplete end: %s; delete it if it cannot be read at the next start",
                s->path, strerror(errno));
        return statefile_error(error, s->directory, s->path, "write to it", why);
    }
    s->file_bytes += s->record.len;
    return true;
}

/* ---- public functions ---- */

static char *suspects_path(const char *kind, const char *directory, uint32_t flow, const char *suffix)
{
    char name[64];
    snprintf(name, sizeof name, "flow-%%u.%s%s", kind, suffix);
    return statefile_path(directory, name, flow);
}

struct suspects *suspects_open(const char *directory, uint32_t flow, bool fresh, struct error *error)
{
    return suspects_open_as("suspects", directory, flow, fresh, error);
}

struct suspects *suspects_open_as(const char *kind, const char *directory, uint32_t flow, bool fresh,
                                  struct error *error)
{
    struct suspects *s = x_calloc(1, sizeof *s);
    s->directory = x_strdup(directory);
    s->path = suspects_path(kind, directory, flow, "");
    s->new_path = suspects_path(kind, directory, flow, ".new");
    s->fd = statefile_open(directory, s->path, O_RDWR | O_CREAT | O_APPEND | (fresh ? O_TRUNC : 0), error);
    if (s->fd >= 0 && load_file(s, error))
        return s;
    suspects_close(s);
    return NULL;
}

void suspects_close(struct suspects *s)
{
    if (!s)
        return;
    while (s->oldest)
        set_delete(s, s->oldest);
    if (s->fd >= 0)
        close(s->fd);
    buf_free(&s->record);
    free(s->directory);
    free(s->path);
    free(s->new_path);
    free(s);
}

void suspects_remove_file(const char *directory, uint32_t flow)
{
    suspects_remove_file_as("suspects", directory, flow);
}

void suspects_remove_file_as(const char *kind, const char *directory, uint32_t flow)
{
    char *path = suspects_path(kind, directory, flow, "");
    unlink(path);
    free(path);
}

static void set_healed(struct suspects *s, struct suspect *k, bool healed)
{
    update_totals(s, k, false);
    k->healed = healed;
    update_totals(s, k, true);
}

/* The key was SUSPECT_ONLY until now: takes the reason and command of the refusal or loss. */
static bool suspect_worsen(struct suspects *s, struct suspect *k, const char *reason, const char *command,
                           struct error *error)
{
    char old_reason[SUSPECT_WORD_BYTES], old_command[SUSPECT_WORD_BYTES];
    memcpy(old_reason, k->reason, sizeof old_reason);
    memcpy(old_command, k->command, sizeof old_command);
    change_words(s, k, slice_str(reason), slice_str(command));
    if (write_record(s, ADDED, k, error))
        return true;
    change_words(s, k, slice_str(old_reason), slice_str(old_command));
    return false;
}

bool suspects_add(struct suspects *s, uint32_t db, struct slice key, const char *reason, const char *command,
                  struct error *error)
{
    struct suspect *k = suspects_find(s, db, key);
    if (k) {
        k->times++;
        k->difference = 0;
        if (!SUSPECT_ONLY(reason))
            set_healed(s, k, false);
        return !SUSPECT_ONLY(k->reason) || SUSPECT_ONLY(reason) ||
               suspect_worsen(s, k, reason, command, error);
    }
    if (key.len > KEY_MAX)
        return error_set(error, ERROR_RETRY, "a suspect key is longer than %d bytes", KEY_MAX);
    if (s->count >= SUSPECTS_MAX || s->memory_bytes + OVERHEAD_BYTES + key.len > SUSPECTS_MAX_BYTES)
        return error_set(error, ERROR_RETRY, "the set of suspect keys is full (%zu keys)", s->count);
    k = set_insert(s, db, key, slice_str(reason), slice_str(command));
    if (write_record(s, ADDED, k, error))
        return true;
    set_delete(s, k);
    return false;
}

void suspects_remove(struct suspects *s, uint32_t db, struct slice key)
{
    struct suspect *k = suspects_find(s, db, key);
    if (k)
        suspects_settle(s, k, k->times);
}

void suspects_remove_all(struct suspects *s, const uint32_t *db)
{
    for (struct suspect *k = s->oldest, *next; k; k = next) {
        next = k->newer;
        if (!db || k->db == *db)
            suspects_settle(s, k, k->times);
    }
}

size_t suspects_count(const struct suspects *s)
{
    return s->count;
}

struct suspect *suspects_oldest(const struct suspects *s)
{
    return s->oldest;
}

size_t suspects_perhaps(const struct suspects *s)
{
    return s->perhaps;
}

size_t suspects_due(const struct suspects *s, uint64_t now_ms, struct suspect **list, size_t most)
{
    size_t n = 0;
    for (struct suspect *k = s->oldest; k && n < most; k = k->newer)
        if (k->due_ms <= now_ms)
            list[n++] = k;
    return n;
}

bool suspects_settle(struct suspects *s, struct suspect *k, uint64_t times)
{
    struct error error;
    if (k->times != times)
        return false;
    /* Not written: after a restart the key is compared again, which is harmless. */
    if (!write_record(s, REMOVED, k, &error))
        log_debug("%s", error.text);
    set_delete(s, k);
    if (s->file_bytes > 2 * s->live_bytes + OUTDATED_BYTES)
        rewrite_file(s);
    return true;
}

void suspects_note_healed(struct suspects *s, struct suspect *k, uint64_t times, uint64_t difference)
{
    if (k->times != times)
        return;
    set_healed(s, k, true);
    k->difference = difference;
}

void suspects_forget_differences(struct suspects *s)
{
    for (struct suspect *k = s->oldest; k; k = k->newer)
        k->difference = 0;
}

void suspects_put_off(struct suspects *s, struct suspect *k, uint64_t due_ms)
{
    k->tries++;
    k->due_ms = due_ms;
    list_remove(s, k);
    list_append(s, k);
}
