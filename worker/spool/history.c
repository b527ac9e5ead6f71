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
    char target[41];
};

struct history_slot {
    _Atomic uint64_t generation; /* 0: void */
    uint64_t seq, offset, length, checksum;
    uint8_t record[];
};

enum { RECORD_MAX = SLOT_BYTES - (int)sizeof(struct history_slot) };

struct history {
    uint8_t *file;
    uint64_t generation; /* of the newest */
    uint64_t newest_offset;
    struct buf large[SLOTS]; /* records that do not fit their slot */
};

static struct history_header *header(const struct history *h)
{
    return (void *)h->file;
}

static struct history_slot *slot_at(const struct history *h, unsigned i)
{
    return (void *)(h->file + HEADER_BYTES + i * SLOT_BYTES);
}

static uint64_t generation(const struct history_slot *slot)
{
    return statefile_load(&slot->generation);
}

static struct slice record_of(const struct history *h, unsigned i)
{
    const struct history_slot *slot = slot_at(h, i);
    return slot->length > RECORD_MAX ? buf_slice(&h->large[i]) : slice_of(slot->record, (size_t)slot->length);
}

static uint64_t checksum(const struct history_slot *slot, struct slice record)
{
    return crc64(crc64(0, (const uint8_t *)&slot->seq, sizeof slot->seq + sizeof slot->offset), record.data,
                 record.len);
}

static void take_over(struct history *h)
{
    for (unsigned i = 0; i < SLOTS; i++) {
        struct history_slot *slot = slot_at(h, i);
        if (!generation(slot))
            continue;
        /* What was too large for the file died with its process. */
        if (slot->length > RECORD_MAX || checksum(slot, record_of(h, i)) != slot->checksum)
            statefile_store(&slot->generation, 0);
        else if (generation(slot) > h->generation) {
            h->generation = generation(slot);
            h->newest_offset = slot->offset;
        }
    }
}

static void begin_anew(struct history *h, uint64_t session)
{
    memset(h->file, 0, FILE_BYTES);
    memcpy(header(h)->magic, history_magic, sizeof history_magic);
    statefile_boot_id(header(h)->boot_id);
    header(h)->session = session;
}

static bool is_usable(const struct history *h, uint64_t session)
{
    return memcmp(header(h)->magic, history_magic, sizeof history_magic) == 0 &&
           header(h)->session == session && statefile_is_of_this_boot(header(h)->boot_id);
}

/* Only what is there whole has that size. To allocate it once more would make a successor wait for a busy
 * disk. */
static bool is_whole(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && st.st_size >= (off_t)FILE_BYTES;
}

static uint8_t *map_file(const char *directory, const char *path, struct error *error)
{
    void *file = MAP_FAILED;
    int fd = statefile_open(directory, path, O_RDWR | O_CREAT, error);
    if (fd < 0)
        return NULL;
    if (is_whole(fd) || statefile_allocate(fd, 0, FILE_BYTES, directory, path, error)) {
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
    uint8_t *file = map_file(directory, path, error);
    free(path);
    if (!file)
        return NULL;
    struct history *h = x_calloc(1, sizeof *h);
    h->file = file;
    if (resume && is_usable(h, session))
        take_over(h);
    else
        begin_anew(h, session);
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

/* What lies between the neighbours of slot i: how much would be replayed more without it. */
static uint64_t gap_around(const struct history *h, unsigned i)
{
    uint64_t at = slot_at(h, i)->offset, before = 0, after = UINT64_MAX;
    for (unsigned n = 0; n < SLOTS; n++) {
        const struct history_slot *other = slot_at(h, n);
        if (n == i || !generation(other))
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
        if (!generation(slot))
            return i;
        if (generation(slot) == h->generation)
            continue;
        uint64_t gap = slot->offset < oldest ? 0 : gap_around(h, i);
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
    slot->checksum = checksum(slot, record);
    statefile_store(&slot->generation, ++h->generation);
    h->newest_offset = offset;
}

bool history_find(const struct history *h, uint64_t seq, uint64_t oldest, struct buf *record)
{
    int best = -1;
    for (unsigned i = 0; i < SLOTS; i++) {
        const struct history_slot *slot = slot_at(h, i);
        if (!generation(slot) || slot->seq > seq || slot->offset < oldest)
            continue;
        if (best < 0 || slot->offset > slot_at(h, (unsigned)best)->offset)
            best = (int)i;
    }
    if (best < 0)
        return false;
    struct slice found = record_of(h, (unsigned)best);
    buf_put(record, found.data, found.len);
    return true;
}

uint64_t history_newest_offset(const struct history *h)
{
    return h->newest_offset;
}

const char *history_target(const struct history *h)
{
    return header(h)->target;
}

void history_set_target(struct history *h, const char *id)
{
    snprintf(header(h)->target, sizeof header(h)->target, "%s", id);
}
