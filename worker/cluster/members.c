/* A new file is written whole and renamed over the old one: it is small, and identities seldom change. */
#include "worker/cluster/members.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/crc.h"
#include "common/ipc/statefile.h"

enum { FILE_MAX_BYTES = 1 << 20, CRC_TEXT_BYTES = 17 /* and a newline */ };

#define HEADER "df2nodes2 "

size_t identities_index(const struct identities *k, const char *id)
{
    for (size_t i = 0; i < k->count; i++)
        if (strcmp(k->list[i].id, id) == 0)
            return i;
    return IDENTITY_NONE;
}

const struct identity *identities_find(const struct identities *k, const char *id)
{
    size_t i = identities_index(k, id);
    return i != IDENTITY_NONE ? &k->list[i] : NULL;
}

static bool same_identity(const struct identity *a, const struct identity *b)
{
    return strcmp(a->run_id, b->run_id) == 0 && strcmp(a->replid, b->replid) == 0 &&
           a->fingerprint == b->fingerprint;
}

void identities_set(struct identities *k, const struct identity *now)
{
    size_t i = identities_index(k, now->id);
    if (i != IDENTITY_NONE && same_identity(&k->list[i], now))
        return;
    if (i == IDENTITY_NONE) {
        k->list = x_realloc(k->list, (k->count + 1) * sizeof *k->list);
        i = k->count++;
    }
    k->changed = true;
    k->list[i] = *now;
}

void identities_moved(struct identities *k, uint64_t seq)
{
    k->changed |= seq > k->moved_seq;
    k->moved_seq = seq > k->moved_seq ? seq : k->moved_seq;
}

void identities_unmarked(struct identities *k, uint64_t seq)
{
    k->changed |= seq > k->unmarked_seq;
    k->unmarked_seq = seq > k->unmarked_seq ? seq : k->unmarked_seq;
}

void identities_free(struct identities *k)
{
    free(k->list);
    *k = (struct identities){0};
}

static char *nodes_file_path(const char *directory, uint32_t flow, const char *suffix)
{
    return statefile_path(directory, "flow-%u.nodes%s", flow, suffix);
}

/* ---- reading ---- */

static bool checksum_matches(char *text, size_t len)
{
    char crc[CRC_TEXT_BYTES + 1];
    if (len < CRC_TEXT_BYTES)
        return false;
    len -= CRC_TEXT_BYTES;
    snprintf(crc, sizeof crc, "%016llx\n", (unsigned long long)crc64(0, text, len));
    bool same = memcmp(text + len, crc, CRC_TEXT_BYTES) == 0;
    text[len] = 0;
    return same;
}

static bool parse_nodes(struct identities *k, const char *text)
{
    unsigned long long session, moved_seq, unmarked_seq = UINT64_MAX, fingerprint;
    const char *line = strchr(text, '\n');
    if (!line || sscanf(text, HEADER "%llu %llu%*1[ ]%llu", &session, &moved_seq, &unmarked_seq) < 2)
        return false;
    k->session = session;
    k->moved_seq = moved_seq;
    k->unmarked_seq = unmarked_seq;
    line++;
    for (const char *end; (end = strchr(line, '\n')); line = end + 1) {
        struct identity i = {0};
        if (sscanf(line, "%40s %40s %40s %llx", i.id, i.run_id, i.replid, &fingerprint) != 4)
            return false;
        if (strcmp(i.run_id, "-") == 0)
            *i.run_id = '\0';
        if (strcmp(i.replid, "-") == 0)
            *i.replid = '\0';
        i.fingerprint = fingerprint;
        identities_set(k, &i);
    }
    k->changed = false;
    return true;
}

bool identities_load(struct identities *k, const char *directory, uint32_t flow)
{
    struct error error;
    char *path = nodes_file_path(directory, flow, ""), *text = x_calloc(1, FILE_MAX_BYTES + 1);
    int fd = statefile_open(directory, path, O_RDONLY, &error);
    ssize_t got = fd >= 0 ? read(fd, text, FILE_MAX_BYTES) : -1;
    bool ok = got > 0 && checksum_matches(text, (size_t)got) && parse_nodes(k, text);
    if (!ok)
        identities_free(k);
    if (fd >= 0)
        close(fd);
    free(path);
    free(text);
    return ok;
}

/* ---- writing ---- */

static const char *field_text(const char *text)
{
    return *text ? text : "-";
}

void identities_save(struct identities *k, const char *directory, uint32_t flow)
{
    struct error error;
    struct buf text = {0};
    char *path = nodes_file_path(directory, flow, ""), *new_path = nodes_file_path(directory, flow, ".new");
    buf_printf(&text, HEADER "%llu %llu %llu\n", (unsigned long long)k->session,
               (unsigned long long)k->moved_seq, (unsigned long long)k->unmarked_seq);
    for (size_t i = 0; i < k->count; i++)
        buf_printf(&text, "%s %s %s %llx\n", k->list[i].id, field_text(k->list[i].run_id),
                   field_text(k->list[i].replid), (unsigned long long)k->list[i].fingerprint);
    buf_printf(&text, "%016llx\n", (unsigned long long)crc64(0, text.data, text.len));
    int fd = statefile_open(directory, new_path, O_WRONLY | O_CREAT | O_TRUNC, &error);
    k->changed = fd < 0 || write(fd, text.data, text.len) != (ssize_t)text.len || rename(new_path, path) != 0;
    if (fd >= 0)
        close(fd);
    if (k->changed) {
        unlink(new_path);
        unlink(path);
    }
    buf_free(&text);
    free(new_path);
    free(path);
}

void identities_remove(const char *directory, uint32_t flow)
{
    static const char *const suffixes[] = {"", ".new"};
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        char *path = nodes_file_path(directory, flow, suffixes[i]);
        unlink(path);
        free(path);
    }
}
