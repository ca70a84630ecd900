/* SPDX-License-Identifier: MIT */
/*
 * Physical memory protection: The RISC-V Instruction Set Manual, volume II, 3.7.
 *
 * 16 entries with a granularity of 4 KiB (G = 10), so that a page has one answer.  NA4 does not exist then; the low bits of
 * addresses read as ones in NAPOT entries and as zeros in the others.
 */
#include "target/riscv/cpu.h"

enum { PMP_OFF, PMP_TOR, PMP_NA4, PMP_NAPOT };
#define GRAIN_BITS 10
#define ADDR_BITS ((1ull << 54) - 1)
#define NAPOT_ONES ((1ull << (GRAIN_BITS - 1)) - 1)
#define TOR_ZEROS ((1ull << GRAIN_BITS) - 1)
enum { CFG0 = 0x3a0, ADDR0 = 0x3b0 };

static unsigned mode_of(uint8_t cfg)
{
    return cfg >> PMP_A_SHIFT & 3;
}

static RvPmp range_of(const RvCpu *c, unsigned i)
{
    uint64_t a = c->pmpaddr[i], low = i ? c->pmpaddr[i - 1] & ~TOR_ZEROS : 0, size;

    switch (mode_of(c->pmpcfg[i])) {
    case PMP_TOR:
        a &= ~TOR_ZEROS;
        return a > low ? (RvPmp){ low << 2, (a << 2) - 1, c->pmpcfg[i] } : (RvPmp){ 1, 0, 0 };
    case PMP_NAPOT:
        a |= NAPOT_ONES;
        size = a == ADDR_BITS ? 1ull << 57 : 8ull << __builtin_ctzll(~a);
        a = (a << 2) & ~(size - 1);
        return (RvPmp){ a, a + size - 1, c->pmpcfg[i] };
    default:
        return (RvPmp){ 1, 0, 0 };
    }
}

void rv_pmp_update(RvCpu *c)
{
    c->npmp = 0;
    for (unsigned i = 0; i < RV_PMPS; i++) {
        c->pmp[i] = range_of(c, i);
        if (mode_of(c->pmpcfg[i])) {
            c->npmp = i + 1;
        }
    }
}

/* The first entry that holds the address decides; machine mode only heeds locked ones. */
unsigned rv_pmp_prot(const RvCpu *c, paddr pa, RvPriv priv)
{
    if (!c->pmp_on) {
        return 7;
    }
    for (unsigned i = 0; i < c->npmp; i++) {
        const RvPmp *p = &c->pmp[i];

        if (pa >= p->first && pa <= p->last) {
            return priv == PRIV_M && !(p->cfg & PMP_L) ? 7 : (p->cfg & PMP_R ? 1 : 0) | (p->cfg & PMP_W ? 2 : 0) | (p->cfg & PMP_X ? 4 : 0);
        }
    }
    return priv == PRIV_M ? 7 : 0;
}

/* ---- registers ---- */

static uint8_t legal_cfg(uint8_t old, uint8_t val)
{
    val &= 0x9f;
    if ((val & (PMP_R | PMP_W)) == PMP_W) {
        val = (val & ~(PMP_R | PMP_W | PMP_X)) | (old & (PMP_R | PMP_W | PMP_X));       /* reserved: keeps what was */
    }
    return mode_of(val) == PMP_NA4 ? (val & ~(3u << PMP_A_SHIFT)) | (old & 3u << PMP_A_SHIFT) : val;
}

static void cfg_write(RvCpu *c, unsigned first, uint64_t val)
{
    for (unsigned i = 0; i < 8; i++) {
        uint8_t *cfg = &c->pmpcfg[first + i];

        if (!(*cfg & PMP_L)) {
            *cfg = legal_cfg(*cfg, val >> 8 * i & 0xff);
        }
    }
}

static uint64_t cfg_read(const RvCpu *c, unsigned first)
{
    uint64_t val = 0;

    for (unsigned i = 0; i < 8; i++) {
        val |= (uint64_t)c->pmpcfg[first + i] << 8 * i;
    }
    return val;
}

static void addr_write(RvCpu *c, unsigned i, uint64_t val)
{
    bool next_tor_locked = i + 1 < RV_PMPS && c->pmpcfg[i + 1] & PMP_L && mode_of(c->pmpcfg[i + 1]) == PMP_TOR;

    if (!(c->pmpcfg[i] & PMP_L) && !next_tor_locked) {
        c->pmpaddr[i] = val & ADDR_BITS;
    }
}

static uint64_t addr_read(const RvCpu *c, unsigned i)
{
    return mode_of(c->pmpcfg[i]) == PMP_NAPOT ? c->pmpaddr[i] | NAPOT_ONES : c->pmpaddr[i] & ~TOR_ZEROS;
}

bool rv_pmp_csr(RvCpu *c, unsigned number, bool write, uint64_t *val)
{
    bool cfg = number >= CFG0 && number < CFG0 + RV_PMPS / 4 && !(number & 1);

    if (!c->pmp_on || (!cfg && !(number >= ADDR0 && number < ADDR0 + RV_PMPS))) {
        return false;
    }
    if (!write) {
        *val = cfg ? cfg_read(c, (number - CFG0) * 4) : addr_read(c, number - ADDR0);
        return true;
    }
    if (cfg) {
        cfg_write(c, (number - CFG0) * 4, *val);
    } else {
        addr_write(c, number - ADDR0, *val);
    }
    rv_pmp_update(c);
    tcg_flush_all(&c->cpu);
    return true;
}
