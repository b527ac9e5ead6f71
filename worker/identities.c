/* The file is written whole: it is small, and a node is seldom another one. */
#include "worker/identities.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/crc.h"
#include "common/statefile.h"

enum { FILE_MAX_BYTES = 1 << 20, CRC_TEXT_BYTES = 17 /* with its newline */ };

#define HEADER "df2nodes1 %llu\n"

static size_t index_of(const struct identities *k, const char *id)
{
    size_t i = 0;
    while (i < k->count && strcmp(k->list[i].id, id) != 0)
        i++;
    return i;
}

const struct identity *identities_find(const struct identities *k, const char *id)
{
    size_t i = index_of(k, id);
    return i < k->count ? &k->list[i] : NULL;
}

void identities_set(struct identities *k, const char *id, const char *run_id, const char *replid)
{
    struct identity now = {0};
    snprintf(now.id, sizeof now.id, "%s", id);
    snprintf(now.run_id, sizeof now.run_id, "%s", run_id);
    snprintf(now.replid, sizeof now.replid, "%s", replid);
    size_t i = index_of(k, now.id);
    if (i == k->count) {
        k->list = x_realloc(k->list, (k->count + 1) * sizeof *k->list);
        k->list[k->count++] = (struct identity){0};
    }
    k->changed |= memcmp(&k->list[i], &now, sizeof now) != 0;
    k->list[i] = now;
}

void identities_free(struct identities *k)
{
    free(k->list);
    *k = (struct identities){0};
}

static char *path_of(const char *directory, uint32_t flow)
{
    return statefile_path(directory, "flow-%u.nodes", flow);
}

/* ---- reading ---- */

static bool is_whole(char *text, size_t len)
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

static bool parse(struct identities *k, const char *text, uint64_t session)
{
    char header[40];
    int n = snprintf(header, sizeof header, HEADER, (unsigned long long)session);
    if (strncmp(text, header, (size_t)n) != 0)
        return false;
    for (const char *line = text + n, *end; (end = strchr(line, '\n')); line = end + 1) {
        char id[41] = "", run_id[41] = "", replid[41] = "";
        if (sscanf(line, "%40s %40s %40s", id, run_id, replid) != 3)
            return false;
        bool nobody = strcmp(run_id, "-") == 0;
        identities_set(k, id, nobody ? "" : run_id, nobody ? "" : replid);
    }
    k->changed = false;
    return true;
}

bool identities_load(struct identities *k, const char *directory, uint32_t flow, uint64_t session)
{
    struct error error;
    char *path = path_of(directory, flow), *text = x_calloc(1, FILE_MAX_BYTES + 1);
    int fd = statefile_open(directory, path, O_RDONLY, &error);
    ssize_t got = fd >= 0 ? read(fd, text, FILE_MAX_BYTES) : -1;
    bool ok = got > 0 && is_whole(text, (size_t)got) && parse(k, text, session);
    if (!ok)
        identities_free(k);
    if (fd >= 0)
        close(fd);
    free(path);
    free(text);
    return ok;
}

/* ---- writing ---- */

static const char *word(const char *text)
{
    return *text ? text : "-";
}

void identities_save(struct identities *k, const char *directory, uint32_t flow, uint64_t session)
{
    struct error error;
    struct buf text = {0};
    char *path = path_of(directory, flow);
    buf_printf(&text, HEADER, (unsigned long long)session);
    for (size_t i = 0; i < k->count; i++)
        buf_printf(&text, "%s %s %s\n", k->list[i].id, word(k->list[i].run_id), word(k->list[i].replid));
    buf_printf(&text, "%016llx\n", (unsigned long long)crc64(0, text.data, text.len));
    int fd = statefile_open(directory, path, O_WRONLY | O_CREAT | O_TRUNC, &error);
    k->changed = fd < 0 || write(fd, text.data, text.len) != (ssize_t)text.len;
    if (fd >= 0)
        close(fd);
    buf_free(&text);
    free(path);
}

void identities_remove(const char *directory, uint32_t flow)
{
    char *path = path_of(directory, flow);
    unlink(path);
    free(path);
}
