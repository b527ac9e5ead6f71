/* A FLOW's cursor: marks and the restart record in one shared file.
 *
 *   0            magic, boot, marks, two slots {generation, offset, capacity, length, checksum}
 *   64 KiB       record of slot 0 | record of slot 1        (16 KiB each at first)
 *
 * A save goes to the slot with the older generation: generation := 0, bytes, length and checksum, then the
 * new generation. So whenever a SIGKILL comes, the other slot or this one is whole; a dead process's stores
 * are all there and in order, so a compiler barrier is enough. A record larger than its slot gets new space
 * behind both; the old space is given back to the file system. */
#include "common/ipc/cursor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/ipc/statefile.h"
#include "common/log/log.h"

#define RECORD_MAX_BYTES (UINT64_C(64) << 20)
#define RECORD_FIRST_BYTES (UINT64_C(16) << 10)

static const char cursor_magic[8] = "df2cur1";

struct cursor_slot {
    _Atomic uint64_t generation; /* 0: not whole */
    uint64_t offset, capacity;   /* in the file */
    uint64_t length, checksum;
};

struct cursor_header {
    char magic[8];
    uint64_t marks_bytes; /* of the program that wrote it: both must agree */
    char boot_id[STATEFILE_BOOT_BYTES];
    struct cursor_slot slots[2];
    struct cursor_marks marks;
};

_Static_assert(sizeof(struct cursor_header) <= 4096, "the header must fit the smallest page");

static uint64_t record_checksum(const uint8_t *data, size_t len)
{
    const uint64_t odd = UINT64_C(0x9fb21c651e98df25);
    uint64_t sum = len * odd + 1, word;
    for (; len >= sizeof word; data += sizeof word, len -= sizeof word) {
        memcpy(&word, data, sizeof word);
        sum = (sum ^ word) * odd;
        sum ^= sum >> 29;
    }
    word = 0;
    if (len)
        memcpy(&word, data, len);
    sum = (sum ^ word) * odd;
    return sum ^ (sum >> 32);
}

static char *cursor_path(const char *directory, uint32_t flow, const char *suffix)
{
    return statefile_path(directory, "flow-%u.cursor%s", flow, suffix);
}

static uint64_t slot_generation(const struct cursor_slot *slot)
{
    return statefile_load(&slot->generation);
}

static uint64_t records_end(const struct cursor_header *h)
{
    uint64_t end = STATEFILE_HEADER_BYTES;
    for (int i = 0; i < 2; i++) {
        uint64_t slot_end = h->slots[i].offset + h->slots[i].capacity;
        end = slot_end > end ? slot_end : end;
    }
    return end;
}

static bool header_is_sound(const struct cursor_header *h, uint64_t file_bytes)
{
    if (memcmp(h->magic, cursor_magic, sizeof h->magic) != 0 || h->marks_bytes != sizeof h->marks)
        return false;
    for (int i = 0; i < 2; i++) {
        const struct cursor_slot *slot = &h->slots[i];
        if (slot->offset < STATEFILE_HEADER_BYTES || slot->offset > file_bytes ||
            slot->capacity > RECORD_MAX_BYTES || slot->capacity > file_bytes - slot->offset ||
            (slot_generation(slot) && slot->length > slot->capacity))
            return false;
    }
    return true;
}

/* Clears session first: a concurrent reader sees a cursor of no session. */
static void header_reset(struct cursor_header *h)
{
    cursor_set(&h->marks.session, 0);
    statefile_store(&h->slots[0].generation, 0);
    statefile_store(&h->slots[1].generation, 0);
    memset((void *)&h->marks, 0, sizeof h->marks);
    statefile_boot_id(h->boot_id);
}

/* Renames a complete new file into place, so that readers never see a partial header. */
static bool make_file(struct cursor *c, uint32_t flow, struct error *error)
{
    char *path = cursor_path(c->directory, flow, ".new");
    unlink(path);
    bool ok = false;
    c->fd = statefile_open(c->directory, path, O_RDWR | O_CREAT | O_EXCL, error);
    if (c->fd < 0)
        goto out;
    struct cursor_header h = {.marks_bytes = sizeof h.marks};
    memcpy(h.magic, cursor_magic, sizeof h.magic);
    statefile_boot_id(h.boot_id);
    for (unsigned i = 0; i < 2; i++) {
        h.slots[i].offset = STATEFILE_HEADER_BYTES + i * RECORD_FIRST_BYTES;
        h.slots[i].capacity = RECORD_FIRST_BYTES;
    }
    if (!statefile_allocate(c->fd, 0, records_end(&h), c->directory, path, error))
        goto out;
    if (pwrite(c->fd, &h, sizeof h, 0) != (ssize_t)sizeof h) {
        statefile_error(error, c->directory, path, "write its header", errno);
        goto out;
    }
    if (rename(path, c->path) != 0) {
        statefile_error(error, c->directory, c->path, "put it in place", errno);
        goto out;
    }
    ok = true;
out:
    if (!ok)
        unlink(path);
    free(path);
    return ok;
}

static bool map_header(struct cursor *c, int protection, struct error *error)
{
    void *p = mmap(NULL, sizeof *c->header, protection, MAP_SHARED, c->fd, 0);
    if (p == MAP_FAILED)
        return statefile_error(error, c->directory, c->path, "map it", errno);
    c->header = p;
    c->marks = &c->header->marks;
    return true;
}

static bool map_records(struct cursor *c, struct error *error)
{
    size_t bytes = (size_t)(records_end(c->header) - STATEFILE_HEADER_BYTES);
    void *p;
    if (c->records)
        p = mremap(c->records, c->records_bytes, bytes, MREMAP_MAYMOVE);
    else
        p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, c->fd, STATEFILE_HEADER_BYTES);
    if (p == MAP_FAILED)
        return statefile_error(error, c->directory, c->path, "map its records", errno);
    c->records = p;
    c->records_bytes = bytes;
    return true;
}

/* 1: there and sound; 0: not there (or not this program's); -1: *error. */
static int open_existing(struct cursor *c, int flags, struct error *error)
{
    struct error failed = {0};
    c->fd = statefile_open(c->directory, c->path, flags, &failed);
    if (c->fd < 0) {
        if (error)
            *error = failed;
        return failed.class == ERROR_RETRY ? 0 : -1;
    }
    struct stat st;
    if (fstat(c->fd, &st) != 0) {
        statefile_error(error, c->directory, c->path, "look at it", errno);
        return -1;
    }
    if (st.st_size < (off_t)STATEFILE_HEADER_BYTES)
        return 0;
    if (!map_header(c, flags == O_RDONLY ? PROT_READ : PROT_READ | PROT_WRITE, error))
        return -1;
    return header_is_sound(c->header, (uint64_t)st.st_size) ? 1 : 0;
}

static void cursor_init(struct cursor *c, const char *directory, uint32_t flow)
{
    *c =
        (struct cursor){.fd = -1, .directory = x_strdup(directory), .path = cursor_path(directory, flow, "")};
}

static void cursor_unmap(struct cursor *c)
{
    if (c->header)
        munmap(c->header, sizeof *c->header);
    if (c->records)
        munmap(c->records, c->records_bytes);
    if (c->fd >= 0)
        close(c->fd);
    c->header = NULL;
    c->records = NULL;
    c->marks = NULL;
    c->fd = -1;
}

const char *cursor_phase_name(enum cursor_phase phase)
{
    static const char *const names[] = {"starting", "full-sync", "full-sync-end",
                                        "stable",   "drained",   "failed"};
    return (unsigned)phase < sizeof names / sizeof *names ? names[phase] : "unknown";
}

bool cursor_open(struct cursor *c, const char *directory, uint32_t flow, bool fresh, struct error *error)
{
    cursor_init(c, directory, flow);
    int found = open_existing(c, O_RDWR, error);
    if (found == 0 && c->fd >= 0 && !fresh)
        log_warning("%s: incomplete, or of another version: starting without a cursor", c->path);
    bool made = false;
    if (found == 0) {
        cursor_unmap(c);
        made = make_file(c, flow, error) && map_header(c, PROT_READ | PROT_WRITE, error);
    }
    if (found < 0 || (found == 0 && !made) || !map_records(c, error)) {
        cursor_close(c);
        return false;
    }
    if (!fresh && !statefile_is_of_this_boot(c->header->boot_id)) {
        log_warning("%s: left by an earlier boot of this machine: starting without it", c->path);
        fresh = true;
    }
    if (fresh)
        header_reset(c->header);
    return true;
}

bool cursor_open_readonly(struct cursor *c, const char *directory, uint32_t flow, struct error *error)
{
    cursor_init(c, directory, flow);
    int found = open_existing(c, O_RDONLY, error);
    if (found == 1 && statefile_is_of_this_boot(c->header->boot_id))
        return true;
    if (found >= 0)
        error_set(error, ERROR_RETRY, "%s: no worker of this boot has made a cursor yet", c->path);
    cursor_close(c);
    return false;
}

void cursor_close(struct cursor *c)
{
    cursor_unmap(c);
    free(c->directory);
    free(c->path);
    *c = (struct cursor){.fd = -1};
}

void cursor_remove(const char *directory, uint32_t flow)
{
    static const char *const suffixes[] = {"", ".new"};
    for (int i = 0; i < 2; i++) {
        char *path = cursor_path(directory, flow, suffixes[i]);
        unlink(path);
        free(path);
    }
}

/* Allocates new space behind both slots. The slot changes only after the allocation succeeded. */
static bool slot_grow(struct cursor *c, struct cursor_slot *slot, size_t bytes, struct error *error)
{
    uint64_t capacity = RECORD_FIRST_BYTES, end = records_end(c->header);
    while (capacity < bytes)
        capacity *= 2;
    if (!statefile_allocate(c->fd, end, capacity, c->directory, c->path, error))
        return false;
    uint64_t old_offset = slot->offset, old_capacity = slot->capacity;
    statefile_store(&slot->generation, 0);
    slot->capacity = 0;
    atomic_signal_fence(memory_order_seq_cst);
    slot->offset = end;
    atomic_signal_fence(memory_order_seq_cst);
    slot->capacity = capacity;
    if (!map_records(c, error))
        return false;
    /* Optional: a file system without hole punching keeps the space until the cursor is removed. */
    if (old_capacity)
        (void)fallocate(c->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)old_offset,
                        (off_t)old_capacity);
    return true;
}

bool cursor_save_record(struct cursor *c, struct slice record, struct error *error)
{
    struct cursor_slot *slots = c->header->slots;
    uint64_t first = slot_generation(&slots[0]), second = slot_generation(&slots[1]);
    struct cursor_slot *slot = first <= second ? &slots[0] : &slots[1];
    if (record.len > RECORD_MAX_BYTES)
        return error_fatal(error, EX_SOFTWARE,
                           "%s: a restart record of %zu bytes is more than the %llu it holds", c->path,
                           record.len, (unsigned long long)RECORD_MAX_BYTES);
    if (record.len > slot->capacity && !slot_grow(c, slot, record.len, error))
        return false;
    statefile_store(&slot->generation, 0);
    if (record.len)
        memcpy(c->records + (slot->offset - STATEFILE_HEADER_BYTES), record.data, record.len);
    slot->length = record.len;
    slot->checksum = record_checksum(record.data, record.len);
    statefile_store(&slot->generation, (first > second ? first : second) + 1);
    return true;
}

static bool slot_load(const struct cursor *c, const struct cursor_slot *slot, struct buf *out)
{
    size_t length = (size_t)slot->length, got = 0;
    if (length > RECORD_MAX_BYTES)
        return false;
    uint8_t *at = buf_reserve(out, length);
    while (got < length) {
        ssize_t n = pread(c->fd, at + got, length - got, (off_t)(slot->offset + got));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        got += (size_t)n;
    }
    if (record_checksum(at, length) != slot->checksum)
        return false;
    out->len += length;
    return true;
}

bool cursor_load_record(const struct cursor *c, struct buf *out)
{
    const struct cursor_slot *slots = c->header->slots;
    int newest = slot_generation(&slots[0]) >= slot_generation(&slots[1]) ? 0 : 1;
    for (int i = 0; i < 2; i++) {
        const struct cursor_slot *slot = &slots[i == 0 ? newest : !newest];
        if (slot_generation(slot) && slot_load(c, slot, out))
            return true;
    }
    return false;
}
