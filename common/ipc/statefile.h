/* Files in the state directory that are shared memory of a worker, its successor and the supervisor.
 *
 * Made with mode 0600, close-on-exec, and preallocated before anything is written through a mapping: a
 * full disk is an error with text, never a SIGBUS. They outlive every process but not the machine: what
 * an earlier boot left may be torn, so each carries the id of the boot that wrote it. */
#ifndef DF2REDIS_COMMON_IPC_STATEFILE_H
#define DF2REDIS_COMMON_IPC_STATEFILE_H

#include <stdatomic.h>
#include <sys/types.h>

#include "common/base/error.h"
#include "common/base/mem.h"

/* Large enough for every page size, so that what follows a file's header can be mapped on its own. */
#define STATEFILE_HEADER_BYTES 65536u

/* DIRECTORY/NAME; the caller frees it. */
char *statefile_path(const char *directory, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* open(2) with O_CLOEXEC, mode 0600 and EINTR handled; -1 and ERROR_FATAL saying what to do. A file that
 * is not there (without O_CREAT, in a directory that is) is ERROR_RETRY. */
int statefile_open(const char *directory, const char *path, int flags, struct error *error);

/* Allocates the disk space of [offset, offset + bytes). A full disk, quota or file size limit: ERROR_RETRY with what to
 * do; the file keeps its length. */
bool statefile_allocate(int fd, uint64_t offset, uint64_t bytes, const char *directory, const char *path,
                        struct error *error);

/* Fills *error for a failed operation on a state file: ERROR_RETRY for a lack of space, then with
 * the exit code EX_IOERR, too, else ERROR_FATAL. */
void statefile_explain(struct error *error, const char *directory, const char *path, const char *doing,
                       int errnum);
/* The same, and returns false. */
static inline bool statefile_error(struct error *error, const char *directory, const char *path,
                                   const char *doing, int errnum)
{
    statefile_explain(error, directory, path, doing, errnum);
    return false;
}

/* The id of the machine's current boot; all zero if the kernel does not provide it. */
#define STATEFILE_BOOT_BYTES 40
void statefile_boot_id(char out[STATEFILE_BOOT_BYTES]);
bool statefile_is_of_this_boot(const char boot_id[STATEFILE_BOOT_BYTES]);

/* A field through the mapping. A store has barriers for the compiler on both sides: what stands before it in
 * the program is in the file before it. A killed process has made all its stores up to that point, in order. */
static inline uint64_t statefile_load(const _Atomic uint64_t *field)
{
    return atomic_load_explicit((_Atomic uint64_t *)field, memory_order_relaxed);
}
static inline void statefile_store(_Atomic uint64_t *field, uint64_t v)
{
    atomic_signal_fence(memory_order_seq_cst);
    atomic_store_explicit(field, v, memory_order_release);
    atomic_signal_fence(memory_order_seq_cst);
}

#endif
