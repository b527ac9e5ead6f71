/* Pid file, user and limits. */
#include "supervisor/service/service.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/ipc/statefile.h"
#include "supervisor/log/log_output.h"

static char *pid_path;
static int pid_fd = -1;

/* The file stays locked while the process lives; the file of a dead process is overwritten. */
static bool write_pid(const char *path, struct error *error)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    char text[32];
    int len = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    pid_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (pid_fd >= 0 && fcntl(pid_fd, F_OFD_SETLK, &lock) != 0)
        return error_fatal(error, EX_TEMPFAIL,
                           "the pid file %s belongs to a running process: stop it, or give another --pidfile",
                           path);
    if (pid_fd < 0 || fchmod(pid_fd, 0644) != 0 || ftruncate(pid_fd, 0) != 0 ||
        pwrite(pid_fd, text, (size_t)len, 0) != len)
        return error_fatal(error, errno == EACCES ? EX_NOPERM : EX_CANTCREAT,
                           "cannot write the pid file %s: %s", path, strerror(errno));
    pid_path = x_strdup(path);
    return true;
}

/* In a directory that only the first user may write to, the file is emptied in place of being removed. */
void service_end(void)
{
    if (pid_path && unlink(pid_path) != 0 && ftruncate(pid_fd, 0) != 0)
        log_debug("the pid file %s stays: %s", pid_path, strerror(errno));
    free(pid_path);
    pid_path = NULL;
    if (pid_fd >= 0)
        close(pid_fd);
    pid_fd = -1;
    log_end();
    log_output_close();
}

/* Returns the user to become; NULL and *ok: no change of user. */
static const struct passwd *find_user(const struct settings *settings, bool *ok, struct error *error)
{
    bool root = geteuid() == 0;
    const char *name = settings->user ? settings->user : SERVICE_USER;
    *ok = true;
    if (!settings->user && !(settings->daemon && root))
        return NULL;
    const struct passwd *user = getpwnam(name);
    if (user && (root || user->pw_uid == geteuid()))
        return user->pw_uid == geteuid() ? NULL : user;
    if (!user && !settings->user)
        return NULL;
    *ok = user ? error_fatal(error, EX_NOPERM, "user: only root can become %s", name)
               : error_fatal(error, EX_NOUSER, "user: there is no user %.80s on this system", name);
    return NULL;
}

static bool give_state_dir(const char *path, const struct passwd *user, struct error *error)
{
    if (mkdir(path, 0755) != 0)
        return errno == EEXIST || errno == ENOENT ||
               error_fatal(error, EX_CANTCREAT, "cannot make the state directory %s: %s", path,
                           strerror(errno));
    /* The daemon's umask would allow less. */
    if (chmod(path, 0755) == 0 && chown(path, user->pw_uid, user->pw_gid) == 0)
        return true;
    return error_fatal(error, EX_CANTCREAT, "cannot give the state directory %s to %s: %s", path,
                       user->pw_name, strerror(errno));
}

static bool become_user(const struct passwd *user, struct error *error)
{
    if (initgroups(user->pw_name, user->pw_gid) != 0 ||
        setresgid(user->pw_gid, user->pw_gid, user->pw_gid) != 0 ||
        setresuid(user->pw_uid, user->pw_uid, user->pw_uid) != 0)
        return error_fatal(error, EX_OSERR, "cannot become the user %s: %s", user->pw_name, strerror(errno));
    if (user->pw_uid != 0 && setuid(0) == 0)
        return error_fatal(error, EX_OSERR, "root's rights came back after becoming the user %s",
                           user->pw_name);
    return true;
}

/* Keys, values and passwords are in memory: no core files, unless the operator raises the soft limit again (prlimit
 * --core). Child processes cannot gain rights. */
static void set_limits(void)
{
    struct rlimit core;
    if (getrlimit(RLIMIT_CORE, &core) == 0) {
        core.rlim_cur = 0;
        setrlimit(RLIMIT_CORE, &core);
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        log_warning("no_new_privs cannot be set: %s", strerror(errno));
}

/* The workers' files carry the boot id: after a reboot their last pages may be lost. */
static void check_boot_id(void)
{
    char id[STATEFILE_BOOT_BYTES];
    statefile_boot_id(id);
    if (!*id)
        log_warning(
            "/proc/sys/kernel/random/boot_id cannot be read: files torn by a power failure will not be "
            "recognised; make it readable (with systemd no ProcSubset=pid), or remove the run's flow-* "
            "files after a reboot");
}

bool service_begin(const struct settings *settings, struct error *error)
{
    bool ok;
    if (settings->pid_file && !write_pid(settings->pid_file, error))
        return false;
    const struct passwd *user = find_user(settings, &ok, error);
    if (!ok || (user && (!give_state_dir(settings->state_dir, user, error) || !become_user(user, error))))
        return false;
    /* Only now: in a directory of its own the user could have root open any file by a link. */
    if (!log_output_open(settings, error))
        return false;
    if (settings->daemon && geteuid() == 0)
        log_warning("this daemon keeps the rights of root: add a user %s, or name one with --user",
                    SERVICE_USER);
    check_boot_id();
    set_limits();
    return true;
}
