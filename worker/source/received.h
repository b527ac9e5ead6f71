/* How much was ever read from a FLOW's socket, by any process, from the kernel's counters: a worker may have died
 * between read(2) and storing the number. */
#ifndef DF2REDIS_WORKER_SOURCE_RECEIVED_H
#define DF2REDIS_WORKER_SOURCE_RECEIVED_H

#include <stdbool.h>
#include <stdint.h>

/* Bytes that read(2) has returned from this TCP socket since it was connected. Exact while no process reads from it.
 * False, with errno, if the socket is not TCP or the kernel has no such counter. */
bool received_from_kernel(int fd, uint64_t *bytes);

#endif
