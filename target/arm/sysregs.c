/* SPDX-License-Identifier: MIT */
/* The hooks of sysregs.def, and its readers. */
#include "target/arm/sysregs.h"

#include <string.h>

#include "hw/core/machine.h"
#include "target/arm/sysreg-hooks.h"

/* ---- identification ---- */

/* Cache geometry by CSSELR: the model's; 64-byte lines. */
static uint64_t ccsidr_read(A64Cpu *c, const A64SysReg *r)
{
    static const struct { uint16_t sets, ways; } geometry[4] = { { 256, 2 }, { 256, 3 }, { 2048, 16 }, { 0, 0 } };
    unsigned sel = c->sys[SR_CSSELR_EL1], at = sel == 0 ? 0 : sel == 1 ? 1 : sel == 2 ? 2 : 3;

    (void)r;
    return at == 3 ? 0 : (uint64_t)(geometry[at].sets - 1) << 13 | (uint64_t)(geometry[at].ways - 1) << 3 | 2;
}

static uint64_t dczid_read(A64Cpu *c, const A64SysReg *r)
{
    (void)r;
    return 4 | (c->el == 0 && !(c->sys[SR_SCTLR_EL1] & SCTLR_DZE) ? 0x10 : 0);
}

static uint64_t rndr_read(A64Cpu *c, const A64SysReg *r)
{
    uint64_t v;

    (void)r;
    input_random(c->cpu.machine->inputs, &v, sizeof(v));
    return v;
}

/* ---- PSTATE ---- */

static uint64_t spsel_read(A64Cpu *c, const A64SysReg *r)
{
    (void)r;
    return c->spsel;
}

static void spsel_write(A64Cpu *c, const A64SysReg *r, uint64_t val)
{
    (void)r;
    a64_sp_save(c);
    c->spsel = val & 1;
    a64_sp_load(c);
    a64_mode_changed(c);
}

static uint64_t currentel_read(A64Cpu *c, const A64SysReg *r)
{
    (void)r;
    return c->el << 2;
}

#define BIT_REG(field, bit) \
static uint64_t field##_read(A64Cpu *c, const A64SysReg *r) \
{ \
    (void)r; \
    return (uint64_t)c->field << (bit); \
} \
static void field##_write(A64Cpu *c, const A64SysReg *r, uint64_t val) \
{ \
    (void)r; \
    c->field = val >> (bit) & 1; \
    a64_mode_changed(c); \
}
BIT_REG(pan, 22)
BIT_REG(uao, 23)
BIT_REG(dit, 24)
BIT_REG(ssbs, 12)
#undef BIT_REG

static uint64_t nzcv_read(A64Cpu *c, const A64SysReg *r)
{
    (void)r;
    return (uint64_t)(c->n << 3 | c->z << 2 | c->c << 1 | c->v) << 28;
}

static void nzcv_write(A64Cpu *c, const A64SysReg *r, uint64_t val)
{
    (void)r;
    c->n = val >> 31 & 1;
    c->z = val >> 30 & 1;
    c->c = val >> 29 & 1;
    c->v = val >> 28 & 1;
}

static uint64_t daif_read(A64Cpu *c, const A64SysReg *r)
{
    (void)r;
    return c->daif << 6;
}

static void daif_write(A64Cpu *c, const A64SysReg *r, uint64_t val)
{
    (void)r;
    c->daif = val >> 6 & 15;
    a64_mode_changed(c);
}

static uint64_t fpcr_read(A64Cpu *c, const A64SysReg *r)
{
    (void)r;
    return c->fpcr;
}

static void fpcr_write(A64Cpu *c, const A64SysReg *r, uint64_t val)
{
    (void)r;
    a64_fpcr_set(c, val);
}

static uint64_t fpsr_read(A64Cpu *c, const A64SysReg *r)
{
    (void)r;
    return a64_fpsr_get(c);
}

static void fpsr_write(A64Cpu *c, const A64SysReg *r, uint64_t val)
{
    (void)r;
    a64_fpsr_set(c, val);
}

/* ---- control ---- */

static void ignore_write(A64Cpu *c, const A64SysReg *r, uint64_t val)
{
    (void)c, (void)r, (void)val;
}

static void mode_written(A64Cpu *c, const A64SysReg *r, uint64_t old)
{
    (void)r, (void)old;
    a64_mode_changed(c);
}

static void contextidr_written(A64Cpu *c, const A64SysReg *r, uint64_t old)
{
    if (c->debug_armed) {
        debug_written(c, r, old);
    }
}

static void flush_written(A64Cpu *c, const A64SysReg *r, uint64_t old)
{
    if (c->sys[r - a64_sysregs] != old) {
        tcg_flush_all(&c->cpu);
    }
}

/* Bits that a cached translation was made with: everything but the traps of EL0. */
static void sctlr_written(A64Cpu *c, const A64SysReg *r, uint64_t old)
{
    uint64_t changed;

    c->sys[SR_SCTLR_EL1] &= ~((a64_has(c, A64_FEAT_bti) ? 0 : SCTLR_BT0 | SCTLR_BT1) | (a64_has(c, A64_FEAT_lse2) ? 0 : SCTLR_NAA));
    changed = c->sys[SR_SCTLR_EL1] ^ old;

    (void)r;
    if (changed & (SCTLR_M | SCTLR_WXN | SCTLR_EE | SCTLR_C | SCTLR_I)) {
        tcg_flush_all(&c->cpu);
    }
    a64_mode_changed(c);
}

static void tcr_written(A64Cpu *c, const A64SysReg *r, uint64_t old)
{
    flush_written(c, r, old);
    a64_pauth_update(c);
    a64_mode_changed(c);
}

static uint64_t isr_read(A64Cpu *c, const A64SysReg *r)
{
    uint32_t p = cpu_lines(&c->cpu);

    (void)r;
    return (p & CPU_IRQ ? 1 << 7 : 0) | (p & CPU_FIQ ? 1 << 6 : 0) | (p & CPU_SERROR ? 1 << 8 : 0);
}

/* ---- who may: EL0 enables ---- */

#define ALLOW(name, cond) \
static bool name##_allow(A64Cpu *c, const A64SysReg *r, bool read) \
{ \
    (void)r, (void)read; \
    return c->el != 0 || (cond); \
}
ALLOW(uct, c->sys[SR_SCTLR_EL1] & SCTLR_UCT)
ALLOW(uci, c->sys[SR_SCTLR_EL1] & SCTLR_UCI)
ALLOW(dze, c->sys[SR_SCTLR_EL1] & SCTLR_DZE)
ALLOW(uma, c->sys[SR_SCTLR_EL1] & SCTLR_UMA)
ALLOW(rctx, c->sys[SR_SCTLR_EL1] & 1 << 10)
ALLOW(scxtnum, !(c->sys[SR_SCTLR_EL1] & 1 << 20))
ALLOW(tdcc, !(c->sys[SR_MDSCR_EL1] & 1 << 12))
ALLOW(cntfrq, c->sys[SR_CNTKCTL_EL1] & 3)
ALLOW(cntpct, c->sys[SR_CNTKCTL_EL1] & 1)
ALLOW(cntvct, c->sys[SR_CNTKCTL_EL1] & 2)
ALLOW(cntv, c->sys[SR_CNTKCTL_EL1] & 1 << 8)
ALLOW(cntp, c->sys[SR_CNTKCTL_EL1] & 1 << 9)
#undef ALLOW

static bool sp_el0_allow(A64Cpu *c, const A64SysReg *r, bool read)
{
    (void)c, (void)r, (void)read;
    return true;            /* PSTATE.SP is part of the block key: the translator refuses */
}

/* ---- address translation and TLB maintenance ---- */

static void at_write(A64Cpu *c, const A64SysReg *r, uint64_t val)
{
    a64_at(c, val, r->op2 >= 2 && r->crm == 8, r->op2 & 1, r->crm == 9 && c->pan);
}

/* Which processors: CRm of the local forms is 7 and 6. */
static bool local(const A64SysReg *r)
{
    return r->crm == 7 || r->crm == 6;
}

static void tlbi_all(A64Cpu *c, const A64SysReg *r, uint64_t val)
{
    (void)val;
    local(r) ? tcg_flush_all(&c->cpu) : tcg_flush_all_broadcast(&c->cpu);
}

static void tlbi_asid(A64Cpu *c, const A64SysReg *r, uint64_t val)
{
    uint16_t asid = val >> 48;

    local(r) ? tcg_flush_asid(&c->cpu, asid) : tcg_flush_asid_broadcast(&c->cpu, asid);
}

static void flush_range(A64Cpu *c, const A64SysReg *r, vaddr va, uint64_t len, int asid)
{
    local(r) ? tcg_flush_range(&c->cpu, va, len, asid) : tcg_flush_range_broadcast(&c->cpu, va, len, asid);
}

/* log2 of the granule of the half that va lies in */
static unsigned granule_bits(const A64Cpu *c, vaddr va)
{
    static const uint8_t tg0[4] = { 12, 16, 14, 12 }, tg1[4] = { 12, 14, 12, 16 };
    uint64_t tcr = c->sys[SR_TCR_EL1];

    return va >> 55 & 1 ? tg1[tcr >> 30 & 3] : tg0[tcr >> 14 & 3];
}

/* By address: bits 43:0 are VA[55:12].  A global page matches whatever the ASID: -1 drops it everywhere. */
static void tlbi_va(A64Cpu *c, const A64SysReg *r, uint64_t val)
{
    vaddr va = (vaddr)((int64_t)(val << 20) >> 8);
    uint64_t len = 1ull << granule_bits(c, va);

    flush_range(c, r, va & ~(len - 1), len, -1);
}

/* FEAT_TLBIRANGE: base in units of the granule, (NUM + 1) * 2^(5 * SCALE + 1) granules. */
static void tlbi_range(A64Cpu *c, const A64SysReg *r, uint64_t val)
{
    static const uint8_t shift[4] = { 0, 12, 14, 16 };
    unsigned gran = shift[val >> 46 & 3], scale = val >> 44 & 3, num = val >> 39 & 31;
    bool ds = a64_has(c, A64_FEAT_lpa2) && c->sys[SR_TCR_EL1] >> 59 & 1;     /* LPA2: in units of 64 KiB */
    vaddr base = (vaddr)((int64_t)(val << 27) >> 27);

    if (gran) {
        flush_range(c, r, base << (ds ? 16 : gran), (uint64_t)(num + 1) << (5 * scale + 1) << gran, -1);
    }
}

/* ---- the table ---- */

const A64SysReg a64_sysregs[SR_COUNT] = {
#define REG(name_, op0_, op1_, crn_, crm_, op2_, access_, ...) \
    [SR_##name_] = { .name = #name_, .op0 = op0_, .op1 = op1_, .crn = crn_, .crm = crm_, .op2 = op2_, .access = access_, __VA_ARGS__ },
#include "target/arm/sysregs.def"
#undef REG
};

int a64_sysreg_find(unsigned op0, unsigned op1, unsigned crn, unsigned crm, unsigned op2)
{
    for (unsigned i = 0; i < SR_COUNT; i++) {
        const A64SysReg *r = &a64_sysregs[i];

        if (r->op0 == op0 && r->op1 == op1 && r->crn == crn && r->crm == crm && r->op2 == op2) {
            return (int)i;
        }
    }
    /* D19.3: unallocated encodings of the identification space read as zero */
    return op0 == 3 && op1 == 0 && crn == 0 && crm >= 1 && crm <= 7 ? SR_ID_RES0 : -1;
}

int a64_sysreg_by_name(const char *name)
{
    for (unsigned i = 0; i < SR_COUNT; i++) {
        if (!g_ascii_strcasecmp(a64_sysregs[i].name, name)) {
            return (int)i;
        }
    }
    return -1;
}

uint64_t a64_sysreg_read(A64Cpu *c, unsigned id)
{
    const A64SysReg *r = &a64_sysregs[id];

    if (id == SR_SP_EL0 && c->spsel == 0) {
        return c->sp;
    }
    return r->read ? r->read(c, r) : c->sys[id] | r->ones;
}

void a64_sysreg_write(A64Cpu *c, unsigned id, uint64_t val)
{
    const A64SysReg *r = &a64_sysregs[id];
    uint64_t old = c->sys[id], mask = r->mask ? r->mask : ~0ull;

    if (r->write) {
        r->write(c, r, val);
        return;
    }
    c->sys[id] = (old & ~mask) | (val & mask);
    if (r->written) {
        r->written(c, r, old);
    }
}

void a64_sysregs_reset(A64Cpu *c)
{
    for (unsigned i = 0; i < SR_COUNT; i++) {
        if (!(a64_sysregs[i].access & (SR_CONST | SR_KEEP))) {
            c->sys[i] = a64_sysregs[i].reset;
        }
    }
}
