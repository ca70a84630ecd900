/* SPDX-License-Identifier: MIT */
#include "target/arm/mmu.h"

/* One half of the address space as TCR describes it. */
typedef struct Half {
    unsigned n;                 /* 0: TTBR0 */
    unsigned tsz, gran;         /* gran: log2 of the granule */
    bool epd, tbi, ha, hd, hpd;
} Half;

typedef struct Walk {
    const A64Regime *r;
    Half half;
    bool ds;                    /* LPA2: 52-bit addresses with 4 and 16 KiB granules */
    unsigned oa_bits;
    A64WalkAccess acc;
    bool update;
    A64Mapping *m;
    /* limits from table descriptors */
    bool ap_ro, ap_el1, uxn, pxn;
} Walk;

/* Level -1 has codes of its own. */
static bool fail(A64Mapping *m, unsigned fsc, int level)
{
    if (level < 0 && fsc != FSC_WALK_EXTERNAL) {
        m->fsc = fsc == FSC_TRANSLATION ? FSC_TRANSLATION_M1 : FSC_ADDRESS_SIZE_M1;
    } else {
        m->fsc = (uint8_t)((int)fsc + level);
    }
    return false;
}

static unsigned granule(uint64_t tcr, unsigned half, bool gran16)
{
    static const uint8_t tg0[4] = { 12, 16, 14, 12 }, tg1[4] = { 12, 14, 12, 16 };
    unsigned g = half ? tg1[tcr >> 30 & 3] : tg0[tcr >> 14 & 3];

    return g == 14 && !gran16 ? 12 : g;
}

static Half half_of(const A64Regime *r, uint64_t va, A64WalkAccess acc)
{
    uint64_t tcr = r->tcr;
    unsigned n = va >> 55 & 1;

    return (Half){
        .n = n,
        .tsz = tcr >> (n ? 16 : 0) & 63,
        .gran = granule(tcr, n, r->gran16),
        .epd = tcr >> (n ? 23 : 7) & 1,
        .tbi = (tcr >> (37 + n) & 1) && !(acc == WALK_FETCH && (tcr >> (51 + n) & 1)),
        .ha = r->hafdbs && (tcr >> 39 & 1),
        .hd = r->hafdbs2 && (tcr >> 39 & 1) && (tcr >> 40 & 1),
        .hpd = r->hpds && (tcr >> (41 + n) & 1),
    };
}

static unsigned output_bits(const A64Regime *r, unsigned gran, bool ds)
{
    static const uint8_t bits[8] = { 32, 36, 40, 42, 44, 48, 52, 52 };
    unsigned b = bits[r->tcr >> 32 & 7];

    if (b == 52 && ((gran != 16 && !ds) || r->pa_bits < 52)) {
        b = 48;
    }
    return b < r->pa_bits ? b : r->pa_bits;
}

/* Translation off: addresses are physical, data are Device-nGnRnE, instructions cacheable as SCTLR.I says. */
static bool flat(const A64Regime *r, uint64_t va, A64WalkAccess acc, A64Mapping *m)
{
    Half h = half_of(r, va, acc);
    uint64_t pa = h.tbi ? va & 0x00ffffffffffffffull : va;

    if (pa >> r->pa_bits) {
        return fail(m, FSC_ADDRESS_SIZE, 0);
    }
    *m = (A64Mapping){ .pa = pa, .size = 4096, .prot = WALK_LOAD | WALK_STORE | WALK_FETCH, .global = true, .sh = 2 };
    return true;
}

/* What EL1 or EL0 may do with a page: AP[2] read-only, AP[1] accessible to EL0. */
static unsigned permissions(const Walk *w, uint64_t desc)
{
    const A64Regime *r = w->r;
    bool ro = (desc >> 7 & 1) || w->ap_ro, el0 = (desc >> 6 & 1) && !w->ap_el1;
    bool uxn = (desc >> 54 & 1) || w->uxn, pxn = (desc >> 53 & 1) || w->pxn, wxn = r->sctlr >> 19 & 1;
    unsigned p = 0;

    if (r->user) {
        p = el0 ? WALK_LOAD | (ro ? 0 : WALK_STORE) : 0;
        return p | (uxn || (wxn && p & WALK_STORE) ? 0 : WALK_FETCH);
    }
    if (!(r->pan && el0)) {
        p = WALK_LOAD | (ro ? 0 : WALK_STORE);
    }
    return p | (pxn || (wxn && !ro) || (el0 && !ro) ? 0 : WALK_FETCH);
}

/* PA[51:48] of a descriptor with 52-bit addresses is in bits 15:12 (64 KiB granule); PA[51:50] in bits 9:8 (the others). */
static uint64_t output_address(const Walk *w, uint64_t desc, unsigned low)
{
    uint64_t pa;

    if (w->ds) {
        return (desc & 0x0003ffffffffffffull & ~0ull << low) | (desc >> 8 & 3) << 50;
    }
    pa = desc & 0x0000ffffffffffffull & ~0ull << low;

    return w->half.gran == 16 && w->r->pa_bits == 52 ? pa | (desc >> 12 & 15) << 48 : pa;
}

/* A leaf: check, update its flags in memory where hardware does that, describe the mapping.  *again: the descriptor has changed. */
static bool leaf(Walk *w, uint64_t va, uint64_t at, uint64_t desc, int level, unsigned low, bool *again)
{
    A64Mapping *m = w->m;
    uint64_t pa = output_address(w, desc, low), want = desc;
    bool dirty_managed = w->half.hd && (desc >> 51 & 1);
    unsigned prot;

    if (pa >> w->oa_bits) {
        return fail(m, FSC_ADDRESS_SIZE, level);
    }
    if (!(desc >> 10 & 1)) {
        if (!w->half.ha) {
            return fail(m, FSC_ACCESS_FLAG, level);
        }
        want |= 1ull << 10;
    }
    prot = permissions(w, dirty_managed ? desc & ~(1ull << 7) : desc);
    if (!(prot & w->acc)) {
        m->attr = (uint8_t)(w->r->mair >> (8 * (desc >> 2 & 7)));
        return fail(m, FSC_PERMISSION, level);
    }
    if (dirty_managed && w->acc == WALK_STORE) {
        want &= ~(1ull << 7);
    }
    if (w->update && want != desc) {
        if (!w->r->update(w->r->opaque, at, desc, want)) {
            *again = true;
            return false;
        }
        desc = want;
    }
    if (dirty_managed && desc >> 7 & 1) {
        prot &= ~WALK_STORE | (w->update ? 0 : w->acc);     /* the first store must come here */
    }
    *m = (A64Mapping){
        .pa = pa | (va & ((1ull << low) - 1)), .size = 1ull << low, .prot = (uint8_t)prot,
        .attr = (uint8_t)(w->r->mair >> (8 * (desc >> 2 & 7))), .sh = (w->ds ? w->r->tcr >> (w->half.n ? 28 : 12) : desc >> 8) & 3, .global = !(desc >> 11 & 1), .guarded = desc >> 50 & 1 };
    return true;
}

static bool block_allowed(const Walk *w, int level)
{
    if (w->half.gran == 12) {
        return level == 1 || level == 2 || (level == 0 && w->ds);
    }
    return level == 2 || (level == 1 && (w->ds || (w->half.gran == 16 && w->r->pa_bits == 52)));
}

static bool levels(Walk *w, uint64_t va, uint64_t table, int level, bool *again)
{
    unsigned gran = w->half.gran, stride = gran - 3, in_bits = 64 - w->half.tsz;

    for (;; level++) {
        unsigned low = gran + stride * (unsigned)(3 - level);
        unsigned width = in_bits - low < stride ? in_bits - low : stride;
        uint64_t at = table | (va >> low & ((1ull << width) - 1)) << 3, desc;

        if (!w->r->read(w->r->opaque, at, &desc)) {
            return fail(w->m, FSC_WALK_EXTERNAL, level);
        }
        if (!(desc & 1) || (level == 3 && !(desc & 2)) || (level < 3 && !(desc & 2) && !block_allowed(w, level))) {
            return fail(w->m, FSC_TRANSLATION, level);
        }
        if (level == 3 || !(desc & 2)) {
            return leaf(w, va, at, desc, level, low, again);
        }
        table = output_address(w, desc, gran);
        if (table >> w->oa_bits) {
            return fail(w->m, FSC_ADDRESS_SIZE, level);
        }
        if (!w->half.hpd) {
            w->ap_ro |= desc >> 62 & 1;
            w->ap_el1 |= desc >> 61 & 1;
            w->uxn |= desc >> 60 & 1;
            w->pxn |= desc >> 59 & 1;
        }
        in_bits = low;
    }
}

/* The address must be a copy of bit 55 above the bits that are translated. */
static bool in_range(const Half *h, uint64_t va)
{
    uint64_t top = h->tbi ? va << 8 >> 8 : va, mask = (h->tbi ? 0x00ffffffffffffffull : ~0ull) & ~0ull << (64 - h->tsz);

    return (top & mask) == (h->n ? mask : 0);
}

static bool walk_once(const A64Regime *r, uint64_t va, A64WalkAccess acc, bool update, A64Mapping *m, bool *again)
{
    Walk w = { .r = r, .half = half_of(r, va, acc), .acc = acc, .update = update, .m = m };
    unsigned gran = w.half.gran, stride = gran - 3, least, most = r->ttst ? (gran == 16 ? 47 : 48) : 39;
    unsigned in_bits, n, low;
    int level;
    uint64_t ttbr = r->ttbr[w.half.n], table;

    w.ds = r->lpa2 && gran != 16 && (r->tcr >> 59 & 1);
    least = w.ds || (r->lva && gran == 16) ? 12 : 16;
    if (w.half.tsz < least || w.half.tsz > most || !in_range(&w.half, va) || w.half.epd || (r->user && r->e0pd && (r->tcr >> (55 + w.half.n) & 1))) {
        return fail(m, FSC_TRANSLATION, 0);
    }
    in_bits = 64 - w.half.tsz;
    n = (in_bits - gran + stride - 1) / stride;
    level = 4 - (int)n;
    w.oa_bits = output_bits(r, gran, w.ds);
    /* the table is as large as its entries for the bits above `low`, at least 64 bytes with 52-bit addresses */
    low = 3 + in_bits - (gran + stride * (unsigned)(3 - level));
    table = ttbr & 0x0000fffffffffffeull;
    if (w.oa_bits == 52) {
        low = low < 6 ? 6 : low;
        table = (ttbr & 0x0000ffffffffffc0ull) | (ttbr >> 2 & 15) << 48;
    }
    table &= ~0ull << low;
    if (table >> w.oa_bits) {
        return fail(m, FSC_ADDRESS_SIZE, 0);
    }
    return levels(&w, va, table, level, again);
}

bool a64_walk_regime(const A64Regime *r, uint64_t va, A64WalkAccess acc, bool update_flags, A64Mapping *m)
{
    if (!(r->sctlr & 1)) {
        return flat(r, va, acc, m);
    }
    for (unsigned tries = 0; tries < 16; tries++) {
        bool again = false, ok = walk_once(r, va, acc, update_flags, m, &again);

        if (!again) {
            return ok;
        }
    }
    return fail(m, FSC_UPDATE, 0);
}
