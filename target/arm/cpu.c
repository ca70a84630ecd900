/* SPDX-License-Identifier: MIT */
/* The processor as the rest of the machine sees it: reset, registers for boot code and debugger, saved state. */
#include "target/arm/cpu.h"

#include <string.h>

#include "hw/core/machine.h"
#include "target/arm/disas.h"
#include "target/arm/gdb.h"
#include "target/arm/mmu.h"
#include "target/arm/sysregs.h"

/* MXCSR: IE 0, DE 1, ZE 2, OE 3, UE 4, PE 5;  FPSR: IOC 0, DZC 1, OFC 2, UFC 3, IXC 4, IDC 7.
 * The host raises DE for operands that it did not flush; under DAZ (bit 6) only the evaluator does, for those that were. */
uint64_t a64_fpsr_of_mxcsr(uint32_t mxcsr)
{
    return (mxcsr & 1) | (mxcsr >> 1 & 0x1e) | ((mxcsr & 0x42) == 0x42 ? FPSR_IDC : 0);
}

uint64_t a64_fpsr_of_slots(const A64Cpu *c)
{
    uint64_t single = (c->idc[0][0] | c->idc[0][1]) & 0x7fffffff7fffffff, dbl = (c->idc[1][0] | c->idc[1][1]) << 1;

    return (c->qc[0] | c->qc[1] ? FPSR_QC : 0) | (single | dbl ? FPSR_IDC : 0);
}

uint64_t a64_fpsr_get(A64Cpu *c)
{
    return (c->fpsr | a64_fpsr_of_mxcsr(c->env.guest_mxcsr) | a64_fpsr_of_slots(c)) & 0x0800009f;
}

void a64_fpsr_set(A64Cpu *c, uint64_t val)
{
    c->env.guest_mxcsr &= ~0x3fu;
    c->qc[0] = c->qc[1] = 0;
    memset(c->idc, 0, sizeof(c->idc));
    c->fpsr = val & 0x0800009f;
}

/* Trap enables are not implemented (they read as zero); FZ16 with half precision. */
void a64_fpcr_set(A64Cpu *c, uint64_t val)
{
    c->fpcr = val & (0x07c00000 | (a64_has(c, A64_FEAT_fp16) ? FPCR_FZ16 : 0));
    a64_mode_changed(c);
}

/* Interrupt controller registers exist when the board has connected them. */
static void gic_field(A64Cpu *c)
{
    uint64_t *pfr0 = &c->sys[SR_ID_AA64PFR0_EL1];

    *pfr0 = (*pfr0 & ~(0xfull << 24)) | (uint64_t)(c->cpu.ports[CPU_PORT_GIC].read != NULL) << 24;
}

static void reset(Cpu *cpu)
{
    A64Cpu *c = a64_cpu(cpu);

    memset(c->x, 0, sizeof(c->x));
    memset(c->vreg, 0, sizeof(c->vreg));
    c->sp = c->sp_el1 = 0;
    c->n = c->z = c->c = c->v = 0;
    c->fpcr = 0;
    a64_fpsr_set(c, 0);
    a64_sysregs_reset(c);
    gic_field(c);
    c->sys[SR_PMCR_EL0] = a64_has(c, A64_FEAT_pmu) ? (c->sys[SR_MIDR_EL1] >> 24 & 0xff) << 24 | A64_PMU_COUNTERS << 11 | 1 << 6 : 0;
    c->sys[SR_OSLSR_EL1] = 10;
    c->el = 1;
    c->spsel = 1;
    c->daif = 15;
    c->pan = c->uao = c->dit = c->ssbs = c->env.landing = c->il = c->ss = c->stepped = c->debug_armed = 0;
    c->excl_addr = UINT64_MAX;
    c->excl_misses = 0;
    c->env.exc = 0;
    c->env.pc = c->rvbar;
    a64_timer_update(c, 0);
    a64_timer_update(c, 1);
    a64_pauth_update(c);
    a64_pmu_begin(c);
    a64_mode_changed(c);
}

static void set_pc(Cpu *cpu, vaddr pc)
{
    a64_cpu(cpu)->env.pc = pc;
}

static vaddr get_pc(Cpu *cpu)
{
    return a64_cpu(cpu)->env.pc;
}

/* PSCI CPU_ON: as after reset, at the entry point, with the context in x0. */
static void power_on(Cpu *cpu, uint64_t entry, uint64_t context)
{
    A64Cpu *c = a64_cpu(cpu);

    reset(cpu);
    c->env.pc = entry;
    c->x[0] = context;
}

static void dump(Cpu *cpu, uint32_t flags, GString *out)
{
    A64Cpu *c = a64_cpu(cpu);

    (void)flags;
    g_string_append_printf(out, " PC=%016" PRIx64 " ", c->env.pc);
    for (unsigned i = 0; i < 31; i++) {
        g_string_append_printf(out, "X%02u=%016" PRIx64 "%s", i, c->x[i], i % 3 == 1 ? "\n" : " ");
    }
    g_string_append_printf(out, " SP=%016" PRIx64 "\nPSTATE=%08x %c%c%c%c EL%u%c\n", c->sp, (unsigned)a64_pstate(c), c->n ? 'N' : '-', c->z ? 'Z' : '-',
                           c->c ? 'C' : '-', c->v ? 'V' : '-', c->el, c->spsel ? 'h' : 't');
    for (unsigned i = 0; i < SR_COUNT && flags & 1; i++) {
        if (!(a64_sysregs[i].access & SR_OP) && a64_has(c, a64_sysregs[i].feature)) {
            g_string_append_printf(out, "%s=%016" PRIx64 "\n", a64_sysregs[i].name, a64_sysreg_read(c, i));
        }
    }
}

/* The debugger's translation: as EL1 first, so that kernel and user addresses both work. */
static bool translate(Cpu *cpu, vaddr va, paddr *pa, uint64_t *page_size)
{
    A64Cpu *c = a64_cpu(cpu);
    uint32_t pan = c->pan;
    WalkResult res;
    bool ok;

    c->pan = 0;
    ok = a64_walk(cpu, va, ACC_LOAD, A64_MMU_CURRENT, true, &res) || a64_walk(cpu, va, ACC_FETCH, A64_MMU_CURRENT, true, &res);
    c->pan = pan;
    if (ok) {
        *pa = res.pa;
        *page_size = res.size;
    }
    return ok;
}

static bool reg_by_name(Cpu *cpu, const char *name, uint64_t *val)
{
    A64Cpu *c = a64_cpu(cpu);
    unsigned n;
    char tail;
    int id;

    if (sscanf(name, "x%u%c", &n, &tail) == 1 && n < 31) {
        *val = c->x[n];
    } else if (!strcmp(name, "pc")) {
        *val = c->env.pc;
    } else if (!strcmp(name, "sp")) {
        *val = c->sp;
    } else if (!strcmp(name, "cpsr") || !strcmp(name, "pstate")) {
        *val = a64_pstate(c);
    } else if ((id = a64_sysreg_by_name(name)) >= 0 && !(a64_sysregs[id].access & SR_OP)) {
        *val = a64_sysreg_read(c, (unsigned)id);
    } else {
        return false;
    }
    return true;
}

static bool big_endian(Cpu *cpu)
{
    return a64_cpu(cpu)->key & KEY_BE;
}

static int disassemble(Cpu *cpu, const uint8_t *code, size_t len, vaddr pc, char *buf, size_t room)
{
    (void)cpu;
    if (len < 4) {
        return 0;
    }
    a64_disas(code[0] | code[1] << 8 | code[2] << 16 | (uint32_t)code[3] << 24, pc, buf, room);
    return 4;
}

/* ---- saved state ---- */

static void pre_save(void *obj)
{
    A64Cpu *c = obj;

    a64_pmu_sync(c);
    if (c->excl_addr == UINT64_MAX) {   /* what the last reservation was depends on where blocks begin, and nobody sees it */
        c->excl_size = 0;
        memset(c->excl_val, 0, sizeof(c->excl_val));
    }
}

static bool post_load(void *obj, Error **errp)
{
    A64Cpu *c = obj;

    (void)errp;
    a64_fpsr_set(c, c->fpsr);           /* what the processor had gathered before is gone */
    a64_features_update(c);
    a64_pauth_update(c);
    a64_pmu_begin(c);
    c->debug_armed = a64_debug_armed(&c->cpu);
    a64_mode_changed(c);
    a64_timer_update(c, 0);
    a64_timer_update(c, 1);
    return true;
}

static const StateField fields[] = {
    STATE_ARRAY(A64Cpu, x, uint64_t),
    STATE_U64(A64Cpu, sp),
    STATE_U64(A64Cpu, sp_el1),
    STATE_U64(A64Cpu, env.pc),
    STATE_U32(A64Cpu, n, .max = 1),
    STATE_U32(A64Cpu, z, .max = 1),
    STATE_U32(A64Cpu, c, .max = 1),
    STATE_U32(A64Cpu, v, .max = 1),
    STATE_BUF(A64Cpu, vreg),
    STATE_U32(A64Cpu, el, .max = 1),
    STATE_U32(A64Cpu, spsel, .max = 1),
    STATE_U32(A64Cpu, daif, .max = 15),
    STATE_U32(A64Cpu, pan, .max = 1),
    STATE_U32(A64Cpu, uao, .max = 1),
    STATE_U32(A64Cpu, dit, .max = 1),
    STATE_U32(A64Cpu, ssbs, .max = 1),
    STATE_U32(A64Cpu, env.landing, .max = 3),
    STATE_U32(A64Cpu, il, .max = 1),
    STATE_U32(A64Cpu, ss, .max = 1),
    STATE_U32(A64Cpu, stepped, .max = A64_STEPPED_EXCL),
    STATE_U64(A64Cpu, fpcr),
    STATE_U64(A64Cpu, fpsr),
    STATE_ARRAY(A64Cpu, sys, uint64_t),
    STATE_U64(A64Cpu, excl_addr),
    STATE_BUF(A64Cpu, excl_val),
    STATE_U32(A64Cpu, excl_size),
    STATE_U32(A64Cpu, excl_misses),
    STATE_I64(A64Cpu, excl_miss_at),
    STATE_BOOL(A64Cpu, open_excl),
    {}
};
static const StateTable state = { .name = "cpu-a64", .version = 1, .fields = fields, .pre_save = pre_save, .post_load = post_load };

const CpuOps a64_cpu_ops = {
    .arch = "aarch64", .state = &state, .reset = reset, .set_pc = set_pc, .get_pc = get_pc, .has_work = a64_has_work, .dump = dump,
    .gdb_xml = a64_gdb_xml, .gdb_read = a64_gdb_read, .gdb_write = a64_gdb_write, .gdb_core_regs = 34,
    .translate = translate, .reg_by_name = reg_by_name, .big_endian = big_endian, .disassemble = disassemble, .power_on = power_on,
};

/* ---- arm-cpu.h ---- */

IrqLine *arm_cpu_wire(Cpu *cpu, ArmWire wire)
{
    return &a64_cpu(cpu)->wire[wire];
}

void arm_cpu_set_reg(Cpu *cpu, unsigned n, uint64_t val)
{
    A64Cpu *c = a64_cpu(cpu);

    if (n == 31) {
        c->sp = val;
    } else {
        c->x[n] = val;
    }
}

uint64_t arm_cpu_get_reg(Cpu *cpu, unsigned n)
{
    A64Cpu *c = a64_cpu(cpu);

    return n == 31 ? c->sp : c->x[n];
}

uint64_t arm_cpu_mpidr(const Cpu *cpu)
{
    return ((const A64Cpu *)cpu)->mp_affinity;
}

uint64_t arm_cpu_midr(const Cpu *cpu)
{
    return ((const A64Cpu *)cpu)->sys[SR_MIDR_EL1];
}
