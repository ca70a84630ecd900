/* SPDX-License-Identifier: MIT */
/* Control and status registers: volume II of the manual, chapters 3 (machine) and 4 (supervisor); rows in csrs.def. */
#include "target/riscv/cpu.h"

#include "hw/core/machine.h"

#define SSTATUS_BITS (MSTATUS_SIE | MSTATUS_SPIE | MSTATUS_SPP | MSTATUS_FS | MSTATUS_SUM | MSTATUS_MXR)
#define MSTATUS_BITS (SSTATUS_BITS | MSTATUS_MIE | MSTATUS_MPIE | MSTATUS_MPRV | MSTATUS_TVM | MSTATUS_TW | MSTATUS_TSR)
enum { MIP_SSIP = 1 << 1, MIP_STIP = 1 << 5, MIP_SEIP = 1 << 9 };
enum { LINE_SW_STI = 5, LINE_SW_SEI = 9 };      /* what software has set in mip */

/* ---- floating point: MXCSR has IE 0, DE 1, ZE 2, OE 3, UE 4, PE 5; fflags NX 0, UF 1, OF 2, DZ 3, NV 4 ---- */

static uint32_t fflags_of_mxcsr(uint32_t m)
{
    return (m >> 5 & 1) | (m >> 4 & 1) << 1 | (m >> 3 & 1) << 2 | (m >> 2 & 1) << 3 | (m & 1) << 4;
}

uint32_t rv_fflags_get(const RvCpu *c)
{
    return c->fflags | fflags_of_mxcsr(c->env.guest_mxcsr);
}

void rv_fflags_set(RvCpu *c, uint32_t val)
{
    c->env.guest_mxcsr &= ~0x3fu;
    c->fflags = val & 0x1f;
}

static void fp_dirty(RvCpu *c)
{
    c->mstatus |= MSTATUS_FS;
}

static uint64_t fflags_read(RvCpu *c, unsigned id)
{
    return rv_fflags_get(c);
}

static void fflags_write(RvCpu *c, unsigned id, uint64_t val)
{
    rv_fflags_set(c, (uint32_t)val);
    fp_dirty(c);
}

static uint64_t frm_read(RvCpu *c, unsigned id)
{
    return c->frm;
}

static void frm_write(RvCpu *c, unsigned id, uint64_t val)
{
    c->frm = val & 7;
    fp_dirty(c);
}

static uint64_t fcsr_read(RvCpu *c, unsigned id)
{
    return c->frm << 5 | rv_fflags_get(c);
}

static void fcsr_write(RvCpu *c, unsigned id, uint64_t val)
{
    c->frm = val >> 5 & 7;
    fflags_write(c, id, val);
}

/* ---- counters: a cycle is a nanosecond of the machine's clock; instructions are counted under instruction-driven time ---- */

static uint64_t clock_of(RvCpu *c)
{
    tcg_sync_time(&c->cpu);
    return (uint64_t)clock_now(c->cpu.machine->clock);
}

static uint64_t cycle_read(RvCpu *c, unsigned id)
{
    return clock_of(c) + c->cycle_off;
}

static uint64_t insns(RvCpu *c)
{
    return clock_mode(c->cpu.machine->clock) == CLOCK_ICOUNT ? tcg_insns(&c->cpu) : clock_of(c);
}

static uint64_t instret_read(RvCpu *c, unsigned id)
{
    return insns(c) + c->instret_off;
}

static void counter_write(RvCpu *c, unsigned id, uint64_t val)
{
    if (id == CSR_mcycle) {
        c->cycle_off = val - clock_of(c);
    } else {
        c->instret_off = val - insns(c);
    }
}

static uint64_t port_read(RvCpu *c, unsigned key)
{
    uint64_t val = 0;

    tcg_sync_time(&c->cpu);
    cpu_port_read(&c->cpu, CPU_PORT_TIMER, key, (CpuPortCtx){ .el = c->priv }, &val);
    return val;
}

static uint64_t time_read(RvCpu *c, unsigned id)
{
    return port_read(c, RV_PORT_TIME);
}

static uint64_t stimecmp_read(RvCpu *c, unsigned id)
{
    return port_read(c, RV_PORT_STIMECMP);
}

static void stimecmp_write(RvCpu *c, unsigned id, uint64_t val)
{
    tcg_sync_time(&c->cpu);
    cpu_port_write(&c->cpu, CPU_PORT_TIMER, RV_PORT_STIMECMP, (CpuPortCtx){ .el = c->priv }, val);
}

/* ---- status ---- */

static uint64_t with_sd(uint64_t s)
{
    return (s & MSTATUS_FS) == MSTATUS_FS ? s | MSTATUS_SD : s;
}

static uint64_t mstatus_read(RvCpu *c, unsigned id)
{
    return with_sd(c->mstatus);
}

static void status_set(RvCpu *c, uint64_t val, uint64_t mask)
{
    mask &= rv_has(c, RV_FEAT_f) ? ~0ull : ~MSTATUS_FS;
    c->mstatus = (c->mstatus & ~mask) | (val & mask);
}

static void mstatus_write(RvCpu *c, unsigned id, uint64_t val)
{
    uint64_t mpp = val >> MSTATUS_MPP_SHIFT & 3;

    status_set(c, val, MSTATUS_BITS | (mpp == 2 ? 0 : MSTATUS_MPP));
}

static uint64_t sstatus_read(RvCpu *c, unsigned id)
{
    return with_sd(c->mstatus & (SSTATUS_BITS | MSTATUS_UXL));
}

static void sstatus_write(RvCpu *c, unsigned id, uint64_t val)
{
    status_set(c, val, SSTATUS_BITS);
}

/* ---- interrupts ---- */

static bool sstc_on(const RvCpu *c)
{
    return rv_has(c, RV_FEAT_sstc) && c->csr[CSR_menvcfg] & MENVCFG_STCE;
}

/* With Sstc on, STIP is the comparator's; else it is software's. */
uint64_t rv_mip(const RvCpu *c)
{
    uint32_t l = cpu_lines(&c->cpu);
    uint32_t mip = l & (1u << RV_LINE_SSI | 1u << RV_LINE_MSI | 1u << RV_LINE_MTI | 1u << RV_LINE_MEI);

    mip |= l >> (sstc_on(c) ? RV_LINE_STI : LINE_SW_STI) & 1 ? MIP_STIP : 0;
    return mip | ((l >> RV_LINE_SEI | l >> LINE_SW_SEI) & 1 ? MIP_SEIP : 0);
}

static uint64_t mip_read(RvCpu *c, unsigned id)
{
    return rv_mip(c);
}

static void mip_set(RvCpu *c, uint64_t val, uint64_t mask)
{
    if (mask & MIP_SSIP) {
        cpu_line(&c->cpu, RV_LINE_SSI, val >> 1 & 1);
    }
    if (mask & MIP_STIP && !sstc_on(c)) {
        cpu_line(&c->cpu, LINE_SW_STI, val >> 5 & 1);
    }
    if (mask & MIP_SEIP) {
        cpu_line(&c->cpu, LINE_SW_SEI, val >> 9 & 1);
    }
}

static void mip_write(RvCpu *c, unsigned id, uint64_t val)
{
    mip_set(c, val, MIP_SSIP | MIP_STIP | MIP_SEIP);
}

static uint64_t sip_read(RvCpu *c, unsigned id)
{
    return rv_mip(c) & c->csr[CSR_mideleg];
}

static void sip_write(RvCpu *c, unsigned id, uint64_t val)
{
    mip_set(c, val, MIP_SSIP & c->csr[CSR_mideleg]);
}

static uint64_t sie_read(RvCpu *c, unsigned id)
{
    return c->csr[CSR_mie] & c->csr[CSR_mideleg];
}

static void sie_write(RvCpu *c, unsigned id, uint64_t val)
{
    uint64_t d = c->csr[CSR_mideleg];

    c->csr[CSR_mie] = (c->csr[CSR_mie] & ~d) | (val & d);
}

/* ---- the others ---- */

static void tvec_write(RvCpu *c, unsigned id, uint64_t val)
{
    if (!(val & 2)) {           /* modes 2 and 3 are reserved: nothing changes */
        c->csr[id] = val;
    }
}

static void satp_write(RvCpu *c, unsigned id, uint64_t val)
{
    unsigned mode = val >> 60;

    if (c->mmu && (mode == 0 || (mode >= 8 && mode - 8 <= c->sv))) {
        c->csr[CSR_satp] = val;
    }
}

static void menvcfg_write(RvCpu *c, unsigned id, uint64_t val)
{
    uint64_t mask = 1 | (rv_has(c, RV_FEAT_zicbom) ? 7ull << ENVCFG_CBIE_SHIFT : 0) | (rv_has(c, RV_FEAT_zicboz) ? ENVCFG_CBZE : 0) |
                    (rv_has(c, RV_FEAT_svadu) ? MENVCFG_ADUE : 0) | (rv_has(c, RV_FEAT_svpbmt) ? MENVCFG_PBMTE : 0) | (rv_has(c, RV_FEAT_sstc) ? MENVCFG_STCE : 0);
    uint64_t old = c->csr[CSR_menvcfg];

    c->csr[CSR_menvcfg] = (old & ~mask) | (val & mask);
    if ((old ^ c->csr[CSR_menvcfg]) & (MENVCFG_ADUE | MENVCFG_PBMTE)) {
        tcg_flush_all(&c->cpu);
    }
}

static uint64_t hartid_read(RvCpu *c, unsigned id)
{
    return c->hartid;
}

static uint64_t misa_read(RvCpu *c, unsigned id)
{
#define FEAT(name, letter, text, on) { RV_FEAT_##name, letter },
    static const struct { uint8_t feature; char letter; } rows[] = {
#include "target/riscv/features.def"
    };
#undef FEAT
    uint64_t misa = 2ull << 62 | 1ull << ('s' - 'a') | 1ull << ('u' - 'a');

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (rows[i].letter && rv_has(c, rows[i].feature)) {
            misa |= 1ull << (rows[i].letter - 'a');
        }
    }
    return misa;
}

static void ignore_write(RvCpu *c, unsigned id, uint64_t val)
{
}

/* ---- the table ---- */

const RvCsr rv_csrs[] = {
#define FLAG_0 0
#define FLAG_SLOT RV_CSR_SLOT
#define FLAG_COUNTER RV_CSR_COUNTER
#define FLAG_FP RV_CSR_FP
#define CSR(name, number, feat, mask, flags, read, write) { #name, number, RV_FEAT_##feat, FLAG_##flags, mask, read, write },
#include "target/riscv/csrs.def"
#undef CSR
};

int rv_csr_by_number(unsigned number)
{
    for (unsigned i = 0; i < CSR_COUNT; i++) {
        if (rv_csrs[i].number == number) {
            return (int)i;
        }
    }
    return -1;
}

void rv_csr_reset(RvCpu *c)
{
    memset(c->csr, 0, sizeof(c->csr));
    c->mstatus = MSTATUS_XLEN;
    c->csr[CSR_menvcfg] = rv_has(c, RV_FEAT_svadu) ? MENVCFG_ADUE : 0;
    c->cycle_off = c->instret_off = 0;
}

/* Event counters 3-31: there are none, so they are 0. */
static bool is_event_csr(unsigned n)
{
    return (n >= 0xc03 && n <= 0xc1f) || (n >= 0xb03 && n <= 0xb1f) || (n >= 0x323 && n <= 0x33f);
}

static bool counter_enabled(const RvCpu *c, unsigned number)
{
    uint64_t bit = 1ull << (number & 31);

    return c->priv == PRIV_M || (c->csr[CSR_mcounteren] & bit && (c->priv == PRIV_S || c->csr[CSR_scounteren] & bit));
}

static bool allowed(const RvCpu *c, unsigned number, int id, bool write)
{
    if ((number >> 8 & 3) > c->priv || (write && number >> 10 == 3)) {
        return false;
    }
    if (number >> 8 == 0xc && (id < 0 || rv_csrs[id].flags & RV_CSR_COUNTER) && !counter_enabled(c, number)) {
        return false;
    }
    if (id < 0) {
        return true;
    }
    if (rv_csrs[id].flags & RV_CSR_FP && !(c->mstatus & MSTATUS_FS)) {
        return false;
    }
    if (id == CSR_time && !c->cpu.ports[CPU_PORT_TIMER].read) {
        return false;
    }
    if (id == CSR_stimecmp && c->priv != PRIV_M && !(sstc_on(c) && c->csr[CSR_mcounteren] & 2)) {
        return false;
    }
    return !(id == CSR_satp && c->priv == PRIV_S && c->mstatus & MSTATUS_TVM);
}

bool rv_csr_access(RvCpu *c, unsigned number, uint64_t *old, const uint64_t *val, bool debugger)
{
    int id = rv_csr_by_number(number);
    const RvCsr *r = &rv_csrs[MAX(id, 0)];
    uint64_t v = val ? *val : 0;

    if ((id >= 0 && !rv_has(c, r->feature)) || (!debugger && !allowed(c, number, id, val))) {
        return false;
    }
    if (id < 0) {
        if (is_event_csr(number)) {
            if (old) {
                *old = 0;
            }
            return true;
        }
        return (!old || rv_pmp_csr(c, number, false, old)) && (!val || rv_pmp_csr(c, number, true, &v));
    }
    if (old) {
        *old = r->read ? r->read(c, (unsigned)id) : c->csr[id];
    }
    if (val && r->write) {
        r->write(c, (unsigned)id, v);
    } else if (val && r->mask) {
        c->csr[id] = (c->csr[id] & ~r->mask) | (v & r->mask);
    }
    return true;
}
