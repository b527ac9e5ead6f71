/* How much was ever read from a FLOW's socket: the kernel knows, whoever read it and whether or not it
 * lived to say so. */
#ifndef DF2REDIS_WORKER_SOURCE_RECEIVED_H
#define DF2REDIS_WORKER_SOURCE_RECEIVED_H

#include <stdbool.h>
#include <stdint.h>

/* Bytes that read(2) has handed out of this TCP socket since it was connected. Exact while nobody reads
 * from it. False (errno set) for anything but TCP, or a kernel that does not count. */
bool received_from_kernel(int fd, uint64_t *bytes);

#endif
