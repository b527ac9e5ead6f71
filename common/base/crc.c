/* CRC-64 (Jones) by carry-less multiplication where the processor has it, else by slicing 16 bytes at a
 * time; CRC-16 (XMODEM) by table.
 *
 * Both work on reflected CRC-64: bit 63 of a word stands for x^0. Folding replaces the front 128 bits of the
 * message by what is congruent to them some 512 (or 128) bits further back: the front's two words are
 * multiplied by x^(D+63) and x^(D-1) mod P (one less than the distance, because the product of two reflected
 * 64-bit words comes out shifted by one) and xored onto what lies there. The last 128 bits go through the
 * table. */
#include "common/base/crc.h"

#include <stdbool.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define POLY UINT64_C(0x95ac9329ac4bc9b5) /* 0xad93d23594c935a9, reflected */

enum { SLICES = 16, SLICES_16 = 4, FOLD_MIN_BYTES = 32, FOLD_FAR_BYTES = 64 };

static struct {
    bool ready, fold;
    uint64_t slice[SLICES][256];
    uint64_t fold512[2], fold128[2];
    uint16_t crc16[SLICES_16][256];
} tables;

static uint64_t times_x(uint64_t v)
{
    return (v >> 1) ^ (v & 1 ? POLY : 0);
}

static uint64_t power_of_x(unsigned n)
{
    uint64_t v = UINT64_C(1) << 63;
    while (n--)
        v = times_x(v);
    return v;
}

static void prepare_tables(void)
{
    for (unsigned i = 0; i < 256; i++) {
        uint64_t v = i;
        unsigned w = i << 8;
        for (int bit = 0; bit < 8; bit++) {
            v = times_x(v);
            w = w << 1 ^ (w & 0x8000 ? 0x1021u : 0);
        }
        tables.slice[0][i] = v;
        tables.crc16[0][i] = (uint16_t)w;
    }
    for (unsigned s = 1; s < SLICES; s++)
        for (unsigned i = 0; i < 256; i++) {
            uint64_t v = tables.slice[s - 1][i];
            tables.slice[s][i] = tables.slice[0][v & 0xff] ^ v >> 8;
        }
    for (unsigned s = 1; s < SLICES_16; s++)
        for (unsigned i = 0; i < 256; i++) {
            uint16_t v = tables.crc16[s - 1][i];
            tables.crc16[s][i] = (uint16_t)(tables.crc16[0][v >> 8] ^ v << 8);
        }
    for (unsigned i = 0; i < 2; i++) {
        tables.fold512[i] = power_of_x(512 + 64 - 64 * i - 1);
        tables.fold128[i] = power_of_x(128 + 64 - 64 * i - 1);
    }
#if defined(__x86_64__)
    __builtin_cpu_init();
    tables.fold = __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
#endif
    tables.ready = true;
}

static uint64_t load64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    return v;
}

static uint32_t load32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap32(v);
#endif
    return v;
}

static uint64_t by_slices(uint64_t crc, const uint8_t *p, size_t len)
{
    while (len >= SLICES) {
        uint64_t a = load64(p) ^ crc, b = load64(p + 8);
        crc = 0;
#pragma GCC unroll 8
        for (unsigned i = 0; i < 8; i++) {
            crc ^= tables.slice[15 - i][a >> 8 * i & 0xff];
            crc ^= tables.slice[7 - i][b >> 8 * i & 0xff];
        }
        p += SLICES;
        len -= SLICES;
    }
    if (len >= 8) {
        uint64_t a = load64(p) ^ crc;
        crc = 0;
#pragma GCC unroll 8
        for (unsigned i = 0; i < 8; i++)
            crc ^= tables.slice[7 - i][a >> 8 * i & 0xff];
        p += 8;
        len -= 8;
    }
    if (len >= 4) {
        uint32_t a = load32(p) ^ (uint32_t)crc;
        crc >>= 32;
#pragma GCC unroll 4
        for (unsigned i = 0; i < 4; i++)
            crc ^= tables.slice[3 - i][a >> 8 * i & 0xff];
        p += 4;
        len -= 4;
    }
    while (len--)
        crc = tables.slice[0][(crc ^ *p++) & 0xff] ^ crc >> 8;
    return crc;
}

#if defined(__x86_64__)
__attribute__((target("pclmul,sse4.1"))) static inline __m128i fold(__m128i x, __m128i k, __m128i next)
{
    __m128i front = _mm_clmulepi64_si128(x, k, 0x00), back = _mm_clmulepi64_si128(x, k, 0x11);
    return _mm_xor_si128(_mm_xor_si128(front, back), next);
}

__attribute__((target("pclmul,sse4.1"))) static inline __m128i at(const uint8_t *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

__attribute__((target("pclmul,sse4.1"))) static uint64_t by_folding(uint64_t crc, const uint8_t *p,
                                                                    size_t len)
{
    const __m128i far = at((const uint8_t *)tables.fold512), near = at((const uint8_t *)tables.fold128);
    __m128i a = _mm_xor_si128(at(p), _mm_set_epi64x(0, (long long)crc));
    if (len >= FOLD_FAR_BYTES) {
        __m128i b = at(p + 16), c = at(p + 32), d = at(p + 48);
        for (p += 64, len -= 64; len >= 64; p += 64, len -= 64) {
            a = fold(a, far, at(p));
            b = fold(b, far, at(p + 16));
            c = fold(c, far, at(p + 32));
            d = fold(d, far, at(p + 48));
        }
        a = fold(fold(fold(a, near, b), near, c), near, d);
    } else {
        p += 16;
        len -= 16;
    }
    for (; len >= 16; p += 16, len -= 16)
        a = fold(a, near, at(p));
    uint8_t rest[16];
    _mm_storeu_si128((__m128i *)(void *)rest, a);
    return by_slices(by_slices(0, rest, sizeof rest), p, len);
}
#endif

uint64_t crc64(uint64_t crc, const void *data, size_t len)
{
    if (!tables.ready)
        prepare_tables();
#if defined(__x86_64__)
    if (tables.fold && len >= FOLD_MIN_BYTES)
        return by_folding(crc, data, len);
#endif
    return by_slices(crc, data, len);
}

uint16_t crc16(const void *data, size_t len)
{
    if (!tables.ready)
        prepare_tables();
    const uint8_t *p = data;
    unsigned crc = 0;
    for (; len >= SLICES_16; len -= SLICES_16, p += SLICES_16)
        crc = tables.crc16[3][(crc >> 8) ^ p[0]] ^ tables.crc16[2][(crc & 0xff) ^ p[1]] ^
              tables.crc16[1][p[2]] ^ tables.crc16[0][p[3]];
    while (len--)
        crc = (crc << 8 & 0xffff) ^ tables.crc16[0][(crc >> 8 ^ *p++) & 0xff];
    return (uint16_t)crc;
}
