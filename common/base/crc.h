/* CRC-64 (Jones, reflected, as Redis RESTORE payloads use it) and CRC-16 (XMODEM, as Redis Cluster slots). */
#ifndef DF2REDIS_COMMON_BASE_CRC_H
#define DF2REDIS_COMMON_BASE_CRC_H

#include <stddef.h>
#include <stdint.h>

/* Start with crc = 0; may be continued over several pieces. At least 2 GB/s (slicing or carry-less
 * multiply, chosen at the first call). */
uint64_t crc64(uint64_t crc, const void *data, size_t len);
uint16_t crc16(const void *data, size_t len);

#endif
