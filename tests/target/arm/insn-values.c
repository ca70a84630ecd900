/* SPDX-License-Identifier: MIT */
#include "tests/target/arm/insn-values.h"

#include <glib.h>
#include <string.h>

#include "target/arm/cpu.h"
#include "target/arm/disas.h"
#include "util/bits.h"

static uint64_t rng_state;

void rng_seed(uint64_t seed)
{
    rng_state = 0x9e3779b97f4a7c15ull ^ seed * 0x2545f4914f6cdd1dull;
}

uint64_t rng(void)
{
    rng_state ^= rng_state << 13;
    rng_state ^= rng_state >> 7;
    rng_state ^= rng_state << 17;
    return rng_state * 0x2545f4914f6cdd1dull;
}

/* ---- values ---- */
static const uint16_t corner16[] = { 0, 0x8000, 1, 0x8001, 0x3ff, 0x400, 0x83ff, 0x8400, 0x3c00, 0xbc00, 0x3bff, 0x3c01, 0x3800, 0x3e00, 0x4248, 0x7bff, 0xfbff, 0x7c00, 0xfc00, 0x7e00,
                                     0x7d01, 0xfe05, 0x7fff, 0x7800, 0x7400, 0x5bff, 0x4100 };
static const uint32_t corner32[] = { 0, 0x80000000, 1, 0x80000001, 0x7fffff, 0x800000, 0x807fffff, 0x80800000, 0x3f800000, 0xbf800000, 0x3f7fffff, 0x3f800001, 0x3f000000, 0x3fc00000,
                                     0x40490fdb, 0x7f7fffff, 0xff7fffff, 0x7f800000, 0xff800000, 0x7fc00000, 0x7fa00001, 0xffc00005, 0x7fffffff, 0x4f000000, 0xcf000000, 0x4effffff,
                                     0x5f000000, 0x5effffff, 0x40200000, 0x33800000, 0x38800000, 0x387fe000, 0x477ff000, 0x477fefff, 0x7e800000, 0x00400000 };
static const uint64_t corner64[] = { 0, 1ull << 63, 1, 0x800fffffffffffff, 0x0010000000000000, 0x000fffffffffffff, 0x3ff0000000000000, 0xbff0000000000000, 0x3fefffffffffffff,
                                     0x3ff0000000000001, 0x3fe0000000000000, 0x3ff8000000000000, 0x400921fb54442d18, 0x7fefffffffffffff, 0xffefffffffffffff, 0x7ff0000000000000,
                                     0xfff0000000000000, 0x7ff8000000000000, 0x7ff4000000000001, 0xfff8000000000005, 0x41dfffffffc00000, 0x41e0000000000000, 0xc1e0000000000000,
                                     0xc1e0000000200000, 0x43e0000000000000, 0x43dfffffffffffff, 0xc3e0000000000000, 0x43f0000000000000, 0x4004000000000000, 0x47efffffe0000000,
                                     0x47effffff0000000, 0x3810000000000000, 0x380fffffc0000000, 0x380fffffffffffff, 0xb80ffffff0000000, 0x380fffffe0000000, 0x36a0000000000000, 0x7fd0000000000000 };

bool tiny;

static uint64_t value64(void)
{
    static const uint8_t tiny_kinds[] = { 0, 2, 9, 9, 9, 9, 10, 10, 10, 10, 10, 11 };
    unsigned kind = tiny ? tiny_kinds[rng() % ARRAY_SIZE(tiny_kinds)] : rng() % 13;
    uint64_t v = 0;

    switch (kind) {
    case 0: case 1:
        return corner64[rng() % ARRAY_SIZE(corner64)];
    case 2: case 3:
        return corner32[rng() % ARRAY_SIZE(corner32)] | (uint64_t)corner32[rng() % ARRAY_SIZE(corner32)] << 32;
    case 4: case 5:
        for (unsigned i = 0; i < 64; i += 16) {
            v |= (uint64_t)corner16[rng() % ARRAY_SIZE(corner16)] << i;
        }
        return v;
    case 6:                                         /* small numbers: shift counts, saturation */
        for (unsigned i = 0; i < 64; i += 8 << rng() % 3) {
            v |= (uint64_t)(uint8_t)(rng() % 40 - 20) << i;
        }
        return v;
    case 7:                                         /* near numbers: cancellation */
        return 0x3ff0000000000000 + (rng() & 0x800f00000000ffff);
    case 8:
        return 0x3f8000003f800000 + (rng() & 0x8070000f8070000f);
    case 9:                                         /* products round to the smallest normal number, or nearly */
        return (0x2000000000000000 + rng() % 4 - 2) ^ (rng() & 1) << 63;
    case 10:
        return (0x2000000020000000 + rng() % 4 - 2 + ((rng() % 4 - 2) << 32)) ^ (rng() & 0x8000000080000000);
    case 11:                                        /* denormal, or nearly */
        return rng() & 1 ? (rng() & 0x8000000080000000) | (rng() & 0x0080000700800007) : (rng() & 1ull << 63) | (rng() & 0x001000000000000f);
    default:
        return rng();
    }
}

/* Atomic and ordered accesses: what a misaligned one does depends on FEAT_LSE2 and the memory type, and is not the question here. */
static bool aligned(uint32_t insn)
{
    return (insn & 0x3f000000) == 0x08000000 || (insn & 0x3f200c00) == 0x38200000 || (insn & 0x3f200c00) == 0x19000000;
}

void random_state(InsnRec *r, uint32_t insn, bool memory)
{
    memset(r, 0, sizeof(*r));
    for (unsigned i = 0; i < INSN_MAX; i++) {
        r->insn[i] = i ? INSN_NOP : insn;
    }
    r->count = 1;
    r->nzcv = (rng() & 15) << 28;
    r->fpcr = rng() & 1 ? 0 : ((rng() & 3) << 22) | (rng() & 1 ? 0 : (rng() & (FPCR_FZ | FPCR_DN | FPCR_AHP | FPCR_FZ16)));
    r->fpsr = rng() & 1 ? FPSR_IXC : 0;
    if (tiny && rng() & 1) {
        r->fpcr &= ~(uint64_t)(FPCR_FZ | FPCR_DN);
    }
    for (unsigned i = 0; i < 31; i++) {
        r->x[i] = value64();
    }
    for (unsigned i = 0; i < 32; i++) {
        r->v[i][0] = value64();
        r->v[i][1] = rng() & 1 ? value64() : r->v[i][0];
    }
    if (!(rng() & 3)) {                             /* equal operands */
        unsigned rn = insn >> 5 & 31, rm = insn >> 16 & 31;

        memcpy(r->v[rm], r->v[rn], 16);
    }
    for (unsigned i = 0; i < INSN_MEM; i += 8) {
        uint64_t v = value64();

        memcpy(r->mem + i, &v, 8);
    }
    if (memory) {
        unsigned rn = insn >> 5 & 31;

        if ((insn >> 16 & 31) < 31) {
            r->x[insn >> 16 & 31] = rng() & 15;
        }
        if (rn < 31) {
            r->x[rn] = INSN_MEM_BASE + 96 + (aligned(insn) ? 0 : rng() & 31);
        }
    }
}

/* ---- corner operands crossed with each other ---- */
static const uint64_t corner_int[] = { 0, 1, ~0ull, 2, 3, 0x7f, 0x80, 2047, 2048, 2049, 0x7fff, 0x8000, 0xffff, 65503, 65504, 65519, 65520, 0x7fffff, 0x800001, 0xffffff, 0x1000001, 0x1000003,
                                       0x7fffffff, 0x80000000, 0x80000001, 0xffffffff, 0x7fffff80, 0x7fffffbf, 0x7fffffc0, 0x1fffffffffffff, 0x20000000000001, 0x20000000000003, 0x7ffffffffffffdff,
                                       0x7ffffffffffffe00, 0x7fffffffffffffff, 1ull << 63, (1ull << 63) + 1, 0xfffffffffffff400, 0xfffffffffffffbff, 0xff7fffffff7fffff };
static const uint64_t corner_round64[] = { 0x41dfffffffe00000, 0xc1e0000000100000, 0x41efffffffe00000, 0x41effffffff00000, 0x3fdfffffffffffff, 0x400c000000000000, 0x41f0000000100000,
                                           0x4520000000000001,
                                           0x43f8000000000000, 0x433fffffffffffff, 0x4340000000000001, 0x4330000000000001, 0x43efffffffffffff, 0x41f0000000000000, 0x40f0000000000000,
                                           0x3ff0000010000000, 0x3ff0000030000000, 0x47efffffefffffff, 0x3690000000000000, 0x3690000000000001, 0x3ff0020000000000, 0x40effe0000000000,
                                           0x3e60000000000000 };     /* and halves of a unit of the narrower formats */
static const uint32_t corner_round32[] = { 0x3effffff, 0x40600000, 0x4f800000, 0x4f7fffff, 0x5f800000, 0x5f7fffff, 0x4b000001, 0x4affffff, 0x4b7fffff, 0x47800000, 0x477fe000, 0x33000001, 0x387fffff,
                                           0x3f808000, 0x3f818000, 0x7f7f8000, 0x7f7f7fff, 0x00008000, 0x3f801000, 0x3f803000, 0x33000000 };
static const uint16_t corner_round16[] = { 0x37ff, 0x4300, 0x6400, 0x63ff, 0x6401, 0x67ff, 0x6800, 0x57ff, 0x7801, 0x0401 };

static uint64_t operands[2 * 64];
static unsigned noperands;

static void add_operand(uint64_t v, unsigned bits)
{
    for (unsigned i = 0; i < noperands; i++) {
        if (operands[i] == v) {
            return;
        }
    }
    g_assert_cmpint(noperands, <, ARRAY_SIZE(operands));
    operands[noperands++] = v & ((uint64_t)-1 >> (64 - bits));
}

#define ADD_BOTH(table, bits) for (unsigned i = 0; i < ARRAY_SIZE(table); i++) { add_operand(table[i], bits); add_operand(table[i] ^ 1ull << (bits - 1), bits); }

static void choose_operands(unsigned bits, bool integers, bool brain)
{
    noperands = 0;
    for (unsigned i = 0; brain && bits == 16 && i < ARRAY_SIZE(corner32); i++) {
        add_operand(corner32[i] >> 16, 16);
        add_operand(corner32[i] >> 16 ^ 0x8000, 16);
    }
    if (integers) {
        for (unsigned i = 0; i < ARRAY_SIZE(corner_int); i++) {
            add_operand(corner_int[i] & ((uint64_t)-1 >> (64 - bits)), bits);
        }
    } else if (bits == 64) {
        ADD_BOTH(corner64, 64)
        ADD_BOTH(corner_round64, 64)
    } else if (bits == 32) {
        ADD_BOTH(corner32, 32)
        ADD_BOTH(corner_round32, 32)
    } else {
        ADD_BOTH(corner16, 16)
        ADD_BOTH(corner_round16, 16)
    }
}

/* Bits of an element of the last register that the text names. */
static unsigned source_bits(const char *text)
{
    unsigned bits = 64;

    for (const char *c = strchr(text, ' '); c && *c; c++) {
        bool vector = *c == '.', scalar = strchr(" ,", c[-1]) && g_ascii_isdigit(c[1]);

        if (vector) {
            for (c++; g_ascii_isdigit(*c); c++) {
            }
        }
        if (vector || scalar) {
            bits = *c == 'h' ? 16 : *c == 's' || *c == 'w' ? 32 : *c == 'd' || *c == 'x' ? 64 : bits;
        }
    }
    return bits;
}

static bool one_source(uint32_t insn)
{
    bool scalar = insn >> 28 & 1;

    /* one source: scalar with bits 14:10 = 10000, conversions to and from general registers, two-register miscellaneous */
    return (scalar && (insn & 0x5f207c00) == 0x1e204000) || (insn & 0x5f20fc00) == 0x1e200000 || (insn & 0x5f200000) == 0x1e000000 ||
           (insn & 0x0e3e0c00) == 0x0e200800 || (insn & 0x0e7e0c00) == 0x0e780800;
}

/* Lane l of state t: operand (g mod n) of the first source, (g / n) mod n of the second. */
static void corner_state(InsnRec *r, uint32_t insn, unsigned bits, uint64_t t)
{
    unsigned rn = insn >> 5 & 31, rm = insn >> 16 & 31, lanes = 128 / bits;

    random_state(r, insn, false);
    for (unsigned i = 0; i < 32; i++) {
        memset(r->v[i], 0, 16);
        for (unsigned l = 0; l < lanes; l++) {
            uint64_t g = t * lanes + l, pick = i == rn ? g : i == rm ? g / noperands : rng();

            r->v[i][l * bits / 64] |= operands[pick % noperands] << (l * bits % 64);
        }
    }
    if (rn < 31) {
        r->x[rn] = operands[t % noperands] | (bits < 64 && rng() & 1 ? rng() << bits : 0);
    }
}

void corner_word(uint32_t insn, unsigned most, Use *use, void *data)
{
    static const uint64_t controls[] = { 0, FPCR_FZ, FPCR_DN, FPCR_FZ | FPCR_DN, FPCR_FZ16, FPCR_FZ16 | FPCR_FZ | FPCR_DN, FPCR_AHP, FPCR_AHP | FPCR_FZ16 };
    char text[128];
    const char *name = a64_rows[a64_row_of(insn)].name;
    unsigned bits, lanes;

    a64_disas(insn, 0, text, sizeof(text));
    bits = source_bits(text);
    choose_operands(bits, strstr(name, "cvtf"), g_str_has_prefix(name, "bf"));
    lanes = 128 / bits;
    for (unsigned mode = 0; mode < 4 * ARRAY_SIZE(controls); mode++) {
        bool scalar = insn >> 28 & 1;
        uint64_t pairs = one_source(insn) ? noperands : noperands * noperands, all = scalar ? pairs * lanes : pairs;
        uint64_t n = (all + lanes - 1) / lanes, count = mode < 4 || n < 64 ? n : n / 8, step = most ? rng() | 1 : 1, from = rng();

        count = most && most < count ? most : count;
        for (uint64_t i = 0; i < count; i++) {
            InsnRec r;
            uint64_t t = (from + i * (count == n ? 1 : step)) % n;

            corner_state(&r, insn, bits, t);
            r.fpcr = (uint64_t)(mode & 3) << FPCR_RMODE_SHIFT | controls[mode / 4];
            use(data, &r);
        }
    }
}
