/* SPDX-License-Identifier: MIT */
/* PSTATE, exceptions and interrupts: Arm ARM (DDI 0487), D1.3 and D1.4. */
#include "target/arm/cpu.h"
#include "target/arm/sysregs.h"
#include "util/log.h"

/* ---- PSTATE ---- */

uint64_t a64_pstate(const A64Cpu *c)
{
    return (uint64_t)c->n << 31 | (uint64_t)c->z << 30 | (uint64_t)c->c << 29 | (uint64_t)c->v << 28 | (uint64_t)c->dit << 24 | (uint64_t)c->uao << 23 |
           (uint64_t)c->pan << 22 | (uint64_t)c->ss << 21 | (uint64_t)c->il << 20 | (uint64_t)c->ssbs << 12 | (uint64_t)c->env.landing << 10 |
           (uint64_t)c->daif << 6 | (uint64_t)c->el << 2 | c->spsel;
}

static uint64_t *sp_bank(A64Cpu *c)
{
    return c->el && c->spsel ? &c->sp_el1 : &c->sys[SR_SP_EL0];
}

void a64_sp_save(A64Cpu *c)
{
    *sp_bank(c) = c->sp;
}

void a64_sp_load(A64Cpu *c)
{
    c->sp = *sp_bank(c);
}

static void flags_from(A64Cpu *c, uint64_t spsr)
{
    c->n = spsr >> 31 & 1;
    c->z = spsr >> 30 & 1;
    c->c = spsr >> 29 & 1;
    c->v = spsr >> 28 & 1;
}

/* AArch32, EL2, EL3 and EL0 with its own SP_ELx do not exist: an illegal return keeps EL and sets IL. */
static bool legal(const A64Cpu *c, uint64_t spsr)
{
    unsigned mode = spsr & 0x1f;

    return mode == 0 || (c->el && (mode == 4 || mode == 5));
}

void a64_pstate_set(A64Cpu *c, uint64_t spsr)
{
    a64_sp_save(c);
    flags_from(c, spsr);
    c->daif = spsr >> 6 & 15;
    c->ss = spsr >> 21 & 1;
    c->stepped = 0;
    c->il = spsr >> 20 & 1;
    if (legal(c, spsr)) {
        c->el = spsr >> 2 & 3;
        c->spsel = spsr & 1;
        c->env.landing = a64_has(c, A64_FEAT_bti) ? spsr >> 10 & 3 : 0;
        c->ssbs = a64_has(c, A64_FEAT_ssbs) ? spsr >> 12 & 1 : 0;
        c->pan = a64_has(c, A64_FEAT_pan) ? spsr >> 22 & 1 : 0;
        c->uao = a64_has(c, A64_FEAT_uao) ? spsr >> 23 & 1 : 0;
        c->dit = a64_has(c, A64_FEAT_dit) ? spsr >> 24 & 1 : 0;
    } else {
        log_guest("cpu%d: illegal exception return, SPSR %#" PRIx64, c->cpu.index, spsr);
        c->il = 1;
    }
    a64_sp_load(c);
    a64_mode_changed(c);
}

void a64_mode_changed(A64Cpu *c)
{
    uint64_t s = c->sys[SR_SCTLR_EL1], fpen = c->sys[SR_CPACR_EL1] >> 20 & 3, k = 0;
    bool el1 = c->el;

    if (G_UNLIKELY(c->pmu.on) && c->pmu.el != c->el) {
        a64_pmu_sync(c);
    }
    k |= c->pmu.by_insns ? KEY_COUNT : 0;
    k |= el1 ? KEY_EL : 0;
    k |= c->spsel ? KEY_SPSEL : 0;
    k |= fpen == 3 || (fpen == 1 && el1) ? KEY_FP : 0;
    k |= c->fpcr & FPCR_DN ? KEY_DN : 0;
    k |= c->fpcr & FPCR_FZ ? KEY_FZ | (c->fpsr & FPSR_IXC ? KEY_IXC : 0) : 0;
    k |= c->fpcr & FPCR_FZ16 ? KEY_FZ16 : 0;
    k |= c->fpcr & FPCR_AHP ? KEY_AHP : 0;
    k |= (c->fpcr >> FPCR_RMODE_SHIFT & 3) << KEY_RMODE_SHIFT;
    k |= s & (el1 ? SCTLR_EE : SCTLR_E0E) ? KEY_BE : 0;
    k |= s & SCTLR_A ? KEY_ALIGN : 0;
    k |= s & (el1 ? SCTLR_SA : SCTLR_SA0) ? KEY_SPALIGN : 0;
    k |= el1 && !c->uao ? KEY_UNPRIV : 0;
    k |= s & SCTLR_UCT ? KEY_UCT : 0;
    k |= s & SCTLR_DZE ? KEY_DZE : 0;
    k |= s & SCTLR_UCI ? KEY_UCI : 0;
    k |= s & SCTLR_UMA ? KEY_UMA : 0;
    k |= s & SCTLR_NTWI ? KEY_NTWI : 0;
    k |= s & SCTLR_NTWE ? KEY_NTWE : 0;
    if (a64_has(c, A64_FEAT_pauth)) {
        k |= (s & SCTLR_ENIA ? KEY_ENIA : 0) | (s & SCTLR_ENIB ? KEY_ENIB : 0) | (s & SCTLR_ENDA ? KEY_ENDA : 0) | (s & SCTLR_ENDB ? KEY_ENDB : 0);
    }
    k |= s & (el1 ? SCTLR_BT1 : SCTLR_BT0) ? KEY_BTI : 0;
    k |= s & SCTLR_NAA ? KEY_NAA : 0;
    k |= c->il ? KEY_IL : 0;
    k |= c->open_excl ? KEY_OPEN_EXCL : 0;
    if (G_UNLIKELY(c->sys[SR_MDSCR_EL1])) {
        k |= a64_debug_key(c);
    }
    c->key = k;
}

/* ---- raising: state is precise, env.pc is the instruction ---- */

void a64_raise_esr(A64Cpu *c, uint64_t esr, bool after)
{
    c->exc = (A64Exc){ .esr = esr, .after = after };
    c->env.exc = A64_EXC_SYNC;
}

void a64_raise(A64Cpu *c, uint32_t ec, uint32_t iss)
{
    a64_raise_esr(c, (uint64_t)ec << 26 | ESR_IL | iss, false);
}

/* ---- entry: vector offset by kind (0 synchronous, 1 IRQ, 2 FIQ, 3 SError) and by where it comes from ---- */

static void enter(A64Cpu *c, unsigned kind, uint64_t ret)
{
    uint64_t spsr = a64_pstate(c);
    unsigned from = c->el == 0 ? 0x400 : c->spsel ? 0x200 : 0;

    if (G_UNLIKELY(c->pmu.on)) {
        a64_pmu_count(c, A64_EVENT_EXC_TAKEN);
    }
    a64_sp_save(c);
    c->sys[SR_SPSR_EL1] = spsr;
    c->sys[SR_ELR_EL1] = ret;
    c->env.pc = c->sys[SR_VBAR_EL1] + from + kind * 0x80;
    if (a64_has(c, A64_FEAT_pan) && !(c->sys[SR_SCTLR_EL1] & SCTLR_SPAN)) {
        c->pan = 1;
    }
    c->el = 1;
    c->spsel = 1;
    c->daif = 15;
    c->uao = c->ss = c->il = c->env.landing = c->stepped = 0;
    if (a64_has(c, A64_FEAT_ssbs)) {
        c->ssbs = c->sys[SR_SCTLR_EL1] >> 44 & 1;
    }
    a64_sp_load(c);
    a64_mode_changed(c);
    log_at(LOG_INT, "cpu%d: exception %u esr=%#" PRIx64 " elr=%#" PRIx64 " far=%#" PRIx64 " -> %#" PRIx64, c->cpu.index, kind,
           c->sys[SR_ESR_EL1], ret, c->sys[SR_FAR_EL1], c->env.pc);
}

void a64_deliver(Cpu *cpu)
{
    A64Cpu *c = a64_cpu(cpu);
    uint32_t kind = c->env.exc;

    c->env.exc = A64_EXC_NONE;
    if (kind != A64_EXC_SYNC) {
        return;                 /* A64_EXC_NOTHING: go on at env.pc */
    }
    c->sys[SR_ESR_EL1] = c->exc.esr;
    if (c->exc.set_far) {
        c->sys[SR_FAR_EL1] = c->exc.far;
    }
    if (c->exc.after) {
        c->ss = 0;              /* the instruction is complete */
    }
    enter(c, 0, c->env.pc + (c->exc.after ? 4 : 0));
}

/* Masked by PSTATE.I and F at EL1; EL0 code may have them masked too. */
bool a64_take_irq(Cpu *cpu)
{
    A64Cpu *c = a64_cpu(cpu);
    uint32_t p = cpu_lines(cpu);

    if (p & CPU_FIQ && !(c->daif & 1)) {
        enter(c, 2, a64_plain_pc(c, c->env.pc));
    } else if (p & CPU_IRQ && !(c->daif & 2)) {
        enter(c, 1, a64_plain_pc(c, c->env.pc));
    } else {
        return false;
    }
    return true;
}

/* WFI ends for an interrupt even when it is masked. */
bool a64_has_work(Cpu *cpu)
{
    return cpu_lines(cpu) & (CPU_IRQ | CPU_FIQ | CPU_SERROR);
}
