/* Where a verification is, in STATE/NAME/verify.state, and what it has found, in verify.report for others to read. Both
 * are replaced as a whole, by renaming.
 *
 *   verify.state   magic, scope, phase, node, db, cursor, length of differences.log, report, large, reported, doubts,
 *                  CRC-64 of all that
 *
 * scope: a hash of what makes it the same verification. Doubts: db, key, flags, kind, type. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/crc.h"
#include "common/base/wire.h"
#include "common/ipc/statefile.h"
#include "worker/verifier/verifier_internal.h"

enum { STATE_MAX_BYTES = 64 << 20, FLAG_LARGE = 1, FLAG_REPAIR = 2, FLAG_OF_TARGET = 4 };
static const char magic[] = "df2redis verify 1\n";

static uint64_t hash_list(uint64_t hash, char *const *list)
{
    for (; list && *list; list++)
        hash = crc64(hash, (const uint8_t *)*list, strlen(*list) + 1);
    return crc64(hash, (const uint8_t *)"", 1);
}

static uint64_t scope_hash(const struct verifier *v)
{
    const struct settings *s = &v->settings;
    char name[512];
    uint64_t hash = v->beside_run ? crc64(0, (const uint8_t *)v->master_id, strlen(v->master_id)) : 0;
    uint32_t numbers[] = {v->beside_run, v->repair, v->sample_ppm, v->source_only};
    uri_display(&s->target, name, sizeof name);
    hash = crc64(hash, (const uint8_t *)name, strlen(name));
    if (!v->beside_run) {
        uri_display(&s->source, name, sizeof name);
        hash = crc64(hash, (const uint8_t *)name, strlen(name));
    }
    hash = hash_list(hash, s->include);
    hash = hash_list(hash, s->exclude);
    hash = crc64(hash, (const uint8_t *)s->db_maps, s->db_map_count * sizeof *s->db_maps);
    return crc64(hash, (const uint8_t *)numbers, sizeof numbers);
}

/* ---- writing ---- */

static bool replace_file(struct verifier *v, const char *name, mode_t mode, const struct buf *bytes)
{
    char *path = statefile_path(v->directory, "%s", name),
         *fresh = statefile_path(v->directory, "%s.new", name);
    struct error error;
    int fd = statefile_open(v->directory, fresh, O_WRONLY | O_CREAT | O_TRUNC, &error);
    bool ok = fd >= 0;
    for (size_t at = 0; ok && at < bytes->len;) {
        ssize_t n = write(fd, bytes->data + at, bytes->len - at);
        ok = n > 0 || (n < 0 && errno == EINTR);
        at += n > 0 ? (size_t)n : 0;
    }
    ok = ok && fchmod(fd, mode) == 0 && rename(fresh, path) == 0;
    if (!ok)
        log_warning("%s cannot be written: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    free(path);
    free(fresh);
    return ok;
}

static void put_hashes(struct buf *out, const struct hash_set *set)
{
    wire_put_u32(out, (uint32_t)set->count);
    for (size_t i = 0; i < set->size; i++)
        if (set->list[i])
            wire_put_u64(out, set->list[i]);
}

static void put_doubt(void *arg, const struct doubt *k)
{
    struct buf *out = arg;
    wire_put_u32(out, k->db);
    wire_put_bytes(out, k->key);
    wire_put_u8(out, (uint8_t)((k->large ? FLAG_LARGE : 0) | (k->repair ? FLAG_REPAIR : 0) |
                               (k->of_target ? FLAG_OF_TARGET : 0)));
    wire_put_u8(out, (uint8_t)k->kind);
    wire_put_u8(out, (uint8_t)k->type);
}

void saved_store(struct verifier *v)
{
    const struct course_position *at = &v->position;
    struct buf out = {0}, report = {0};
    struct stat st = {0};
    buf_put(&out, magic, sizeof magic);
    wire_put_u64(&out, scope_hash(v));
    wire_put_u32(&out, at->phase);
    wire_put_bytes(&out, slice_str(at->node));
    wire_put_u32(&out, at->db);
    wire_put_bytes(&out, slice_str(at->cursor));
    fstat(v->log, &st);
    wire_put_u64(&out, (uint64_t)st.st_size);
    verify_report_encode(&v->report, &report);
    wire_put_bytes(&out, buf_slice(&report));
    put_hashes(&out, &v->large);
    put_hashes(&out, &v->reported);
    wire_put_u32(&out, (uint32_t)doubts_count(v->doubts));
    doubts_each(v->doubts, put_doubt, &out);
    wire_put_u64(&out, crc64(0, out.data, out.len));
    replace_file(v, "verify.state", 0600, &out);
    buf_free(&out);
    buf_free(&report);
}

void saved_store_report(struct verifier *v)
{
    struct buf out = {0};
    verify_report_encode(&v->report, &out);
    replace_file(v, "verify.report", 0640, &out);
    buf_free(&out);
}

void saved_remove(struct verifier *v)
{
    char *path = statefile_path(v->directory, "verify.state");
    unlink(path);
    free(path);
}

/* ---- reading ---- */

static bool read_file(struct verifier *v, struct buf *in)
{
    char *path = statefile_path(v->directory, "verify.state");
    struct error error;
    int fd = statefile_open(v->directory, path, O_RDONLY, &error);
    ssize_t n = 0;
    free(path);
    while (fd >= 0 && in->len < STATE_MAX_BYTES && (n = read(fd, buf_reserve(in, 65536), 65536)) > 0)
        in->len += (size_t)n;
    if (fd >= 0)
        close(fd);
    return fd >= 0 && n == 0;
}

static void get_text(struct wire_reader *in, char *out, size_t bytes)
{
    struct slice text = wire_get_bytes(in);
    in->failed |= text.len >= bytes;
    if (!in->failed) {
        memcpy(out, text.data, text.len);
        out[text.len] = '\0';
    }
}

static void get_hashes(struct wire_reader *in, struct hash_set *set)
{
    for (uint32_t n = wire_get_u32(in); n && !in->failed; n--)
        hash_set_add(set, wire_get_u64(in));
}

static void get_doubt(struct wire_reader *in, struct doubts *doubts)
{
    uint32_t db = wire_get_u32(in);
    struct slice key = wire_get_bytes(in);
    uint8_t flags = wire_get_u8(in), kind = wire_get_u8(in), type = wire_get_u8(in);
    in->failed |= kind >= VERIFY_KINDS || type >= VERIFY_TYPES;
    struct doubt *k = in->failed ? NULL : doubts_add(doubts, db, key);
    if (!k)
        return;
    k->large = flags & FLAG_LARGE;
    k->repair = flags & FLAG_REPAIR;
    k->of_target = flags & FLAG_OF_TARGET;
    k->kind = kind;
    k->type = type;
}

static bool decode_state(struct verifier *v, struct slice bytes, uint64_t *log_length)
{
    struct wire_reader in = {bytes, false};
    struct course_position *at = &v->position;
    if (!slice_eq(wire_take(&in, sizeof magic), slice_of(magic, sizeof magic)) ||
        wire_get_u64(&in) != scope_hash(v))
        return false;
    at->phase = wire_get_u32(&in);
    get_text(&in, at->node, sizeof at->node);
    at->db = wire_get_u32(&in);
    get_text(&in, at->cursor, sizeof at->cursor);
    *log_length = wire_get_u64(&in);
    if (!verify_report_decode(&v->report, wire_get_bytes(&in)))
        return false;
    get_hashes(&in, &v->large);
    get_hashes(&in, &v->reported);
    for (uint32_t n = wire_get_u32(&in); n && !in.failed; n--)
        get_doubt(&in, v->doubts);
    return wire_done(&in);
}

static void forget_all(struct verifier *v)
{
    doubts_free(v->doubts);
    v->doubts = doubts_new();
    hash_set_free(&v->large);
    hash_set_free(&v->reported);
    memset(&v->report, 0, sizeof v->report);
    memset(&v->position, 0, sizeof v->position);
}

bool saved_load(struct verifier *v, uint64_t *log_length)
{
    struct buf in = {0};
    bool ok = read_file(v, &in) && in.len > 8 &&
              crc64(0, in.data, in.len - 8) ==
                  wire_get_u64(&(struct wire_reader){.left = slice_of(in.data + in.len - 8, 8)}) &&
              decode_state(v, slice_of(in.data, in.len - 8), log_length);
    buf_free(&in);
    if (!ok)
        forget_all(v);
    return ok;
}
