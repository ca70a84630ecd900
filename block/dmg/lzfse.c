/* SPDX-License-Identifier: MIT */
/*
 * LZFSE, as Apple published it in 2016.  A stream is a row of blocks, each with four letters in front:
 *
 *     bvx-  plain bytes          bvxn  LZVN          bvx2  as below          bvx$  the end
 *
 * A bvx2 block has two strings of bits: its plain bytes, and triples of how many of those come next (L), how many bytes are
 * copied (M) and from how far back (D; 0: as far as before).  Both are coded with finite state entropy: a symbol with the
 * frequency f owns f of the coder's states; a state says its symbol, how many bits to take, and with what to add them to
 * get the next state.  L, M and D have more bits of their own after those.  Strings are read from their end to their begin.
 *
 * (bvx1, the same with its frequencies unpacked, is in the published description and made by nobody: refused.)
 */
#include "block/dmg/lzfse.h"

#include <errno.h>
#include <glib.h>
#include <stdbool.h>
#include <string.h>

#include "util/bits.h"
#include "util/bswap.h"

enum {
    L_SYMBOLS = 20, M_SYMBOLS = 20, D_SYMBOLS = 64, P_SYMBOLS = 256, SYMBOLS = L_SYMBOLS + M_SYMBOLS + D_SYMBOLS + P_SYMBOLS,
    L_STATES = 64, M_STATES = 64, D_STATES = 256, P_STATES = 1024,
    B_RAW = 4, B_FIELDS = 8, B_FREQUENCIES = 32, N_PACKED = 8, N_HEADER = 12,
    MAX_PLAIN = 40000, MAX_TRIPLES = 10000, STRINGS = 4,
};

typedef struct {
    uint16_t symbol;
    uint8_t bits;                   /* to take for the next state */
    uint16_t add;
} State;

typedef struct {
    uint32_t raw, header, plain, plain_bytes, triples, triple_bytes;
    int plain_bits, triple_bits;    /* -7 to 0: of the last byte, that are not there */
    uint16_t plain_state[STRINGS], l, m, d;
    State ls[L_STATES], ms[M_STATES], ds[D_STATES], ps[P_STATES];
    uint8_t bytes[MAX_PLAIN + STRINGS];
} Block;

/* ---- bits, from the end of a string ---- */

typedef struct {
    const uint8_t *bytes;
    size_t len;
    int64_t left;                   /* bits; negative: more were taken than there were */
} Bits;

static uint32_t take(Bits *b, unsigned n)
{
    uint8_t near[8] = {};
    size_t at;

    b->left -= n;
    if (!n || b->left < 0) {
        return 0;
    }
    at = b->left / 8;
    memcpy(near, b->bytes + at, MIN(8, b->len - at));
    return (uint64_t)ldq_le_p(near) >> b->left % 8 & ((1u << n) - 1);
}

/* ---- tables ---- */

/*
 * The states of one symbol lie side by side, and together they lead to every state once: the first take one bit more than the rest.
 */
static bool make_states(State *s, unsigned states, const uint16_t *frequency, unsigned symbols)
{
    unsigned at = 0;

    for (unsigned i = 0; i < symbols; i++) {
        unsigned f = frequency[i], bits, more;

        if (!f) {
            continue;
        }
        if (f > states - at) {
            return false;
        }
        bits = 0;
        while (f << bits < states) {
            bits++;
        }
        more = (2 * states >> bits) - f;                    /* of the f states take `bits`, the others one less */
        for (unsigned k = 0; k < f; k++) {
            s[at++] = k < more ? (State){ i, bits, ((f + k) << bits) - states } : (State){ i, bits - 1, (k - more) << (bits - 1) };
        }
    }
    return at == states;
}

/* Frequencies: 0 and 1 in two bits, 2 and 3 in three, 4 to 7 in five, 8 to 23 in eight, the rest in fourteen. */
static unsigned frequency_of(uint32_t w, uint16_t *out)
{
    switch (w & 15) {
    case 7:
        *out = 8 + (w >> 4 & 15);
        return 8;
    case 15:
        *out = 24 + (w >> 4 & 0x3ff);
        return 14;
    default:
        break;
    }
    if (!(w & 1)) {
        *out = w >> 1 & 1;
        return 2;
    }
    if ((w & 3) == 1) {
        *out = 2 + (w >> 2 & 1);
        return 3;
    }
    *out = 4 + (w >> 3 & 3);
    return 5;
}

static bool make_tables(Block *b, const uint8_t *in, size_t len)
{
    uint16_t f[SYMBOLS];
    size_t at = 0;                                          /* bits */

    for (unsigned i = 0; i < SYMBOLS; i++) {
        uint8_t near[4] = {};

        memcpy(near, in + at / 8, MIN(4, len - at / 8));
        at += frequency_of((uint32_t)ldl_le_p(near) >> at % 8, &f[i]);
        if (at > len * 8) {
            return false;
        }
    }
    return make_states(b->ls, L_STATES, f, L_SYMBOLS) && make_states(b->ms, M_STATES, f + L_SYMBOLS, M_SYMBOLS) && make_states(b->ds, D_STATES, f + L_SYMBOLS + M_SYMBOLS, D_SYMBOLS)
           && make_states(b->ps, P_STATES, f + L_SYMBOLS + M_SYMBOLS + D_SYMBOLS, P_SYMBOLS);
}

/* ---- a block's header ---- */

static bool read_header(Block *b, const uint8_t *in, size_t len)
{
    uint64_t one, two, three;

    if (len < B_FREQUENCIES) {
        return false;
    }
    one = ldq_le_p(in + B_FIELDS);
    two = ldq_le_p(in + B_FIELDS + 8);
    three = ldq_le_p(in + B_FIELDS + 16);
    b->raw = ldl_le_p(in + B_RAW);
    b->plain = extract64(one, 0, 20);
    b->plain_bytes = extract64(one, 20, 20);
    b->triples = extract64(one, 40, 20);
    b->plain_bits = (int)extract64(one, 60, 3) - 7;
    for (unsigned i = 0; i < STRINGS; i++) {
        b->plain_state[i] = extract64(two, i * 10, 10);
    }
    b->triple_bytes = extract64(two, 40, 20);
    b->triple_bits = (int)extract64(two, 60, 3) - 7;
    b->header = three;
    b->l = extract64(three, 32, 10);
    b->m = extract64(three, 42, 10);
    b->d = extract64(three, 52, 10);
    return b->header >= B_FREQUENCIES && b->header <= len && b->plain_bytes <= len - b->header && b->triple_bytes <= len - b->header - b->plain_bytes
           && b->plain <= MAX_PLAIN && b->triples <= MAX_TRIPLES && b->l < L_STATES && b->m < M_STATES && b->d < D_STATES
           && make_tables(b, in + B_FREQUENCIES, b->header - B_FREQUENCIES);
}

/* ---- its strings ---- */

/* Four coders take turns. */
static bool read_plain(Block *b, const uint8_t *in)
{
    Bits bits = { in, b->plain_bytes, (int64_t)b->plain_bytes * 8 + b->plain_bits };

    for (unsigned i = 0; i < b->plain; i++) {
        uint16_t *state = &b->plain_state[i % STRINGS];
        const State *s = &b->ps[*state];

        b->bytes[i] = s->symbol;
        *state = s->add + take(&bits, s->bits);
    }
    return bits.left >= 0;
}

/* A symbol of a length stands for itself below 16; the last four for ranges: where one begins, and how many bits say where in it. */
typedef struct {
    uint16_t first[4];
    uint8_t bits[4];
} Ranges;

static uint32_t next_length(const State *states, uint16_t *state, const Ranges *ranges, Bits *bits)
{
    const State *s = &states[*state];

    *state = s->add + take(bits, s->bits);
    return s->symbol < 16 ? s->symbol : ranges->first[s->symbol - 16] + take(bits, ranges->bits[s->symbol - 16]);
}

/* Four ranges of each length: of 1, of 2, of 4 ... */
static uint32_t next_back(Block *b, Bits *bits)
{
    const State *s = &b->ds[b->d];
    unsigned n = s->symbol / 4;

    b->d = s->add + take(bits, s->bits);
    return 4 * ((1u << n) - 1) + (s->symbol % 4u << n) + take(bits, n);
}

static int read_triples(Block *b, const uint8_t *in, LzOut *o)
{
    static const Ranges of_plain = { { 16, 20, 28, 60 }, { 2, 3, 5, 8 } }, of_copies = { { 16, 24, 56, 312 }, { 3, 5, 8, 11 } };
    Bits bits = { in, b->triple_bytes, (int64_t)b->triple_bytes * 8 + b->triple_bits };
    size_t used = 0, back = 0;
    int r = 0;

    for (unsigned i = 0; i < b->triples && r == 0; i++) {
        size_t plain = next_length(b->ls, &b->l, &of_plain, &bits), copy = next_length(b->ms, &b->m, &of_copies, &bits), way = next_back(b, &bits);

        if (bits.left < 0 || plain > b->plain - used) {
            return -EIO;
        }
        back = way ? way : back;
        r = lz_literals(o, b->bytes + used, plain);
        r = r ? r : lz_copy(o, back, copy);
        used += plain;
    }
    return r;
}

static int packed_block(const uint8_t *in, size_t len, LzOut *o, size_t *took)
{
    g_autofree Block *b = g_try_malloc(sizeof(Block));
    size_t before = o->len;
    int r;

    if (!b) {
        return -ENOMEM;
    }
    if (!read_header(b, in, len) || !read_plain(b, in + b->header)) {
        return -EIO;
    }
    r = read_triples(b, in + b->header + b->plain_bytes, o);
    *took = (size_t)b->header + b->plain_bytes + b->triple_bytes;
    return r || o->len - before == b->raw ? r : -EIO;
}

/* ---- blocks ---- */

static int lzvn_block(const uint8_t *in, size_t len, LzOut *o, size_t *took)
{
    size_t before = o->len, packed = len < N_HEADER ? 0 : (uint32_t)ldl_le_p(in + N_PACKED);
    int r;

    if (len < N_HEADER || packed > len - N_HEADER) {
        return -EIO;
    }
    *took = N_HEADER + packed;
    r = lzvn_unpack(o, in + N_HEADER, packed);
    return r || o->len - before == (uint32_t)ldl_le_p(in + B_RAW) ? r : -EIO;
}

static int plain_block(const uint8_t *in, size_t len, LzOut *o, size_t *took)
{
    size_t raw = len < 8 ? 0 : (uint32_t)ldl_le_p(in + B_RAW);

    if (len < 8 || raw > len - 8) {
        return -EIO;
    }
    *took = 8 + raw;
    return lz_literals(o, in + 8, raw);
}

int lzfse_unpack(uint8_t *out, size_t out_len, const uint8_t *in, size_t in_len)
{
    LzOut o = { out, 0, out_len };
    int r = 0;

    while (r == 0 && in_len >= 4 && memcmp(in, "bvx$", 4)) {
        size_t took = 0;

        r = !memcmp(in, "bvx2", 4) ? packed_block(in, in_len, &o, &took) : !memcmp(in, "bvxn", 4) ? lzvn_block(in, in_len, &o, &took)
            : !memcmp(in, "bvx-", 4) ? plain_block(in, in_len, &o, &took) : -EIO;
        in += took;
        in_len -= took;
    }
    return r ? r : o.len == out_len ? 0 : -EIO;
}
