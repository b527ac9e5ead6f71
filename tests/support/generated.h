/* A stream whose every byte follows from its offset, so that a lost, doubled or misplaced byte shows; and a
 * directory of its own for a test's files. */
#ifndef DF2REDIS_TESTS_GENERATED_H
#define DF2REDIS_TESTS_GENERATED_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/mem.h"

static inline uint64_t generated_word(uint64_t index)
{
    uint64_t x = index + UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static inline uint8_t generated_byte(uint64_t offset)
{
    return (uint8_t)(generated_word(offset / 8) >> (offset % 8 * 8));
}

static inline void generated_fill(uint8_t *out, uint64_t offset, size_t len)
{
    size_t i = 0;
    for (; i < len && (offset + i) % 8; i++)
        out[i] = generated_byte(offset + i);
    for (; i + 8 <= len; i += 8) {
        uint64_t word = generated_word((offset + i) / 8);
        memcpy(out + i, &word, 8); /* little endian; checked with the same rule either way */
    }
    for (; i < len; i++)
        out[i] = generated_byte(offset + i);
}

/* How many of the bytes are right, from the first on. */
static inline size_t generated_matches(struct slice bytes, uint64_t offset)
{
    size_t i = 0;
    while (i < bytes.len) {
        if ((offset + i) % 8 == 0 && bytes.len - i >= 8) {
            uint64_t word;
            memcpy(&word, bytes.data + i, 8);
            if (word == generated_word((offset + i) / 8)) {
                i += 8;
                continue;
            }
        }
        if (bytes.data[i] != generated_byte(offset + i))
            break;
        i++;
    }
    return i;
}

static inline char *test_directory_make(void)
{
    const char *base = getenv("TMPDIR");
    size_t bytes = strlen(base ? base : "/tmp") + sizeof "/df2redis-test-XXXXXX";
    char *path = x_malloc(bytes);
    snprintf(path, bytes, "%s/df2redis-test-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(path))
        abort();
    return path;
}

/* Files whose name ends so. */
static inline size_t test_directory_count(const char *directory, const char *ending)
{
    size_t found = 0, ending_len = strlen(ending);
    DIR *d = opendir(directory);
    for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d)) {
        size_t len = strlen(e->d_name);
        found +=
            len >= ending_len && e->d_name[0] != '.' && strcmp(e->d_name + len - ending_len, ending) == 0;
    }
    if (d)
        closedir(d);
    return found;
}

static inline void test_directory_remove(char *directory)
{
    DIR *d = opendir(directory);
    for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d))
        if (e->d_name[0] != '.')
            unlinkat(dirfd(d), e->d_name, 0);
    if (d)
        closedir(d);
    rmdir(directory);
    free(directory);
}

#endif
