/* Opens and preallocates files in the state directory; texts of their errors. */
#include "common/ipc/statefile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

char *statefile_path(const char *directory, const char *format, ...)
{
    char name[64];
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);

    size_t bytes = strlen(directory) + 1 + strlen(name) + 1;
    char *path = x_malloc(bytes);
    snprintf(path, bytes, "%s/%s", directory, name);
    return path;
}

static bool directory_is_there(const char *directory)
{
    struct stat st;
    return stat(directory, &st) == 0 && S_ISDIR(st.st_mode);
}

void statefile_explain(struct error *error, const char *directory, const char *path, const char *doing,
                       int errnum)
{
    switch (errnum) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        error_set(error, ERROR_RETRY,
                  "%s: cannot %s: %s: free space in the state directory %s (or raise the quota or file "
                  "size limit), or give another --state-dir",
                  path, doing, strerror(errnum), directory);
        if (error)
            error->exit_code = EX_IOERR;
        break;
    case EACCES:
    case EPERM:
    case EROFS:
        error_fatal(error, EX_NOPERM,
                    "%s: cannot %s: %s: make the state directory %s writable for user %u, or give another "
                    "--state-dir",
                    path, doing, strerror(errnum), directory, (unsigned)geteuid());
        break;
    case ENOENT:
    case ENOTDIR:
        if (directory_is_there(directory))
            error_set(error, ERROR_RETRY, "%s: cannot %s: it is not there", path, doing);
        else
            error_fatal(error, EX_CANTCREAT, "state directory %s is missing: create it or give --state-dir",
                        directory);
        break;
    default:
        error_fatal(error, EX_IOERR, "%s: cannot %s: %s: check the file system of the state directory %s",
                    path, doing, strerror(errnum), directory);
    }
}

int statefile_open(const char *directory, const char *path, int flags, struct error *error)
{
    int fd;
    do
        fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
    while (fd < 0 && errno == EINTR);
    if (fd < 0)
        statefile_error(error, directory, path, "open it", errno);
    return fd;
}

bool statefile_allocate(int fd, uint64_t offset, uint64_t bytes, const char *directory, const char *path,
                        struct error *error)
{
    struct stat before;
    if (fstat(fd, &before) != 0)
        return statefile_error(error, directory, path, "look at it", errno);
    int failed;
    do
        failed = posix_fallocate(fd, (off_t)offset, (off_t)bytes);
    while (failed == EINTR);
    if (!failed)
        return true;
    if (ftruncate(fd, before.st_size) != 0)
        return statefile_error(error, directory, path, "shorten it", errno);
    char doing[64];
    snprintf(doing, sizeof doing, "preallocate %llu bytes", (unsigned long long)bytes);
    return statefile_error(error, directory, path, doing, failed);
}

void statefile_boot_id(char out[STATEFILE_BOOT_BYTES])
{
    memset(out, 0, STATEFILE_BOOT_BYTES);
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t got = read(fd, out, STATEFILE_BOOT_BYTES - 1);
    if (got <= 0)
        memset(out, 0, STATEFILE_BOOT_BYTES);
    close(fd);
}

bool statefile_is_of_this_boot(const char boot_id[STATEFILE_BOOT_BYTES])
{
    char now[STATEFILE_BOOT_BYTES];
    statefile_boot_id(now);
    return memcmp(now, boot_id, sizeof now) == 0;
}
