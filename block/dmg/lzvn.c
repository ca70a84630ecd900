/* SPDX-License-Identifier: MIT */
/*
 * LZVN: each code says how many plain bytes follow it (L), how many are then
 * copied (M) and from how far back (D; absent: as far as the copy before).
 *
 *     LLMMMDDD DDDDDDDD               short way back; DDD is neither 110 nor 111
 *     LLMMM110                        as far as before; LL is not 0
 *     LLMMM111 DDDDDDDD DDDDDDDD      little endian
 *     101LLMMM DDDDDDMM DDDDDDDD      the length has 5 bits, the way 14
 *     1110LLLL  11100000 LLLLLLLL     plain bytes only; the longer form adds 16
 *     1111MMMM  11110000 MMMMMMMM     a copy only
 *     00000110                        the end, with seven bytes of zeroes
 *     00001110  00010110              nothing
 */
#include "block/dmg/lzfse.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

enum { LEAST_COPY = 3, LONG_FORM = 16, END = 0x06, NOTHING_1 = 0x0e, NOTHING_2 = 0x16 };

typedef struct {
    unsigned bytes;                 /* of the code itself; 0: no such code */
    size_t plain, copy, back;       /* back 0: as before */
} Code;

int lz_literals(LzOut *o, const uint8_t *from, size_t n)
{
    if (n > o->room - o->len) {
        return -EIO;
    }
    memcpy(o->bytes + o->len, from, n);
    o->len += n;
    return 0;
}

int lz_copy(LzOut *o, size_t back, size_t n)
{
    uint8_t *to = o->bytes + o->len;

    if (!n) {
        return 0;
    }
    if (!back || back > o->len || n > o->room - o->len) {
        return -EIO;
    }
    o->len += n;
    if (back >= n) {
        memcpy(to, to - back, n);
        return 0;
    }
    for (; n; n--, to++) {              /* what is copied is being made */
        *to = *(to - back);
    }
    return 0;
}

static Code code_at(const uint8_t *p, size_t len)
{
    uint8_t c = p[0], one = len > 1 ? p[1] : 0, two = len > 2 ? p[2] : 0;
    size_t plain = c >> 6, copy = (c >> 3 & 7) + LEAST_COPY;

    switch (c >> 4) {
    case 0x7:
    case 0xd:
        return (Code){};
    case 0xa:
    case 0xb:
        return (Code){ 3, c >> 3 & 3, ((c & 7u) << 2 | (one & 3)) + LEAST_COPY, one >> 2 | two << 6 };
    case 0xe:
        return c & 15 ? (Code){ 1, c & 15, 0, 0 } : (Code){ 2, one + (size_t)LONG_FORM, 0, 0 };
    case 0xf:
        return c & 15 ? (Code){ 1, 0, c & 15, 0 } : (Code){ 2, 0, one + (size_t)LONG_FORM, 0 };
    default:
        break;
    }
    if (c == NOTHING_1 || c == NOTHING_2) {
        return (Code){ 1, 0, 0, 0 };
    }
    if ((c & 7) == 7) {
        return (Code){ 3, plain, copy, one | two << 8 };
    }
    if ((c & 7) == 6) {
        return plain ? (Code){ 1, plain, copy, 0 } : (Code){};
    }
    return (Code){ 2, plain, copy, (c & 7u) << 8 | one };
}

int lzvn_unpack(LzOut *o, const uint8_t *in, size_t in_len)
{
    size_t back = 0;
    int r = 0;

    for (size_t i = 0; i < in_len && r == 0;) {
        Code c;

        if (in[i] == END) {
            return 0;
        }
        c = code_at(in + i, in_len - i);
        if (!c.bytes || c.bytes + c.plain > in_len - i) {
            return -EIO;
        }
        back = c.back ? c.back : back;
        r = lz_literals(o, in + i + c.bytes, c.plain);
        r = r ? r : lz_copy(o, back, c.copy);
        i += c.bytes + c.plain;
    }
    return r ? r : -EIO;                /* no end */
}
