/* flow-N.history:   | header 4 KiB | 64 slots of 8 KiB: {generation, seq, offset, length, checksum}, record |
 *
 * A slot's generation is 0 while it is written, and set last. */
#include "worker/spool/history.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/crc.h"
#include "common/ipc/statefile.h"

enum { SLOTS = 64, SLOT_BYTES = 8192, HEADER_BYTES = 4096, FILE_BYTES = HEADER_BYTES + SLOTS * SLOT_BYTES };

static const char history_magic[8] = "df2his1";

struct history_header {
    char magic[8];
    uint64_t session;
    char boot_id[STATEFILE_BOOT_BYTES];
    char target[41], replid[41];
};

struct history_slot {
    _Atomic uint64_t generation; /* 0: empty */
    uint64_t seq, offset, length, checksum;
    uint8_t record[];
};

enum { RECORD_MAX = SLOT_BYTES - (int)sizeof(struct history_slot) };

struct history {
    uint8_t *file;
    uint64_t generation; /* of the newest */
    uint64_t newest_offset;
    struct buf large[SLOTS]; /* records larger than a slot; not in the file */
};

static struct history_header *history_header_of(const struct history *h)
{
    return (void *)h->file;
}

static struct history_slot *slot_at(const struct history *h, unsigned i)
{
    return (void *)(h->file + HEADER_BYTES + i * SLOT_BYTES);
}

static uint64_t slot_generation(const struct history_slot *slot)
{
    return statefile_load(&slot->generation);
}

static struct slice slot_record(const struct history *h, unsigned i)
{
    const struct history_slot *slot = slot_at(h, i);
    return slot->length > RECORD_MAX ? buf_slice(&h->large[i]) : slice_of(slot->record, (size_t)slot->length);
}

static uint64_t slot_checksum(const struct history_slot *slot, struct slice record)
{
    return crc64(crc64(0, (const uint8_t *)&slot->seq, sizeof slot->seq + sizeof slot->offset), record.data,
                 record.len);
}

static void history_take_over(struct history *h)
{
    for (unsigned i = 0; i < SLOTS; i++) {
        struct history_slot *slot = slot_at(h, i);
        if (!slot_generation(slot))
            continue;
        /* A record too large for the file was in the memory of the dead worker. */
        if (slot->length > RECORD_MAX || slot_checksum(slot, slot_record(h, i)) != slot->checksum)
            statefile_store(&slot->generation, 0);
        else if (slot_generation(slot) > h->generation) {
            h->generation = slot_generation(slot);
            h->newest_offset = slot->offset;
        }
    }
}

/* What the target was stays. */
static void history_reset(struct history *h, uint64_t session)
{
    struct history_header fresh = {.session = session}, *was = history_header_of(h);
    bool known = memcmp(was->magic, history_magic, sizeof history_magic) == 0;
    memcpy(fresh.magic, history_magic, sizeof history_magic);
    statefile_boot_id(fresh.boot_id);
    snprintf(fresh.target, sizeof fresh.target, "%.*s", known ? 40 : 0, was->target);
    snprintf(fresh.replid, sizeof fresh.replid, "%.*s", known ? 40 : 0, was->replid);
    memset(h->file, 0, FILE_BYTES);
    memcpy(h->file, &fresh, sizeof fresh);
}

static bool history_is_usable(const struct history *h, uint64_t session)
{
    return memcmp(history_header_of(h)->magic, history_magic, sizeof history_magic) == 0 &&
           history_header_of(h)->session == session &&
           statefile_is_of_this_boot(history_header_of(h)->boot_id);
}

/* An incomplete file is shorter. A complete one is not allocated again: fallocate(2) would block a restarted worker on
 * a busy disk. */
static bool file_is_complete(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && st.st_size >= (off_t)FILE_BYTES;
}

static uint8_t *history_map(const char *directory, const char *path, struct error *error)
{
    void *file = MAP_FAILED;
    int fd = statefile_open(directory, path, O_RDWR | O_CREAT, error);
    if (fd < 0)
        return NULL;
    if (file_is_complete(fd) || statefile_allocate(fd, 0, FILE_BYTES, directory, path, error)) {
        file = mmap(NULL, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (file == MAP_FAILED)
            statefile_error(error, directory, path, "map it", errno);
    }
    close(fd);
    return file == MAP_FAILED ? NULL : file;
}

struct history *history_open(const char *directory, uint32_t flow, uint64_t session, bool resume,
                             struct error *error)
{
    char *path = statefile_path(directory, "flow-%u.history", flow);
    uint8_t *file = history_map(directory, path, error);
    free(path);
    if (!file)
        return NULL;
    struct history *h = x_calloc(1, sizeof *h);
    h->file = file;
    if (resume && history_is_usable(h, session))
        history_take_over(h);
    else
        history_reset(h, session);
    return h;
}

void history_close(struct history *h)
{
    if (!h)
        return;
    for (unsigned i = 0; i < SLOTS; i++)
        buf_free(&h->large[i]);
    munmap(h->file, FILE_BYTES);
    free(h);
}

void history_remove(const char *directory, uint32_t flow)
{
    char *path = statefile_path(directory, "flow-%u.history", flow);
    unlink(path);
    free(path);
}

/* Bytes between the neighbours of slot i: the worst additional replay without it. */
static uint64_t slot_gap(const struct history *h, unsigned i)
{
    uint64_t at = slot_at(h, i)->offset, before = 0, after = UINT64_MAX;
    for (unsigned n = 0; n < SLOTS; n++) {
        const struct history_slot *other = slot_at(h, n);
        if (n == i || !slot_generation(other))
            continue;
        if (other->offset <= at && other->offset > before)
            before = other->offset;
        if (other->offset >= at && other->offset < after)
            after = other->offset;
    }
    return after - before;
}

static unsigned choose_slot(const struct history *h, uint64_t oldest)
{
    unsigned best = 0;
    uint64_t least = UINT64_MAX;
    for (unsigned i = 0; i < SLOTS; i++) {
        const struct history_slot *slot = slot_at(h, i);
        if (!slot_generation(slot))
            return i;
        if (slot_generation(slot) == h->generation)
            continue;
        uint64_t gap = slot->offset < oldest ? 0 : slot_gap(h, i);
        if (gap < least) {
            least = gap;
            best = i;
        }
    }
    return best;
}

void history_add(struct history *h, uint64_t seq, uint64_t offset, uint64_t oldest, struct slice record)
{
    unsigned i = choose_slot(h, oldest);
    struct history_slot *slot = slot_at(h, i);
    statefile_store(&slot->generation, 0);
    slot->seq = seq;
    slot->offset = offset;
    slot->length = record.len;
    buf_free(&h->large[i]);
    if (record.len > RECORD_MAX)
        buf_put(&h->large[i], record.data, record.len);
    else if (record.len)
        memcpy(slot->record, record.data, record.len);
    slot->checksum = slot_checksum(slot, record);
    statefile_store(&slot->generation, ++h->generation);
    h->newest_offset = offset;
}

bool history_find(const struct history *h, uint64_t seq, uint64_t oldest, struct buf *record)
{
    int best = -1;
    for (unsigned i = 0; i < SLOTS; i++) {
        const struct history_slot *slot = slot_at(h, i);
        if (!slot_generation(slot) || slot->seq > seq || slot->offset < oldest)
            continue;
        if (best < 0 || slot->offset > slot_at(h, (unsigned)best)->offset)
            best = (int)i;
    }
    if (best < 0)
        return false;
    struct slice found = slot_record(h, (unsigned)best);
    buf_put(record, found.data, found.len);
    return true;
}

void history_forget_after(struct history *h, uint64_t offset)
{
    h->generation = h->newest_offset = 0;
    for (unsigned i = 0; i < SLOTS; i++) {
        struct history_slot *slot = slot_at(h, i);
        if (slot->offset > offset)
            statefile_store(&slot->generation, 0);
        else if (slot_generation(slot) > h->generation) {
            h->generation = slot_generation(slot);
            h->newest_offset = slot->offset;
        }
    }
}

uint64_t history_newest_offset(const struct history *h)
{
    return h->newest_offset;
}

const char *history_target(const struct history *h)
{
    return history_header_of(h)->target;
}

const char *history_replid(const struct history *h)
{
    return history_header_of(h)->replid;
}

void history_set_target(struct history *h, const char *run_id, const char *replid)
{
    snprintf(history_header_of(h)->target, sizeof history_header_of(h)->target, "%s", run_id);
    snprintf(history_header_of(h)->replid, sizeof history_header_of(h)->replid, "%s", replid);
}
