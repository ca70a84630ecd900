/* SPDX-License-Identifier: MIT */
/* What the compiler knows of AArch64: slots and runtime routines. */
#include "target/arm/disas.h"
#include "target/arm/mmu.h"
#include "target/arm/rt.h"
#include "target/arm/rt-simd.h"
#include "target/arm/sysregs.h"
#include "target/arm/translate.h"

#define AT(f) ((int32_t)offsetof(A64Cpu, f) - (int32_t)offsetof(A64Cpu, env))
#define X(n_, pin_) { .name = "x" #n_, .type = IR_I64, .offset = AT(x[n_]), .pin = pin_ }
#define FLAG(f) { .name = #f, .type = IR_I32, .offset = AT(f), .is_bool = true }
#define V(n_) { .name = "v" #n_, .type = IR_V128, .offset = AT(vreg[n_]) }
#define S(r) { .name = #r, .type = IR_I64, .offset = AT(sys[SR_##r]) }

/* Pins by a static count over a kernel and a C library: the argument registers, the stack, what compilers keep in x19 and x20. */
static const TcgSlot slots[] = {
    X(0, 1), X(1, 2), X(2, 4), X(3, 5), X(4, 0), X(5, 0), X(6, 0), X(7, 0), X(8, 10), X(9, 0), X(10, 0), X(11, 0), X(12, 0), X(13, 0), X(14, 0), X(15, 0),
    X(16, 0), X(17, 0), X(18, 0), X(19, 6), X(20, 9), X(21, 0), X(22, 0), X(23, 0), X(24, 0), X(25, 0), X(26, 0), X(27, 0), X(28, 0), X(29, 7), X(30, 8),
    { .name = "sp", .type = IR_I64, .offset = AT(sp), .pin = 3 },
    FLAG(n), FLAG(z), FLAG(c), FLAG(v),
    V(0), V(1), V(2), V(3), V(4), V(5), V(6), V(7), V(8), V(9), V(10), V(11), V(12), V(13), V(14), V(15),
    V(16), V(17), V(18), V(19), V(20), V(21), V(22), V(23), V(24), V(25), V(26), V(27), V(28), V(29), V(30), V(31),
    S(SPSR_EL1), S(ELR_EL1), S(ESR_EL1), S(FAR_EL1), S(TPIDR_EL1), S(TPIDR_EL0), S(TPIDRRO_EL0),
    { .name = "daif", .type = IR_I32, .offset = AT(daif) },
    { .name = "ss", .type = IR_I32, .offset = AT(ss) },
    { .name = "qc", .type = IR_V128, .offset = AT(qc) },
    { .name = "stepped", .type = IR_I32, .offset = AT(stepped) },
    { .name = "btype", .type = IR_I32, .offset = AT(env.landing) },
    { .name = "idc32", .type = IR_V128, .offset = AT(idc[0]) },
    { .name = "idc64", .type = IR_V128, .offset = AT(idc[1]) },
};
_Static_assert(sizeof(slots) / sizeof(slots[0]) == SLOT_IDC + 2, "slots and their numbers");

int a64_slot_of_sysreg(unsigned id)
{
    static const uint16_t order[] = { SR_SPSR_EL1, SR_ELR_EL1, SR_ESR_EL1, SR_FAR_EL1, SR_TPIDR_EL1, SR_TPIDR_EL0, SR_TPIDRRO_EL0 };

    for (unsigned i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
        if (order[i] == id) {
            return SLOT_SYS + i;
        }
    }
    return -1;
}

static const RtRow rt_rows[] = {
#define RT(name, flags, ret, nargs) { #name, (void *)rt_a64_##name, flags, ret, nargs },
#include "target/arm/rt.def"
#undef RT
#define RT_SIMD(name) { #name, (void *)rt_a64_##name, RT_PURE, RT_NONE, 4 },
#include "target/arm/rt-simd.def"
#undef RT_SIMD
};

const TcgTarget a64_tcg_target = {
    .name = "aarch64", .slots = slots, .nslots = sizeof(slots) / sizeof(slots[0]), .rt = rt_rows, .nrt = RT_COUNT,
    .pending_off = (int32_t)offsetof(A64Cpu, cpu.pending) - (int32_t)offsetof(A64Cpu, env),
};

static TcgEnv *env_of_cpu(Cpu *cpu)
{
    return &a64_cpu(cpu)->env;
}

static uint64_t block_key(Cpu *cpu)
{
    A64Cpu *c = a64_cpu(cpu);

    if (c->key & KEY_FZ) {
        c->fpsr |= a64_fpsr_of_mxcsr(c->env.guest_mxcsr);       /* KEY_IXC */
    }
    if (c->key & (KEY_SS | KEY_SS_DUE | KEY_DEBUG_D | KEY_FZ)) {
        a64_mode_changed(c);            /* PSTATE.SS and D are slots */
    }
    return c->key;
}

static IrNanMode nan_mode(uint64_t key)
{
    return key & KEY_DN ? IR_NAN_ARM_DEFAULT : IR_NAN_ARM;
}

static bool counted(uint64_t key)
{
    return key & KEY_COUNT;
}

static void insns_due(Cpu *cpu)
{
    a64_pmu_sync(a64_cpu(cpu));
}

static int disassemble(uint64_t key, const uint8_t *code, size_t len, vaddr pc, char *buf, size_t room)
{
    uint32_t w;

    (void)key;
    if (len < 4) {
        return 0;
    }
    w = code[0] | code[1] << 8 | code[2] << 16 | (uint32_t)code[3] << 24;
    a64_disas(w, pc, buf, room);
    return 4;
}

/* ir_raise: an ESR value, or one of the codes of translate.h. */
static void raise_code(Cpu *cpu, int64_t code)
{
    A64Cpu *c = a64_cpu(cpu);

    if (code == A64_RAISE_STEP) {
        a64_raise_step(c);
    } else if (code == A64_RAISE_BREAK) {
        a64_raise(c, EC_BREAKPOINT_LOW + c->el, FSC_DEBUG);
    } else if (code < 0) {
        a64_raise(c, EC_PC_ALIGN, 0);
        c->exc.far = c->env.pc;
        c->exc.set_far = true;
    } else {
        a64_raise_esr(c, (uint64_t)code & 0xffffffff, code >> 32 & 1);
    }
}

/* FPCR.RMode: 0 nearest, 1 +inf, 2 -inf, 3 zero;  MXCSR.RC: 0 nearest, 1 -inf, 2 +inf, 3 zero. */
static uint32_t mxcsr_from_guest(Cpu *cpu)
{
    static const uint32_t rc[4] = { 0, 2, 1, 3 };
    A64Cpu *c = a64_cpu(cpu);

    return 0x1f80 | rc[c->fpcr >> FPCR_RMODE_SHIFT & 3] << 13 | (c->fpcr & FPCR_FZ ? 0x8040 : 0);
}

static void mxcsr_to_guest(Cpu *cpu, uint32_t mxcsr)
{
    A64Cpu *c = a64_cpu(cpu);

    c->fpsr |= a64_fpsr_of_mxcsr(mxcsr) | a64_fpsr_of_slots(c);
}

static const TcgCpuOps a64_tcg_ops = {
    .tcg = &a64_tcg_target, .cpu = &a64_cpu_ops,
    .env = env_of_cpu, .block_key = block_key, .landing_key = a64_landing_key, .counted = counted, .insns_due = insns_due, .nan_mode = nan_mode, .translate = a64_translate, .disassemble = disassemble,
    .nmmu = 2, .context_key = a64_context_key, .asid = a64_asid, .walk = a64_walk,
    .raise_fault = a64_raise_fault, .raise_align = a64_raise_align, .raise_bus = a64_raise_bus, .raise_code = raise_code, .raise_debug = a64_raise_watch,
    .debug_armed = a64_debug_armed, .own_breaks = a64_own_breaks, .page_watched = a64_page_watched, .watched = a64_watched,
    .deliver = a64_deliver, .exc_none = A64_EXC_NOTHING, .atomic_reads = true, .take_irq = a64_take_irq, .has_work = a64_has_work,
    .mxcsr_from_guest = mxcsr_from_guest, .mxcsr_to_guest = mxcsr_to_guest,
};
TCG_CPU_OPS(a64_tcg_ops);
