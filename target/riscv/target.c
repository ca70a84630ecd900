/* SPDX-License-Identifier: MIT */
/* What the compiler knows of RV64: slots and runtime routines; what the accelerator calls. */
#include "target/riscv/disas.h"
#include "target/riscv/rt.h"
#include "target/riscv/translate.h"

#define AT(f_) ((int32_t)offsetof(RvCpu, f_) - (int32_t)offsetof(RvCpu, env))
#define X(n_, pin_) { .name = "x" #n_, .type = IR_I64, .offset = AT(x[n_]), .pin = pin_ }
#define F(n_) { .name = "f" #n_, .type = IR_F64, .offset = AT(f[n_]) }

/* Pins: the argument registers and the stack, which compressed code prefers too. */
static const TcgSlot slots[] = {
    X(1, 0), X(2, 3), X(3, 0), X(4, 0), X(5, 0), X(6, 0), X(7, 0), X(8, 5), X(9, 8), X(10, 2), X(11, 7), X(12, 9), X(13, 6), X(14, 4), X(15, 1),
    X(16, 0), X(17, 0), X(18, 10), X(19, 0), X(20, 0), X(21, 0), X(22, 0), X(23, 0), X(24, 0), X(25, 0), X(26, 0), X(27, 0), X(28, 0), X(29, 0), X(30, 0), X(31, 0),
    F(0), F(1), F(2), F(3), F(4), F(5), F(6), F(7), F(8), F(9), F(10), F(11), F(12), F(13), F(14), F(15),
    F(16), F(17), F(18), F(19), F(20), F(21), F(22), F(23), F(24), F(25), F(26), F(27), F(28), F(29), F(30), F(31),
    { .name = "mstatus", .type = IR_I64, .offset = AT(mstatus) },
    { .name = "cross", .type = IR_I32, .offset = AT(cross) },
#define FLAG_0(name)
#define FLAG_FP(name)
#define FLAG_COUNTER(name)
#define FLAG_SLOT(name_) { .name = #name_, .type = IR_I64, .offset = AT(csr[CSR_##name_]) },
#define CSR(name, number, feat, mask, flags, read, write) FLAG_##flags(name)
#include "target/riscv/csrs.def"
#undef CSR
};

int rv_slot_of_csr(unsigned id)
{
    int slot = SLOT_CSR;

    if (!(rv_csrs[id].flags & RV_CSR_SLOT)) {
        return -1;
    }
    for (unsigned i = 0; i < id; i++) {
        slot += rv_csrs[i].flags & RV_CSR_SLOT;
    }
    return slot;
}

static const RtRow rt_rows[] = {
#define RT(name, flags, ret, nargs) { #name, (void *)rt_rv_##name, flags, ret, nargs },
#include "target/riscv/rt.def"
#undef RT
};

const TcgTarget rv_tcg_target = {
    .name = "riscv64", .slots = slots, .nslots = sizeof(slots) / sizeof(slots[0]), .rt = rt_rows, .nrt = RT_COUNT,
    .pending_off = (int32_t)offsetof(RvCpu, cpu.pending) - (int32_t)offsetof(RvCpu, env),
};

static TcgEnv *env_of_cpu(Cpu *cpu)
{
    return &rv_cpu(cpu)->env;
}

/* Slots that the key depends on change in generated code: FS, and the crossing instruction. */
static uint64_t block_key(Cpu *cpu)
{
    rv_mode_changed(rv_cpu(cpu));
    return rv_cpu(cpu)->key;
}

static IrNanMode nan_mode(uint64_t key)
{
    return IR_NAN_RISCV;
}

static int disassemble(uint64_t key, const uint8_t *code, size_t len, vaddr pc, char *buf, size_t room)
{
    return rv_disas_bytes(code, len, pc, buf, room);
}

/*
 * The instruction at env.pc lies on two pages and its block was made for another second half, or without knowing any.  In the
 * latter case the block is forgotten: the page is there now, so the next one will know.
 */
static void crossing(RvCpu *c, bool unseen)
{
    uint16_t half;

    if (!tcg_fetch_half(&c->cpu, (c->env.pc | 0xfff) + 1, &half)) {
        return;
    }
    if (unseen) {
        tcg_forget_code(&c->cpu, c->env.pc, 2);
    } else {
        c->cross = 0x10000u | half;
    }
    c->env.exc = RV_EXC_NOTHING;
}

static void raise_code(Cpu *cpu, int64_t code)
{
    RvCpu *c = rv_cpu(cpu);
    uint64_t cause = (uint64_t)code & 0xff;

    if (code < 0) {
        crossing(c, code == RV_RAISE_CROSS_UNSEEN);
    } else {
        rv_raise(c, (RvCause)cause, cause == CAUSE_BREAKPOINT ? c->env.pc : (uint64_t)code >> 8);
    }
}

/* frm: RNE, RTZ, RDN, RUP, RMM;  MXCSR.RC: 0 nearest, 1 down, 2 up, 3 zero. */
static uint32_t mxcsr_from_guest(Cpu *cpu)
{
    static const uint8_t rc[8] = { 0, 3, 1, 2, 0, 0, 0, 0 };

    return 0x1f80 | (uint32_t)rc[rv_cpu(cpu)->frm] << 13;
}

static void mxcsr_to_guest(Cpu *cpu, uint32_t mxcsr)
{
    RvCpu *c = rv_cpu(cpu);

    c->fflags = rv_fflags_get(c);
}

static const TcgCpuOps rv_tcg_ops = {
    .tcg = &rv_tcg_target, .cpu = &rv_cpu_ops,
    .env = env_of_cpu, .block_key = block_key, .nan_mode = nan_mode, .translate = rv_translate, .disassemble = disassemble,
    .nmmu = 2, .context_key = rv_context_key, .asid = rv_asid, .walk = rv_walk,
    .raise_fault = rv_raise_fault, .raise_align = rv_raise_align, .raise_bus = rv_raise_bus, .raise_code = raise_code,
    .deliver = rv_deliver, .exc_none = RV_EXC_NOTHING, .take_irq = rv_take_irq, .has_work = rv_has_work,
    .mxcsr_from_guest = mxcsr_from_guest, .mxcsr_to_guest = mxcsr_to_guest,
};
TCG_CPU_OPS(rv_tcg_ops);
