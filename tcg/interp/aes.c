/* SPDX-License-Identifier: MIT */
/* One AES step (FIPS 197) as Arm's instructions cut it; the tables are computed from the field. */
#include "tcg/interp/eval.h"

#include <glib.h>

static uint8_t gf_mul(uint8_t x, uint8_t y)
{
    uint8_t r = 0;

    for (; y; y >>= 1, x = (uint8_t)(x << 1 ^ (x & 0x80 ? 0x1b : 0))) {
        r ^= y & 1 ? x : 0;
    }
    return r;
}

static uint8_t sbox[256], inverse_sbox[256];

static void make_tables(void)
{
    for (unsigned x = 0; x < 256; x++) {
        uint8_t inv = 0, s;

        for (unsigned y = 1; x && y < 256 && !inv; y++) {
            inv = gf_mul((uint8_t)x, (uint8_t)y) == 1 ? (uint8_t)y : 0;
        }
        s = inv;
        for (unsigned n = 1; n <= 4; n++) {
            s ^= (uint8_t)(inv << n | inv >> (8 - n));
        }
        s ^= 0x63;
        sbox[x] = s;
        inverse_sbox[s] = (uint8_t)x;
    }
}

static void mix(const uint8_t row[4], const TcgVal *x, TcgVal *out)
{
    for (unsigned c = 0; c < 4; c++) {
        for (unsigned r = 0; r < 4; r++) {
            uint8_t v = 0;

            for (unsigned k = 0; k < 4; k++) {
                v ^= gf_mul(x->b[4 * c + k], row[(k - r) & 3]);
            }
            out->b[4 * c + r] = v;
        }
    }
}

void tcg_aes(unsigned kind, const TcgVal *x, const TcgVal *key, TcgVal *out)
{
    static gsize once;
    static const uint8_t forward[4] = { 2, 3, 1, 1 }, backward[4] = { 14, 11, 13, 9 };

    if (g_once_init_enter(&once)) {
        make_tables();
        g_once_init_leave(&once, 1);
    }
    if (kind == IR_AESMC || kind == IR_AESIMC) {
        mix(kind == IR_AESMC ? forward : backward, x, out);
        return;
    }
    for (unsigned c = 0; c < 4; c++) {
        for (unsigned r = 0; r < 4; r++) {
            unsigned from = 4 * ((kind == IR_AESE ? c + r : c - r) & 3) + r;
            uint8_t v = x->b[from] ^ key->b[from];

            out->b[4 * c + r] = kind == IR_AESE ? sbox[v] : inverse_sbox[v];
        }
    }
}
