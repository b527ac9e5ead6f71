/* Landlock for files and signals, and a seccomp filter for system calls that a worker does not need: programs, other
 * processes, privileges, the kernel. The filter is a list of forbidden calls, which fail with EPERM: a list of allowed
 * calls would break with the next libc. */
#include "worker/confine.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/landlock.h"

#if defined(__x86_64__)
#define CONFINE_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define CONFINE_ARCH AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define CONFINE_ARCH AUDIT_ARCH_RISCV64
#endif

/* For name resolution and certificates; /run for files that /etc/resolv.conf may link to. Not /proc, which has the
 * environments of other processes. */
static const char *const readable[] = {"/etc",
                                       "/usr",
                                       "/lib",
                                       "/lib64",
                                       "/run",
                                       "/var/lib/ca-certificates",
                                       "/proc/sys/kernel/random",
                                       "/dev/urandom",
                                       "/dev/null",
                                       NULL};

static bool restrict_files(const struct settings *s, const char *directory, struct error *error)
{
    int version = landlock_version();
    if (!version) {
        log_debug("the kernel has no Landlock: files are not confined");
        return true;
    }
    int ruleset = landlock_begin(version);
    bool ok = ruleset >= 0 && landlock_allow(ruleset, version, directory, true);
    for (const char *const *path = readable; ok && *path; path++)
        ok = landlock_allow(ruleset, version, *path, false);
    const char *const own[] = {s->tls_ca_file, s->tls_cert_file, s->tls_key_file};
    for (size_t i = 0; ok && i < sizeof own / sizeof *own; i++)
        ok = !own[i] || landlock_allow(ruleset, version, own[i], false);
    if (ok)
        return landlock_enforce(ruleset) ||
               error_fatal(error, EX_OSERR, "confining a worker by Landlock: %s; --confine off disables it",
                           strerror(errno));
    int failure = errno;
    if (ruleset >= 0)
        close(ruleset);
    return error_fatal(error, EX_OSERR, "setting up Landlock for a worker: %s; --confine off disables it",
                       strerror(failure));
}

#ifdef CONFINE_ARCH
static const uint32_t forbidden[] = {
    /* programs and other processes */
    SYS_execve,
    SYS_execveat,
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_kcmp,
    SYS_pidfd_getfd,
    SYS_pidfd_send_signal,
    SYS_kill,
    SYS_setns,
    SYS_unshare,
    SYS_personality,
    /* rights */
    SYS_setuid,
    SYS_setgid,
    SYS_setreuid,
    SYS_setregid,
    SYS_setresuid,
    SYS_setresgid,
    SYS_setgroups,
    SYS_setfsuid,
    SYS_setfsgid,
    SYS_capset,
    SYS_add_key,
    SYS_request_key,
    SYS_keyctl,
    /* accepting connections */
    SYS_listen,
    SYS_accept,
    SYS_accept4,
    /* the system */
    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_chroot,
    SYS_swapon,
    SYS_swapoff,
    SYS_reboot,
    SYS_sethostname,
    SYS_setdomainname,
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_kexec_load,
    SYS_bpf,
    SYS_perf_event_open,
    SYS_userfaultfd,
    SYS_io_uring_setup,
    SYS_quotactl,
    SYS_acct,
    SYS_settimeofday,
    SYS_clock_settime,
    SYS_adjtimex,
    SYS_syslog,
    SYS_open_by_handle_at,
    SYS_fanotify_init,
    SYS_vhangup,
    SYS_mknodat,
    SYS_open_tree,
    SYS_move_mount,
    SYS_fsopen,
    SYS_fsmount,
    SYS_fspick,
};
enum { FORBIDDEN = sizeof forbidden / sizeof *forbidden, X32_BIT = 0x40000000 };

/* All calls of another architecture are refused, as their numbers differ. */
static bool restrict_calls(struct error *error)
{
    struct sock_filter code[FORBIDDEN + 8];
    unsigned short n = 0;
    const uint8_t to_deny = FORBIDDEN + 2; /* relative to the test of the architecture */
    code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
    code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, CONFINE_ARCH, 0, to_deny + 1);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32_BIT, FORBIDDEN + 1, 0);
    for (unsigned i = 0; i < FORBIDDEN; i++)
        code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, forbidden[i],
                                                 (uint8_t)(FORBIDDEN - i), 0);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    struct sock_fprog program = {.len = n, .filter = code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0)
        return true;
    if (errno != EINVAL && errno != ENOSYS)
        return error_fatal(error, EX_OSERR,
                           "filtering the system calls of a worker: %s; --confine off disables it",
                           strerror(errno));
    log_debug("the kernel has no seccomp: system calls are not confined");
    return true;
}
#else
static bool restrict_calls(struct error *error)
{
    (void)error;
    log_debug("system calls are not confined on this architecture");
    return true;
}
#endif

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CONFINE_NOT 1 /* LeakSanitizer ptraces its own process at exit */
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define CONFINE_NOT 1
#endif

bool confine_worker(const struct settings *settings, const char *directory, struct error *error)
{
#ifdef CONFINE_NOT
    log_debug("a build with AddressSanitizer is not confined");
    return true;
#endif
    return restrict_files(settings, directory, error) && restrict_calls(error);
}
