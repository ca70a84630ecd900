/* SPDX-License-Identifier: MIT */
/* Translation for the accelerator, its faults, and address translation instructions. */
#include "target/arm/mmu.h"

#include "target/arm/cpu.h"
#include "target/arm/translate.h"
#include "util/log.h"

/* Descriptors are read and updated in RAM; anything else is an external abort. */
static uint64_t *descriptor(A64Cpu *c, uint64_t pa, bool write)
{
    MemHit hit;

    mem_translate(c->cpu.as, pa, 8, write, &hit);
    return hit.ram && hit.len >= 8 ? (uint64_t *)(void *)hit.host : NULL;
}

static uint64_t endian(const A64Cpu *c, uint64_t v)
{
    return c->sys[SR_SCTLR_EL1] & SCTLR_EE ? __builtin_bswap64(v) : v;
}

static bool read_descriptor(void *opaque, uint64_t pa, uint64_t *desc)
{
    A64Cpu *c = opaque;
    uint64_t *p;

    mem_read_begin();
    p = descriptor(c, pa, false);
    if (p) {
        *desc = endian(c, __atomic_load_n(p, __ATOMIC_ACQUIRE));
    }
    mem_read_end();
    return p != NULL;
}

static bool update_descriptor(void *opaque, uint64_t pa, uint64_t old, uint64_t new)
{
    A64Cpu *c = opaque;
    MemHit hit;
    bool ok = false;

    old = endian(c, old);
    mem_read_begin();
    mem_translate(c->cpu.as, pa, 8, true, &hit);
    if (hit.ram && hit.len >= 8) {
        ok = __atomic_compare_exchange_n((uint64_t *)(void *)hit.host, &old, endian(c, new), false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
        mem_written(address_space_memory(c->cpu.as), hit.ram_addr, 8);
    }
    mem_read_end();
    return ok;
}

static A64Regime regime(A64Cpu *c, bool user, bool pan)
{
    static const uint8_t pa_bits[8] = { 32, 36, 40, 42, 44, 48, 52, 52 };

    return (A64Regime){
        .sctlr = c->sys[SR_SCTLR_EL1], .tcr = c->sys[SR_TCR_EL1], .ttbr = { c->sys[SR_TTBR0_EL1], c->sys[SR_TTBR1_EL1] }, .mair = c->sys[SR_MAIR_EL1],
        .pa_bits = pa_bits[c->sys[SR_ID_AA64MMFR0_EL1] & 7], .user = user, .pan = pan,
        .lva = a64_has(c, A64_FEAT_lva), .ttst = a64_has(c, A64_FEAT_ttst), .hafdbs = a64_has(c, A64_FEAT_hafdbs), .hafdbs2 = a64_has(c, A64_FEAT_hafdbs2),
        .hpds = a64_has(c, A64_FEAT_hpds), .e0pd = a64_has(c, A64_FEAT_e0pd), .gran16 = a64_has(c, A64_FEAT_gran16), .lpa2 = a64_has(c, A64_FEAT_lpa2),
        .read = read_descriptor, .update = update_descriptor, .opaque = c };
}

static bool as_user(const A64Cpu *c, unsigned mmu_idx)
{
    return c->el == 0 || mmu_idx == A64_MMU_USER;
}

vaddr a64_plain_pc(const A64Cpu *c, vaddr pc)
{
    unsigned half = pc >> 55 & 1;
    uint64_t tcr = c->sys[SR_TCR_EL1];

    if (!(tcr >> (37 + half) & 1) || (a64_has(c, A64_FEAT_pauth) && tcr >> (51 + half) & 1)) {
        return pc;
    }
    return half ? pc | 0xffull << 56 : pc & ~(0xffull << 56);
}

bool a64_walk(Cpu *cpu, vaddr va, AccType acc, unsigned mmu_idx, bool probe, WalkResult *res)
{
    A64Cpu *c = a64_cpu(cpu);
    bool user = as_user(c, mmu_idx);
    A64Regime r = regime(c, user, !user && c->pan);
    A64Mapping m;

    if (acc == ACC_FETCH && !probe && a64_plain_pc(c, va) != va) {
        return false;           /* raise_fault drops the tag */
    }
    if (!a64_walk_regime(&r, va, acc == ACC_LOAD ? WALK_LOAD : acc == ACC_STORE ? WALK_STORE : WALK_FETCH, !probe, &m)) {
        if (!probe) {
            c->fault.fsc = m.fsc;
        }
        res->device = (m.fsc & 0x3c) == FSC_PERMISSION && m.attr >> 4 == 0;
        return false;
    }
    *res = (WalkResult){ .pa = m.pa, .size = m.size, .prot = m.prot, .device = m.attr >> 4 == 0, .global = m.global, .guarded = m.guarded && a64_has(c, A64_FEAT_bti) };
    return true;
}

/* Bits 0-15 the ASID; then EL, PAN and whether translation is on. */
uint64_t a64_context_key(Cpu *cpu, unsigned mmu_idx)
{
    A64Cpu *c = a64_cpu(cpu);
    bool user = as_user(c, mmu_idx), on = c->sys[SR_SCTLR_EL1] & SCTLR_M;

    return (on ? a64_asid(cpu) : 0) | (uint64_t)!user << 16 | (uint64_t)(!user && c->pan) << 17 | (uint64_t)on << 18;
}

uint16_t a64_asid(Cpu *cpu)
{
    A64Cpu *c = a64_cpu(cpu);
    uint64_t tcr = c->sys[SR_TCR_EL1], ttbr = c->sys[tcr >> 22 & 1 ? SR_TTBR1_EL1 : SR_TTBR0_EL1];

    return (uint16_t)(ttbr >> 48) & (tcr >> 36 & 1 ? 0xffff : 0xff);
}

static void abort_at(A64Cpu *c, vaddr va, AccType acc, unsigned fsc, uint16_t word)
{
    bool cm = acc != ACC_FETCH && word & A64_WORD_CM;

    uint32_t ec = (acc == ACC_FETCH ? EC_IABORT_LOW : EC_DABORT_LOW) + c->el;

    log_at(LOG_MMU, "cpu%d: abort ec=%#x fsc=%#x va=%#" PRIx64 " pc=%#" PRIx64, c->cpu.index, ec, fsc, va, c->env.pc);
    a64_raise(c, ec, fsc | (acc == ACC_STORE || cm ? 1 << 6 : 0) | (cm ? 1 << 8 : 0));
    c->exc.far = va;
    c->exc.set_far = true;
}

/* Branches leave the tag in the pc: the first fetch faults and drops it. */
static bool drop_tag(A64Cpu *c, vaddr va)
{
    vaddr plain = a64_plain_pc(c, va);

    if (plain == va) {
        return false;
    }
    c->env.pc = plain;
    c->env.exc = A64_EXC_NOTHING;
    return true;
}

/* A misaligned pc comes before all that its page may be. */
static bool astray(A64Cpu *c, vaddr va)
{
    if (!(va & 3)) {
        return false;
    }
    a64_raise(c, EC_PC_ALIGN, 0);
    c->exc.far = va;
    c->exc.set_far = true;
    return true;
}

void a64_raise_fault(Cpu *cpu, vaddr va, AccType acc, unsigned mmu_idx, uint16_t word)
{
    A64Cpu *c = a64_cpu(cpu);

    (void)mmu_idx;
    if (acc == ACC_FETCH && (drop_tag(c, va) || astray(c, va))) {
        return;
    }
    abort_at(c, va, acc, c->fault.fsc, word);
}

void a64_raise_align(Cpu *cpu, vaddr va, AccType acc, unsigned mmu_idx, uint16_t word)
{
    (void)mmu_idx;
    abort_at(a64_cpu(cpu), va, acc, FSC_ALIGNMENT, word);
}

void a64_raise_bus(Cpu *cpu, vaddr va, paddr pa, AccType acc, uint16_t word)
{
    (void)pa;
    if (acc == ACC_FETCH && astray(a64_cpu(cpu), va)) {
        return;
    }
    abort_at(a64_cpu(cpu), va, acc, FSC_EXTERNAL, word);
}

/* AT S1E*: the result of a walk in PAR_EL1 (D19.2.112). */
void a64_at(A64Cpu *c, vaddr va, bool el0, bool write, bool pan)
{
    A64Regime r = regime(c, el0, pan);
    A64Mapping m;

    if (a64_walk_regime(&r, va, write ? WALK_STORE : WALK_LOAD, false, &m)) {
        bool device = m.attr >> 4 == 0;

        bool everywhere = device || m.attr == 0x44;             /* non-cacheable memory too is outer shareable */

        c->sys[SR_PAR_EL1] = (m.pa & 0x000ffffffffff000ull) | (uint64_t)m.attr << 56 | (uint64_t)(everywhere ? 2 : m.sh) << 7 | 1 << 11 | 1 << 9;
    } else {
        c->sys[SR_PAR_EL1] = (uint64_t)m.fsc << 1 | 1 << 11 | 1;
    }
}
