/* SPDX-License-Identifier: MIT */
/* Traps and interrupts: The RISC-V Instruction Set Manual, volume II, 3.1.6 to 3.1.16, 3.3.2 and 4.1. */
#include "target/riscv/cpu.h"

#include "util/log.h"

void rv_mode_changed(RvCpu *c)
{
    uint64_t s = c->mstatus, k = c->priv, env = ~0ull;

    if (c->priv == PRIV_M && s & MSTATUS_MPRV && (s & MSTATUS_MPP) != MSTATUS_MPP) {
        k |= KEY_MPRV;
    }
    if (s & MSTATUS_FS) {
        k |= KEY_FP | ((s & MSTATUS_FS) == MSTATUS_FS ? KEY_FP_DIRTY : 0);
    }
    if (c->priv != PRIV_M) {
        env = c->csr[CSR_menvcfg] & (c->priv == PRIV_U ? c->csr[CSR_senvcfg] : ~0ull);
    }
    k |= (uint64_t)c->frm << KEY_FRM_SHIFT;
    k |= (s & MSTATUS_TVM ? KEY_TVM : 0) | (s & MSTATUS_TW ? KEY_TW : 0) | (s & MSTATUS_TSR ? KEY_TSR : 0);
    k |= (env & ENVCFG_CBZE ? KEY_CBZ : 0) | (env & ENVCFG_CBCFE ? KEY_CBCF : 0) | (env >> ENVCFG_CBIE_SHIFT & 3 ? KEY_CBI : 0);
    k |= c->open_res ? KEY_OPEN_RES : 0;
    k |= c->cross ? KEY_CROSS | (uint64_t)(c->cross & 0xffff) << KEY_CROSS_SHIFT : 0;
    c->key = k;
}

void rv_raise(RvCpu *c, RvCause cause, uint64_t tval)
{
    c->exc.cause = cause;
    c->exc.tval = tval;
    c->env.exc = RV_EXC_TRAP;
}

/* ---- entry ---- */

static vaddr vector(uint64_t tvec, bool interrupt, uint64_t cause)
{
    return (tvec & ~3ull) + (interrupt && tvec & 1 ? 4 * cause : 0);
}

static void enter_s(RvCpu *c, bool interrupt, uint64_t cause, uint64_t tval)
{
    uint64_t s = c->mstatus & ~(MSTATUS_SPIE | MSTATUS_SIE | MSTATUS_SPP);

    s |= (c->mstatus & MSTATUS_SIE ? MSTATUS_SPIE : 0) | (c->priv == PRIV_S ? MSTATUS_SPP : 0);
    c->mstatus = s;
    c->csr[CSR_scause] = cause | (uint64_t)interrupt << 63;
    c->csr[CSR_sepc] = c->env.pc;
    c->csr[CSR_stval] = tval;
    c->env.pc = vector(c->csr[CSR_stvec], interrupt, cause);
    c->priv = PRIV_S;
}

static void enter_m(RvCpu *c, bool interrupt, uint64_t cause, uint64_t tval)
{
    uint64_t s = c->mstatus & ~(MSTATUS_MPIE | MSTATUS_MIE | MSTATUS_MPP);

    s |= (c->mstatus & MSTATUS_MIE ? MSTATUS_MPIE : 0) | (uint64_t)c->priv << MSTATUS_MPP_SHIFT;
    c->mstatus = s;
    c->csr[CSR_mcause] = cause | (uint64_t)interrupt << 63;
    c->csr[CSR_mepc] = c->env.pc;
    c->csr[CSR_mtval] = tval;
    c->env.pc = vector(c->csr[CSR_mtvec], interrupt, cause);
    c->priv = PRIV_M;
}

static void enter(RvCpu *c, bool interrupt, uint64_t cause, uint64_t tval)
{
    uint64_t deleg = c->csr[interrupt ? CSR_mideleg : CSR_medeleg], from = c->env.pc;

    c->cross = 0;
    if (c->priv != PRIV_M && deleg >> cause & 1) {
        enter_s(c, interrupt, cause, tval);
    } else {
        enter_m(c, interrupt, cause, tval);
    }
    rv_mode_changed(c);
    log_at(LOG_INT, "cpu%d: %s %" PRIu64 " pc=%#" PRIx64 " tval=%#" PRIx64 " -> %#" PRIx64, c->cpu.index, interrupt ? "interrupt" : "exception",
           cause, from, tval, c->env.pc);
}

void rv_deliver(Cpu *cpu)
{
    RvCpu *c = rv_cpu(cpu);
    uint32_t kind = c->env.exc;

    c->env.exc = RV_EXC_NONE;
    if (kind == RV_EXC_TRAP) {
        enter(c, false, c->exc.cause, c->exc.tval);
    }
}

bool rv_take_irq(Cpu *cpu)
{
    static const uint8_t order[] = { 11, 3, 7, 9, 1, 5 };           /* M external, software, timer; S the same: 3.1.9 */
    RvCpu *c = rv_cpu(cpu);
    uint64_t due = rv_mip(c) & c->csr[CSR_mie], deleg = c->csr[CSR_mideleg], now = 0;

    if (c->priv != PRIV_M || c->mstatus & MSTATUS_MIE) {
        now = due & ~deleg;
    }
    if (!now && (c->priv == PRIV_U || (c->priv == PRIV_S && c->mstatus & MSTATUS_SIE))) {
        now = due & deleg;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(order); i++) {
        if (now >> order[i] & 1) {
            enter(c, true, order[i], 0);
            return true;
        }
    }
    return false;
}

/* WFI ends for an interrupt that is enabled, whether it is taken or not. */
bool rv_has_work(Cpu *cpu)
{
    RvCpu *c = rv_cpu(cpu);

    return rv_mip(c) & c->csr[CSR_mie];
}

uint64_t rv_return(RvCpu *c, RvPriv from)
{
    uint64_t s = c->mstatus, pc;

    c->res_addr = UINT64_MAX;
    tcg_monitor_clear(&c->cpu);
    if (from == PRIV_M) {
        c->priv = s >> MSTATUS_MPP_SHIFT & 3;
        s = (s & ~(MSTATUS_MIE | MSTATUS_MPP)) | (s & MSTATUS_MPIE ? MSTATUS_MIE : 0) | MSTATUS_MPIE;
        pc = c->csr[CSR_mepc];
    } else {
        c->priv = s & MSTATUS_SPP ? PRIV_S : PRIV_U;
        s = (s & ~(MSTATUS_SIE | MSTATUS_SPP)) | (s & MSTATUS_SPIE ? MSTATUS_SIE : 0) | MSTATUS_SPIE;
        pc = c->csr[CSR_sepc];
    }
    c->mstatus = c->priv == PRIV_M ? s : s & ~MSTATUS_MPRV;
    rv_mode_changed(c);
    return pc;
}
