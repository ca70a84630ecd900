/* SPDX-License-Identifier: MIT */
/*
 * Values in foreign byte order at any address.
 *
 * ld / st, then the width (b 8, w 16, l 32, q 64 bit), then the order (le,
 * be).  Loads answer zero-extended values; ldsw, ldsl sign-extended ones.
 * Neither alignment nor aliasing matters: all go through memcpy, which the
 * compiler makes one instruction.
 */
#ifndef UTIL_BSWAP_H
#define UTIL_BSWAP_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t bswap16(uint16_t v) { return __builtin_bswap16(v); }
static inline uint32_t bswap32(uint32_t v) { return __builtin_bswap32(v); }
static inline uint64_t bswap64(uint64_t v) { return __builtin_bswap64(v); }

static inline uint8_t ldub_p(const void *p) { return *(const uint8_t *)p; }
static inline void stb_p(void *p, uint8_t v) { *(uint8_t *)p = v; }

#define BSWAP_ACCESS(letter, bits, order) \
    static inline uint##bits##_t ld##letter##_##order##_p(const void *p) \
    { \
        uint##bits##_t v; \
        memcpy(&v, p, sizeof(v)); \
        return order##bits##toh(v); \
    } \
    static inline void st##letter##_##order##_p(void *p, uint##bits##_t v) \
    { \
        v = hto##order##bits(v); \
        memcpy(p, &v, sizeof(v)); \
    }

/* lduw_le_p, stw_le_p, ldl_be_p, stq_be_p, ... */
BSWAP_ACCESS(l, 32, le)
BSWAP_ACCESS(l, 32, be)
BSWAP_ACCESS(q, 64, le)
BSWAP_ACCESS(q, 64, be)
BSWAP_ACCESS(uw, 16, le)
BSWAP_ACCESS(uw, 16, be)
#undef BSWAP_ACCESS

static inline void stw_le_p(void *p, uint16_t v) { stuw_le_p(p, v); }
static inline void stw_be_p(void *p, uint16_t v) { stuw_be_p(p, v); }
static inline int16_t ldsw_le_p(const void *p) { return (int16_t)lduw_le_p(p); }
static inline int16_t ldsw_be_p(const void *p) { return (int16_t)lduw_be_p(p); }
static inline int32_t ldsl_le_p(const void *p) { return (int32_t)ldl_le_p(p); }
static inline int32_t ldsl_be_p(const void *p) { return (int32_t)ldl_be_p(p); }

/* Any of the four sizes (1, 2, 4, 8 bytes), little endian. */
static inline uint64_t ldn_le_p(const void *p, unsigned size)
{
    uint64_t v = 0;

    memcpy(&v, p, size);
    return le64toh(v);
}

static inline void stn_le_p(void *p, unsigned size, uint64_t v)
{
    v = htole64(v);
    memcpy(p, &v, size);
}

#endif
