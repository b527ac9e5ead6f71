/* The directory of a run. Its mode is 0750, so that the group reaches the socket; the files are the owner's alone. An
 * open file description lock guards it: the kernel releases the lock however the run ends, and F_OFD_GETLK shows its
 * holder without taking it.
 *
 *   STATE/NAME/lock             "PID\n", locked
 *              control.sock     control.c
 *              run.json         run_record.c
 *              divergences.log  common/ipc/divergence_log.c
 *              flow-N.cursor …  the workers' */
#include "supervisor/state/state_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <sysexits.h>
#include <unistd.h>

static bool directory_refused(const char *path, int failure, struct error *error)
{
    switch (failure) {
    case ENOENT:
        return error_fatal(
            error, EX_CANTCREAT,
            "cannot make the state directory %s: the directory above it does not exist; make it "
            "or choose another with --state-dir",
            path);
    case EROFS:
        return error_fatal(error, EX_CANTCREAT,
                           "cannot make the state directory %s: the file system is mounted read-only; choose "
                           "another with --state-dir",
                           path);
    case EACCES:
    case EPERM:
        return error_fatal(
            error, EX_NOPERM,
            "cannot make the state directory %s: this user may not write there; give it to the "
            "user that runs df2redis or choose another with --state-dir",
            path);
    default:
        return error_fatal(error, EX_CANTCREAT, "cannot make the state directory %s: %s", path,
                           strerror(failure));
    }
}

static bool make_directory(const char *path, mode_t mode, struct error *error)
{
    return mkdir(path, mode) == 0 || errno == EEXIST || directory_refused(path, errno, error);
}

static const char below[] = "/.local/state/"; /* of a home directory */

/* Returns the length of the home directory, if the path is below its .local/state; 0: it is not. */
static size_t home_of(const char *path)
{
    const char *home = getenv("HOME");
    size_t len = home ? strlen(home) : 0;
    return len && strncmp(path, home, len) == 0 && strncmp(path + len, below, sizeof below - 1) == 0 ? len
                                                                                                     : 0;
}

/* Makes ~/.local/state only. Any other missing directory may be an unmounted file system. */
static void make_home_parents(const char *path)
{
    size_t len = home_of(path);
    if (!len)
        return;
    char *part = x_strdup(path);
    for (size_t i = len + 1; i < len + sizeof below && part[i]; i++)
        if (part[i] == '/') {
            part[i] = '\0';
            mkdir(part, 0700); /* a failure is reported with the directory itself */
            part[i] = '/';
        }
    free(part);
}

static long read_pid(int fd)
{
    char text[32];
    ssize_t n = pread(fd, text, sizeof text, 0);
    uint64_t pid = 0;
    size_t len = n > 0 ? (size_t)n : 0;
    while (len && (text[len - 1] == '\n' || text[len - 1] == ' '))
        len--;
    return slice_to_u64(slice_of(text, len), &pid) ? (long)pid : 0;
}

enum { LOCK_PAUSE_MS = 10, LOCK_WAIT_MS = 5000 };

static const struct flock whole_file = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

/* A supervisor killed between fork and exec of a worker leaves the lock to that child for a moment. The lock counts as
 * held only while its pid is alive. */
static bool lock_unless_held(int fd)
{
    struct timespec pause = {0, LOCK_PAUSE_MS * 1000000L};
    for (int waited_ms = 0;; waited_ms += LOCK_PAUSE_MS) {
        struct flock lock = whole_file;
        if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
            return true;
        int failure = errno;
        long pid = read_pid(fd);
        bool left =
            (failure == EAGAIN || failure == EACCES) && pid > 0 && kill((pid_t)pid, 0) != 0 && errno == ESRCH;
        if (!left || waited_ms >= LOCK_WAIT_MS) {
            errno = failure;
            return false;
        }
        nanosleep(&pause, NULL);
    }
}

bool state_dir_lock(const struct settings *settings, const char *file, int *fd, struct error *error)
{
    char *path = state_dir_file(settings, file);
    struct flock whole = whole_file;
    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    bool ok =
        *fd >= 0 || error_fatal(error, errno == EACCES ? EX_NOPERM : EX_CANTCREAT,
                                "cannot open %s: %s; use the user that runs df2redis", path, strerror(errno));
    if (ok && fcntl(*fd, F_OFD_SETLK, &whole) != 0) {
        ok = error_fatal(error, EX_TEMPFAIL, "%s is locked by another process", path);
        close(*fd);
        *fd = -1;
    }
    free(path);
    return ok;
}

static bool lock_refused(const char *path, int failure, struct error *error)
{
    return error_fatal(
        error, failure == EACCES ? EX_NOPERM : EX_CANTCREAT,
        "cannot open %s: %s; the state directory must be writable by the user that runs df2redis "
        "(or choose another with --state-dir)",
        path, strerror(failure));
}

static bool run_is_active(const char *name, long pid, struct error *error)
{
    return error_fatal(error, EX_TEMPFAIL,
                       "a run named %s is active (pid %ld): see df2redis status --name %s, or give this one "
                       "another --name",
                       name, pid, name);
}

static bool take_lock(struct state_dir *dir, const char *name, struct error *error)
{
    char *path = NULL;
    if (asprintf(&path, "%s/lock", dir->path) < 0)
        return error_fatal(error, EX_OSERR, "out of memory");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        lock_refused(path, errno, error);
        free(path);
        return false;
    }
    if (!lock_unless_held(fd)) {
        int failure = errno;
        long pid = read_pid(fd);
        close(fd);
        if (failure == EAGAIN || failure == EACCES)
            run_is_active(name, pid, error);
        else
            error_fatal(error, EX_CANTCREAT, "cannot lock %s: %s", path, strerror(failure));
        free(path);
        return false;
    }
    char text[32];
    int len = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)len, 0) != len) {
        int failure = errno;
        close(fd);
        error_fatal(error, EX_IOERR, "cannot write %s: %s; is the disk full?", path, strerror(failure));
        free(path);
        return false;
    }
    free(path);
    dir->lock_fd = fd;
    return true;
}

bool state_dir_open(struct state_dir *dir, const struct settings *settings, struct error *error)
{
    *dir = (struct state_dir){.lock_fd = -1};
    make_home_parents(settings->state_dir);
    if (!make_directory(settings->state_dir, 0755, error))
        return false;
    dir->path = state_dir_file(settings, NULL);
    struct stat st;
    if (make_directory(dir->path, 0750, error)) {
        if (stat(dir->path, &st) != 0 || !S_ISDIR(st.st_mode))
            error_fatal(error, EX_CANTCREAT, "%s is not a directory; choose another --state-dir or --name",
                        dir->path);
        else if (take_lock(dir, settings->name, error))
            return true;
    }
    state_dir_close(dir);
    return false;
}

/* Returns true if a file or directory can be made in it. */
static bool is_writable(const char *path)
{
    return faccessat(AT_FDCWD, path, W_OK | X_OK, AT_EACCESS) == 0;
}

/* Examines the directory in which the first missing one would be made. */
static bool may_be_made(const char *path, struct error *error)
{
    char *above = x_strdup(path), *slash = strrchr(above, '/');
    bool home = home_of(path) > 0;
    while (slash && slash > above) {
        *slash = '\0';
        if (!home || access(above, F_OK) == 0)
            break;
        slash = strrchr(above, '/');
    }
    bool ok = is_writable(slash == above ? "/" : above) || directory_refused(path, errno, error);
    free(above);
    return ok;
}

static bool may_be_used(const char *path, const struct settings *settings, struct error *error)
{
    struct stat st;
    long pid;
    if (stat(path, &st) != 0) {
        if (errno != ENOENT)
            return lock_refused(path, errno, error);
        if (access(settings->state_dir, F_OK) == 0)
            return is_writable(settings->state_dir) || directory_refused(path, errno, error);
        return may_be_made(settings->state_dir, error);
    }
    if (!S_ISDIR(st.st_mode))
        return error_fatal(error, EX_CANTCREAT, "%s is not a directory; choose another --state-dir or --name",
                           path);
    if ((pid = state_dir_active_pid(settings)))
        return run_is_active(settings->name, pid, error);
    return is_writable(path) || lock_refused(path, errno, error);
}

bool state_dir_examine(const struct settings *settings, struct error *error)
{
    char *path = state_dir_file(settings, NULL);
    bool ok = may_be_used(path, settings, error);
    free(path);
    return ok;
}

void state_dir_close(struct state_dir *dir)
{
    if (dir->lock_fd >= 0)
        close(dir->lock_fd);
    free(dir->path);
    *dir = (struct state_dir){.lock_fd = -1};
}

long state_dir_active_pid(const struct settings *settings)
{
    char *path = state_dir_file(settings, "lock");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    free(path);
    if (fd < 0)
        return 0;
    long pid = 0;
    struct flock lock = whole_file;
    if (fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK)
        pid = read_pid(fd);
    close(fd);
    return pid;
}

char *state_dir_file(const struct settings *settings, const char *file)
{
    struct buf path = {0};
    buf_printf(&path, "%s/%s", settings->state_dir, settings->name);
    if (file)
        buf_printf(&path, "/%s", file);
    buf_put_u8(&path, '\0');
    return (char *)path.data;
}

static void forget(const struct state_dir *dir, const char *file)
{
    char *path = NULL;
    if (asprintf(&path, "%s/%s", dir->path, file) >= 0)
        unlink(path);
    free(path);
}

void state_dir_forget_run(const struct state_dir *dir)
{
    forget(dir, "run.json");
    state_dir_forget_evictions(dir);
}

void state_dir_forget_evictions(const struct state_dir *dir)
{
    forget(dir, "evictions");
}
