/* SPDX-License-Identifier: MIT */
/* Translation for the accelerator, and its faults. */
#include "target/riscv/cpu.h"
#include "target/riscv/mmu-walk.h"
#include "target/riscv/translate.h"
#include "util/log.h"

static bool read_pte(void *opaque, uint64_t pa, uint64_t *pte)
{
    RvCpu *c = opaque;
    MemHit hit;
    bool ok;

    if (!(rv_pmp_prot(c, pa, PRIV_S) & 1)) {
        return false;
    }
    mem_read_begin();
    mem_translate(c->cpu.as, pa, 8, false, &hit);
    ok = hit.ram && hit.len >= 8;
    if (ok) {
        *pte = __atomic_load_n((uint64_t *)(void *)hit.host, __ATOMIC_ACQUIRE);
    }
    mem_read_end();
    return ok;
}

static bool update_pte(void *opaque, uint64_t pa, uint64_t old, uint64_t val, bool *same)
{
    RvCpu *c = opaque;
    MemHit hit;
    bool ok;

    if (!(rv_pmp_prot(c, pa, PRIV_S) & 2)) {
        return false;
    }
    mem_read_begin();
    mem_translate(c->cpu.as, pa, 8, true, &hit);
    ok = hit.ram && hit.len >= 8;
    if (ok) {
        *same = __atomic_compare_exchange_n((uint64_t *)(void *)hit.host, &old, val, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
        mem_written(address_space_memory(c->cpu.as), hit.ram_addr, 8);
    }
    mem_read_end();
    return ok;
}

/* The privilege of data accesses: MPRV lends machine mode that of MPP. */
static RvPriv data_priv(const RvCpu *c, unsigned mmu_idx)
{
    return mmu_idx == RV_MMU_DATA && c->mstatus & MSTATUS_MPRV ? (RvPriv)(c->mstatus >> MSTATUS_MPP_SHIFT & 3) : (RvPriv)c->priv;
}

static bool paged(const RvCpu *c, RvPriv priv)
{
    return priv != PRIV_M && c->csr[CSR_satp] >> 60;
}

bool rv_walk(Cpu *cpu, vaddr va, AccType acc, unsigned mmu_idx, bool probe, WalkResult *res)
{
    static const RvWalkAcc accs[] = { [ACC_LOAD] = RV_WALK_LOAD, [ACC_STORE] = RV_WALK_STORE, [ACC_FETCH] = RV_WALK_FETCH };
    RvCpu *c = rv_cpu(cpu);
    RvPriv priv = data_priv(c, mmu_idx);
    RvMapping m = { .pa = va, .size = 4096, .prot = 7, .global = false };
    RvWalkResult got = RV_WALK_OK;

    if (paged(c, priv)) {
        RvRegime r = {
            .satp = c->csr[CSR_satp], .user = priv == PRIV_U, .sum = c->mstatus & MSTATUS_SUM, .mxr = c->mstatus & MSTATUS_MXR,
            .adue = c->csr[CSR_menvcfg] & MENVCFG_ADUE, .pbmte = c->csr[CSR_menvcfg] & MENVCFG_PBMTE, .napot = rv_has(c, RV_FEAT_svnapot),
            .read = read_pte, .update = update_pte, .opaque = c };

        got = rv_walk_regime(&r, va, accs[acc], !probe, &m);
    }
    if (got == RV_WALK_OK) {
        m.prot &= rv_pmp_prot(c, m.pa, priv);
        if (!(m.prot >> accs[acc] & 1)) {
            got = RV_WALK_ACCESS_FAULT;
        }
    }
    if (got != RV_WALK_OK) {
        if (!probe) {
            c->walk_access = got == RV_WALK_ACCESS_FAULT;
        }
        return false;
    }
    *res = (WalkResult){ .pa = m.pa, .size = m.size, .prot = m.prot, .global = m.global };
    return true;
}

/* Bits 0-15 the ASID where there is translation; then privilege, SUM, MXR and the mode of satp. */
uint64_t rv_context_key(Cpu *cpu, unsigned mmu_idx)
{
    RvCpu *c = rv_cpu(cpu);
    RvPriv priv = data_priv(c, mmu_idx);

    if (!paged(c, priv)) {
        return (uint64_t)priv << 16;
    }
    return rv_asid(cpu) | (uint64_t)priv << 16 | (uint64_t)(priv == PRIV_S && c->mstatus & MSTATUS_SUM) << 18 | (uint64_t)!!(c->mstatus & MSTATUS_MXR) << 19 |
           c->csr[CSR_satp] >> 60 << 20;
}

uint16_t rv_asid(Cpu *cpu)
{
    return (uint16_t)(rv_cpu(cpu)->csr[CSR_satp] >> 44);
}

/* ---- faults ---- */

static void fault(RvCpu *c, vaddr va, AccType acc, bool access)
{
    static const uint8_t page[] = { [ACC_LOAD] = CAUSE_LOAD_PAGE, [ACC_STORE] = CAUSE_STORE_PAGE, [ACC_FETCH] = CAUSE_FETCH_PAGE };
    static const uint8_t phys[] = { [ACC_LOAD] = CAUSE_LOAD_ACCESS, [ACC_STORE] = CAUSE_STORE_ACCESS, [ACC_FETCH] = CAUSE_FETCH_ACCESS };

    log_at(LOG_MMU, "cpu%d: %s fault va=%#" PRIx64 " pc=%#" PRIx64 " access=%d", c->cpu.index, access ? "access" : "page", va, c->env.pc, acc);
    rv_raise(c, access ? phys[acc] : page[acc], va);
}

void rv_raise_fault(Cpu *cpu, vaddr va, AccType acc, unsigned mmu_idx, uint16_t word)
{
    fault(rv_cpu(cpu), va, word == RV_WORD_CBO ? ACC_STORE : acc, rv_cpu(cpu)->walk_access);
}

void rv_raise_align(Cpu *cpu, vaddr va, AccType acc, unsigned mmu_idx, uint16_t word)
{
    rv_raise(rv_cpu(cpu), acc == ACC_STORE ? CAUSE_STORE_ALIGN : CAUSE_LOAD_ALIGN, va);
}

void rv_raise_bus(Cpu *cpu, vaddr va, paddr pa, AccType acc, uint16_t word)
{
    fault(rv_cpu(cpu), va, acc, true);
}
