/* SPDX-License-Identifier: MIT */
#include "tests/target/edges/facts.h"

static unsigned field(uint32_t w, unsigned at, unsigned n)
{
    return w >> at & ((1u << n) - 1);
}

static int64_t sfield(uint32_t w, unsigned at, unsigned n)
{
    int64_t x = field(w, at, n);

    return x - (x >> (n - 1) << n);
}

static Facts one(bool store, unsigned bytes)
{
    return (Facts){ .known = true, .base_at = 5, .load = !store, .store = store, .bytes = bytes, .elem = bytes };
}

static Facts atomic(unsigned bytes)
{
    Facts f = one(true, bytes);

    f.load = f.whole = true;
    return f;
}

/* Exclusives, ordered accesses, CAS, CASP. */
static Facts excl(uint32_t w)
{
    unsigned size = field(w, 30, 2);
    bool load = field(w, 22, 1), o1 = field(w, 21, 1), o2 = field(w, 23, 1);
    Facts f;

    if (o2 && o1) {
        return atomic(1u << size);
    }
    if (!o2 && o1 && size < 2) {
        return atomic(8u << size);
    }
    f = one(!load, (o1 ? 2u : 1u) << size);
    f.whole = true;
    f.exclusive = !o2;
    f.pair = o1;
    return f;
}

static Facts rcpc_unscaled(uint32_t w)
{
    Facts f = one(!field(w, 22, 2), 1u << field(w, 30, 2));

    f.whole = true;
    f.imm = sfield(w, 12, 9);
    return f;
}

static Facts literal(uint32_t w)
{
    unsigned opc = field(w, 30, 2);
    Facts f = one(false, field(w, 26, 1) ? 4u << opc : opc == 1 ? 8 : 4);

    f.off = OFF_LITERAL;
    f.prefetch = opc == 3;
    return f;
}

static Facts pair(uint32_t w)
{
    static const WriteBack wb[4] = { WB_NONE, WB_POST, WB_NONE, WB_PRE };
    unsigned opc = field(w, 30, 2), size = field(w, 26, 1) ? 4u << opc : opc == 2 ? 8 : 4;
    Facts f = one(!field(w, 22, 1), size);

    f.bytes = 2 * size;
    f.pair = true;
    f.wb = wb[field(w, 23, 2)];
    f.imm = sfield(w, 15, 7) * (int64_t)size;
    return f;
}

/* One register: what size, opc and V say. */
static Facts single(uint32_t w)
{
    unsigned size = field(w, 30, 2), opc = field(w, 22, 2);
    bool vector = field(w, 26, 1);
    Facts f = vector ? one(!(opc & 1), 1u << ((opc >> 1) << 2 | size)) : one(!opc, 1u << size);

    f.prefetch = !vector && size == 3 && opc == 2;
    return f;
}

static Facts scaled(uint32_t w)
{
    Facts f = single(w);

    f.imm = (int64_t)field(w, 10, 12) * f.bytes;
    return f;
}

static Facts unscaled(uint32_t w)
{
    static const WriteBack wb[4] = { WB_NONE, WB_POST, WB_NONE, WB_PRE };
    Facts f = single(w);

    f.imm = sfield(w, 12, 9);
    f.wb = wb[field(w, 10, 2)];
    f.unpriv = field(w, 10, 2) == 2;
    return f;
}

static Facts by_register(uint32_t w)
{
    Facts f = single(w);

    f.off = OFF_REG;
    for (unsigned n = f.bytes; field(w, 12, 1) && n > 1; n /= 2) {
        f.imm++;
    }
    return f;
}

static Facts lse(uint32_t w)
{
    Facts f = atomic(1u << field(w, 30, 2));

    f.store = !(field(w, 15, 1) && field(w, 12, 3) == 4);      /* LDAPR */
    return f;
}

static Facts authenticated(uint32_t w)
{
    Facts f = one(false, 8);

    f.imm = (sfield(w, 22, 1) * 512 + field(w, 12, 9)) * 8;
    f.wb = field(w, 11, 1) ? WB_PRE : WB_NONE;
    return f;
}

static void structure_post(uint32_t w, Facts *f)
{
    if (field(w, 23, 1)) {
        f->wb = field(w, 16, 5) == 31 ? WB_POST : WB_POST_REG;
        f->imm = f->bytes;
    }
}

/* LD1-4 and ST1-4 of whole registers. */
static Facts multiple(uint32_t w)
{
    static const uint8_t regs[16] = { [0] = 4, [2] = 4, [4] = 3, [6] = 3, [7] = 1, [8] = 2, [10] = 2 };
    Facts f = one(!field(w, 22, 1), regs[field(w, 12, 4)] * (field(w, 30, 1) ? 16u : 8u));

    f.elem = 1u << field(w, 10, 2);
    structure_post(w, &f);
    return f;
}

/* The same of one lane, or to all lanes. */
static Facts lane(uint32_t w)
{
    unsigned opcode = field(w, 14, 2), n = (field(w, 13, 1) << 1 | field(w, 21, 1)) + 1;
    unsigned size = opcode == 3 ? field(w, 10, 2) : opcode == 2 && field(w, 10, 1) ? 3 : opcode;
    Facts f = one(!field(w, 22, 1), n << size);

    f.elem = 1u << size;
    structure_post(w, &f);
    return f;
}

/* SYS #op1, C7, Cm, #op2 */
static Facts cache(uint32_t w)
{
    bool zero = field(w, 8, 4) == 4, invalidate = !field(w, 16, 3);
    Facts f = one(zero || invalidate, 1);

    f.line = zero;
    f.maint = !zero;
    f.el1 = invalidate;
    f.base_at = 0;
    return f;
}

static const struct { uint32_t mask, value; Facts (*of)(uint32_t w); } classes[] = {
    { 0x3f000000, 0x08000000, excl }, { 0x3f200c00, 0x19000000, rcpc_unscaled }, { 0x3b000000, 0x18000000, literal }, { 0x3a000000, 0x28000000, pair },
    { 0x3b000000, 0x39000000, scaled }, { 0x3b200000, 0x38000000, unscaled }, { 0x3b200c00, 0x38200800, by_register }, { 0x3f200c00, 0x38200000, lse },
    { 0xff200400, 0xf8200400, authenticated }, { 0xbf000000, 0x0c000000, multiple }, { 0xbf000000, 0x0d000000, lane },
    { 0xfffcf000, 0xd5087000, cache },
};

Facts facts_of(uint32_t w)
{
    for (unsigned i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
        if ((w & classes[i].mask) == classes[i].value) {
            return classes[i].of(w);
        }
    }
    return (Facts){};
}
