/* SPDX-License-Identifier: MIT */
/* The toy guest: front end, page walk, exceptions, board. */
#include "tests/accel/toy-target.h"
#include "tests/wait.h"

#include <string.h>

/* ---- state ---- */

#define SLOT_X(i) { .name = "x" #i, .type = IR_I64, .offset = offsetof(ToyCpu, x[i]) - offsetof(ToyCpu, env), .pin = i < 8 ? i + 1 : 0 }
static const TcgSlot slots[] = {
    SLOT_X(0), SLOT_X(1), SLOT_X(2), SLOT_X(3), SLOT_X(4), SLOT_X(5), SLOT_X(6), SLOT_X(7),
    SLOT_X(8), SLOT_X(9), SLOT_X(10), SLOT_X(11), SLOT_X(12), SLOT_X(13), SLOT_X(14), SLOT_X(15),
};

static ToyCpu *of_env(TcgEnv *env) { return (ToyCpu *)((char *)env - offsetof(ToyCpu, env)); }
static ToyCpu *toy(Cpu *cpu) { return (ToyCpu *)cpu; }

/* ---- routines ---- */

enum { RT_FLUSH, RT_FLUSHVA, RT_FLUSHALLCPU, RT_FLUSHVACPU, RT_SETASID, RT_SETPT, RT_STOP, RT_LDX, RT_STX, RT_TIME, RT_ERET, RT_IRQ, RT_SYSREG, RT_MTEPC };

static uint64_t rt_flush(TcgEnv *env) { tcg_flush_all(&of_env(env)->cpu); return 0; }
static uint64_t rt_flushva(TcgEnv *env, uint64_t va) { tcg_flush_range(&of_env(env)->cpu, va, 1, -1); return 0; }
static uint64_t rt_flushallcpu(TcgEnv *env)
{
    tcg_flush_all_broadcast(&of_env(env)->cpu);
    tcg_flush_wait(&of_env(env)->cpu);
    return 0;
}
static uint64_t rt_flushvacpu(TcgEnv *env, uint64_t va)
{
    tcg_flush_range_broadcast(&of_env(env)->cpu, va, 1, -1);
    tcg_flush_wait(&of_env(env)->cpu);
    return 0;
}
static uint64_t rt_setasid(TcgEnv *env, uint64_t asid) { of_env(env)->asid = asid; return 0; }
static uint64_t rt_setpt(TcgEnv *env, uint64_t pt) { of_env(env)->pt = pt; return 0; }
static uint64_t rt_stop(TcgEnv *env) { vcpu_power_off(&of_env(env)->cpu); return 0; }
static uint64_t rt_ldx(TcgEnv *env, uint64_t va)
{
    uint64_t val[2] = {};

    return tcg_monitor_load(&of_env(env)->cpu, va, 3, val) ? val[0] : 0;
}
static uint64_t rt_stx(TcgEnv *env, uint64_t va, uint64_t val)
{
    bool ok;

    return tcg_monitor_store(&of_env(env)->cpu, va, 3, (uint64_t[]){ val, 0 }, &ok) ? !ok : 1;
}
static uint64_t rt_time(TcgEnv *env)
{
    tcg_sync_time(&of_env(env)->cpu);
    return (uint64_t)clock_now(of_env(env)->cpu.machine->clock);
}
static uint64_t rt_eret(TcgEnv *env) { of_env(env)->irq_on = 1; return of_env(env)->epc; }
static uint64_t rt_irq(TcgEnv *env, uint64_t on) { of_env(env)->irq_on = on; return 0; }
static uint64_t rt_sysreg(TcgEnv *env, uint64_t op)
{
    ToyCpu *t = of_env(env);

    return op == T_MFCAUSE ? t->cause : op == T_MFEPC ? t->epc : op == T_CPUNO ? (uint64_t)t->cpu.index : t->badva;
}
static uint64_t rt_mtepc(TcgEnv *env, uint64_t val) { of_env(env)->epc = val; return 0; }

static const RtRow rt[] = {
    [RT_FLUSH] = { "flush", rt_flush, RT_MEM, RT_NONE, 0 },
    [RT_FLUSHVA] = { "flushva", rt_flushva, RT_MEM, RT_NONE, 1 },
    [RT_FLUSHALLCPU] = { "flushallcpu", rt_flushallcpu, RT_MEM, RT_NONE, 0 },
    [RT_FLUSHVACPU] = { "flushvacpu", rt_flushvacpu, RT_MEM, RT_NONE, 1 },
    [RT_SETASID] = { "setasid", rt_setasid, RT_MEM, RT_NONE, 1 },
    [RT_SETPT] = { "setpt", rt_setpt, RT_MEM, RT_NONE, 1 },
    [RT_STOP] = { "stop", rt_stop, RT_READ, RT_NONE, 0 },
    [RT_LDX] = { "ldx", rt_ldx, RT_RAISE | RT_MEM, RT_I64, 1 },
    [RT_STX] = { "stx", rt_stx, RT_RAISE | RT_MEM, RT_I64, 2 },
    [RT_TIME] = { "time", rt_time, RT_PURE | RT_READ, RT_I64, 0 },
    [RT_ERET] = { "eret", rt_eret, RT_MEM, RT_I64, 0 },
    [RT_IRQ] = { "irq", rt_irq, RT_MEM, RT_NONE, 1 },
    [RT_SYSREG] = { "sysreg", rt_sysreg, RT_READ, RT_I64, 1 },
    [RT_MTEPC] = { "mtepc", rt_mtepc, RT_MEM, RT_NONE, 1 },
};

static const TcgTarget toy_tcg = {
    .name = "toy", .slots = slots, .nslots = G_N_ELEMENTS(slots), .rt = rt, .nrt = G_N_ELEMENTS(rt),
    .pending_off = (int32_t)offsetof(ToyCpu, cpu.pending) - (int32_t)offsetof(ToyCpu, env),
};

/* ---- front end ---- */

static IrVal addr(IrBlock *ir, unsigned s, int imm) { return ir_addi(ir, ir_get(ir, s), imm); }

static IrVal sized_load(IrBlock *ir, unsigned s, int imm, IrMem m) { return ir_ld(ir, IR_I64, addr(ir, s, imm), m); }

/* True: the block has ended. */
static bool one(IrBlock *ir, uint32_t insn, int64_t off)
{
    unsigned op = insn & 0xff, d = insn >> 8 & 15, s = insn >> 12 & 15;
    int imm = (int16_t)(insn >> 16);
    IrVal v;

    switch ((ToyOp)op) {
    case T_LI: ir_set(ir, d, ir_i64(ir, imm)); return false;
    case T_ADD: ir_set(ir, d, ir_add(ir, ir_get(ir, s), ir_get(ir, imm & 15))); return false;
    case T_ADDI: ir_set(ir, d, ir_addi(ir, ir_get(ir, s), imm)); return false;
    case T_SHLI: ir_set(ir, d, ir_shli(ir, ir_get(ir, s), (unsigned)imm)); return false;
    case T_LD: ir_set(ir, d, sized_load(ir, s, imm, 3)); return false;
    case T_LD4: ir_set(ir, d, sized_load(ir, s, imm, 2 | IR_MEM_SIGN)); return false;
    case T_LD1: ir_set(ir, d, sized_load(ir, s, imm, 0)); return false;
    case T_LDALIGN: ir_set(ir, d, sized_load(ir, s, imm, 3 | IR_MEM_ALIGN(3))); return false;
    case T_ST: ir_st(ir, addr(ir, s, imm), ir_get(ir, d), 3); return false;
    case T_ST4: ir_st(ir, addr(ir, s, imm), ir_get(ir, d), 2); return false;
    case T_ST1: ir_st(ir, addr(ir, s, imm), ir_get(ir, d), 0); return false;
    case T_ST16B: ir_st(ir, addr(ir, s, imm), ir_get(ir, d), 1 | IR_MEM_BE); return false;
    case T_LDP: {
        IrVal lo, hi;

        ir_ld2(ir, IR_I64, addr(ir, s, imm), 3, &lo, &hi);
        ir_set(ir, d, lo);
        ir_set(ir, (d + 1) & 15, hi);
        return false;
    }
    case T_STP: ir_st2(ir, addr(ir, s, imm), ir_get(ir, d), ir_get(ir, (d + 1) & 15), 3); return false;
    case T_BNE:
    case T_BLT:
        ir_exit_if(ir, op == T_BNE ? IR_NE : IR_LT, ir_get(ir, d), ir_get(ir, s), off + imm * 4);
        return false;
    case T_JR: ir_jump(ir, ir_get(ir, s), IR_JUMP); return true;
    case T_JMP: ir_goto(ir, off + imm * 4); return true;
    case T_CAS:
        ir_set(ir, d, ir_cas(ir, ir_get(ir, s), ir_get(ir, d), ir_get(ir, imm & 15), 3));
        return false;
    case T_RMWADD: ir_set(ir, d, ir_rmw(ir, IR_RMW_ADD, ir_get(ir, s), ir_get(ir, imm & 15), 3)); return false;
    case T_SYS: ir_raise(ir, imm); return true;
    case T_ERET: v = ir_call(ir, RT_ERET); ir_leave_to(ir, IR_LEAVE_MODE, v); return true;
    case T_WFI: ir_leave(ir, IR_LEAVE_HALT, off + 4); return true;
    case T_YIELD: ir_leave(ir, IR_LEAVE_YIELD, off + 4); return true;
    case T_FLUSH: ir_calln(ir, RT_FLUSH, 0, NULL); ir_leave(ir, IR_LEAVE_MODE, off + 4); return true;
    case T_FLUSHVA: ir_call(ir, RT_FLUSHVA, IR_V(ir_get(ir, s))); ir_leave(ir, IR_LEAVE_MODE, off + 4); return true;
    case T_FLUSHALLCPU: ir_calln(ir, RT_FLUSHALLCPU, 0, NULL); ir_leave(ir, IR_LEAVE_MODE, off + 4); return true;
    case T_FLUSHVACPU: ir_call(ir, RT_FLUSHVACPU, IR_V(ir_get(ir, s))); ir_leave(ir, IR_LEAVE_MODE, off + 4); return true;
    case T_SETASID: ir_call(ir, RT_SETASID, IR_V(ir_get(ir, s))); ir_leave(ir, IR_LEAVE_MODE, off + 4); return true;
    case T_SETPT: ir_call(ir, RT_SETPT, IR_V(ir_get(ir, s))); ir_leave(ir, IR_LEAVE_MODE, off + 4); return true;
    case T_STOP: ir_calln(ir, RT_STOP, 0, NULL); ir_leave(ir, IR_LEAVE_MODE, off + 4); return true;
    case T_LDX: ir_set(ir, d, ir_call(ir, RT_LDX, IR_V(ir_get(ir, s)))); return false;
    case T_STX: ir_set(ir, d, ir_call(ir, RT_STX, IR_V(ir_get(ir, s)), IR_V(ir_get(ir, imm & 15)))); return false;
    case T_TIME: ir_set(ir, d, ir_calln(ir, RT_TIME, 0, NULL)); return false;
    case T_IRQ: ir_call(ir, RT_IRQ, IR_V(ir_i64(ir, imm))); ir_leave(ir, IR_LEAVE_MODE, off + 4); return true;
    case T_MFCAUSE: case T_MFEPC: case T_MFBADVA: case T_CPUNO:
        ir_set(ir, d, ir_call(ir, RT_SYSREG, IR_V(ir_i64(ir, op))));
        return false;
    case T_MTEPC: ir_call(ir, RT_MTEPC, IR_V(ir_get(ir, s))); return false;
    case T_FENCE: ir_fence(ir, IR_FENCE_FULL); return false;
    default: ir_raise(ir, -1); return true;
    }
}

static void toy_translate(TransCtx *tc)
{
    IrBlock *ir = tc->ir;
    uint32_t off = tc->off;
    const uint32_t *brk = tc->breaks;

    for (unsigned n = 0;; n++) {
        uint32_t insn;
        bool end;

        while (brk && *brk < off) {
            brk++;
        }
        if (brk && *brk == off && !tc->step_over) {
            if (n == 0) {
                ir_insn(ir, off, 0);
                ir->code_bytes = 4;
                ir_leave(ir, IR_LEAVE_DEBUG, off);
            } else {
                ir_goto(ir, off);
            }
            return;
        }
        memcpy(&insn, tc->page + off, 4);
        ir_insn(ir, off, (uint16_t)(insn & 0xff));
        end = one(ir, insn, off);
        off += 4;
        ir->code_bytes = off - tc->off;
        if (end) {
            return;
        }
        if (n + 1 == tc->max_insns || off == 4096 || ir_full(ir)) {
            ir_goto(ir, off);
            return;
        }
    }
}

/* ---- memory, exceptions ---- */

static uint64_t toy_key(Cpu *cpu) { return 1; }
static IrNanMode toy_nan(uint64_t key) { return IR_NAN_RISCV; }
static TcgEnv *toy_env(Cpu *cpu) { return &toy(cpu)->env; }
static uint64_t toy_context(Cpu *cpu, unsigned idx) { return toy(cpu)->pt ? toy(cpu)->asid | 1 << 16 : 0; }
static uint16_t toy_asid(Cpu *cpu) { return (uint16_t)toy(cpu)->asid; }

static bool toy_walk(Cpu *cpu, vaddr va, AccType acc, unsigned idx, bool probe, WalkResult *res)
{
    ToyCpu *t = toy(cpu);
    uint64_t pte, need = acc == ACC_STORE ? TOY_W : acc == ACC_FETCH ? TOY_X : TOY_V;

    if (!t->pt) {
        *res = (WalkResult){ .pa = va, .size = 4096, .prot = 7, .global = true };
        return true;
    }
    mem_load(cpu->as, t->pt + (va >> 12 & 0xfff) * 8, 8, &pte, MEM_ATTRS_NONE);
    if (!(pte & TOY_V) || !(pte & need)) {
        t->fault_va = va;
        return false;
    }
    *res = (WalkResult){ .pa = (pte & ~0xfffull) | (va & 0xfff), .size = pte & TOY_2M ? 2 << 20 : 4096, .global = pte & TOY_G,
                         .prot = 1 | (pte & TOY_W ? 2 : 0) | (pte & TOY_X ? 4 : 0) };
    return true;
}

static void raise_it(Cpu *cpu, unsigned cause, vaddr va)
{
    toy(cpu)->badva = va;
    toy(cpu)->env.exc = cause;
}

static void toy_raise_fault(Cpu *cpu, vaddr va, AccType acc, unsigned idx, uint16_t word)
{
    raise_it(cpu, acc == ACC_LOAD ? CAUSE_LOAD : acc == ACC_STORE ? CAUSE_STORE : CAUSE_FETCH, va);
}
static void toy_raise_align(Cpu *cpu, vaddr va, AccType acc, unsigned idx, uint16_t word) { raise_it(cpu, CAUSE_ALIGN, va); }
static void toy_raise_bus(Cpu *cpu, vaddr va, paddr pa, AccType acc, uint16_t word) { raise_it(cpu, CAUSE_BUS, va); }
static void toy_raise_code(Cpu *cpu, int64_t code) { raise_it(cpu, CAUSE_SYS, (vaddr)code); }
static void toy_raise_debug(Cpu *cpu, vaddr va, AccType acc) { }

static void toy_deliver(Cpu *cpu)
{
    ToyCpu *t = toy(cpu);

    t->cause = t->env.exc;
    t->epc = t->env.pc;
    t->env.exc = 0;
    t->env.pc = t->vbar;
    t->irq_on = 0;
}

static bool toy_take_irq(Cpu *cpu)
{
    ToyCpu *t = toy(cpu);

    if (!t->irq_on || !(cpu_lines(cpu) & CPU_IRQ)) {
        return false;
    }
    t->cause = CAUSE_IRQ;
    t->epc = t->env.pc;
    t->env.pc = t->vbar;
    t->irq_on = 0;
    return true;
}

static bool toy_has_work(Cpu *cpu) { return cpu_lines(cpu) & CPU_IRQ; }
static uint32_t toy_mxcsr(Cpu *cpu) { return 0x1f80; }
static void toy_mxcsr_back(Cpu *cpu, uint32_t mxcsr) { }

static const StateField toy_rows[] = { {} };
static const StateTable toy_table = { .name = "toy-cpu", .fields = toy_rows };
static void toy_reset(Cpu *cpu)
{
    ToyCpu *t = toy(cpu);

    t->env.pc = 0x1000 + 0x1000 * (unsigned)cpu->index;
    t->vbar = 0x800;
}
static void toy_power_on(Cpu *cpu, uint64_t entry, uint64_t context) { toy(cpu)->env.pc = entry; }
static vaddr toy_get_pc(Cpu *cpu) { return toy(cpu)->env.pc; }
static void toy_set_pc(Cpu *cpu, vaddr pc) { toy(cpu)->env.pc = pc; }
static const CpuOps toy_ops = { .arch = "toy", .state = &toy_table, .reset = toy_reset, .has_work = toy_has_work, .power_on = toy_power_on,
                                .get_pc = toy_get_pc, .set_pc = toy_set_pc };
static const CpuType toy_type = { .name = "toy", .arch = "toy", .size = sizeof(ToyCpu), .ops = &toy_ops };
CPU_TYPE(toy_type);

static const TcgCpuOps toy_tcg_ops = {
    .cpu = &toy_ops, .tcg = &toy_tcg, .env = toy_env, .block_key = toy_key, .nan_mode = toy_nan, .translate = toy_translate,
    .nmmu = 1, .context_key = toy_context, .asid = toy_asid, .walk = toy_walk, .raise_fault = toy_raise_fault, .raise_align = toy_raise_align,
    .raise_bus = toy_raise_bus, .raise_code = toy_raise_code, .raise_debug = toy_raise_debug, .deliver = toy_deliver, .take_irq = toy_take_irq,
    .has_work = toy_has_work, .mxcsr_from_guest = toy_mxcsr, .mxcsr_to_guest = toy_mxcsr_back,
};
TCG_CPU_OPS(toy_tcg_ops);

/* ---- board ---- */

static MemResult io_read(void *opaque, uint64_t offset, unsigned size, uint64_t *val, MemAttrs attrs)
{
    ToyBoard *b = opaque;

    if (offset == 0x800) {
        return MEM_DEVICE_ERROR;
    }
    b->io_last_size = size;
    *val = ++b->io_reads;
    return MEM_OK;
}

static MemResult io_write(void *opaque, uint64_t offset, unsigned size, uint64_t val, MemAttrs attrs)
{
    ToyBoard *b = opaque;

    b->io_writes++;
    b->io_last = val;
    b->io_last_size = size;
    if (b->io_hook) {
        b->io_hook(b);
    }
    return MEM_OK;
}

static const MemOps io_ops = { .read = io_read, .write = io_write, .max = 8, .unaligned = true };

static bool board_build(Machine *m, Error **errp)
{
    ToyBoard *b = (ToyBoard *)m;
    RamSpec spec = { .id = "ram", .size = TOY_RAM };

    b->ram = ram_block_new(m->mem, &spec, errp);
    if (!b->ram) {
        return false;
    }
    mem_region_init_ram(&b->ram_region, m->mem, "ram", b->ram);
    mem_region_add(&m->system_memory, 0, &b->ram_region);
    pthread_mutex_init(&b->io_lock, NULL);
    mem_region_init_io(&b->io, m->mem, "io", TOY_IO_SIZE, &io_ops, b, &b->io_lock);
    mem_region_add(&m->system_memory, TOY_IO, &b->io);
    for (unsigned i = 0; i < m->smp.cpus; i++) {
        Cpu *cpu = cpu_new(m, &toy_type, (int)i, NULL, errp);

        if (!cpu || !cpu_realize(cpu, errp)) {
            return false;
        }
    }
    return true;
}

static void board_destroy(Machine *m)
{
    ToyBoard *b = (ToyBoard *)m;

    if (b->ram) {
        mem_region_del(&b->ram_region);
        mem_region_del(&b->io);
        mem_synchronize();
        ram_block_free(b->ram);
    }
}

static const MachineType toy_board = { .name = "toy-tcg", .arch = "toy", .size = sizeof(ToyBoard), .max_cpus = 8, .default_ram = TOY_RAM,
                                       .build = board_build, .destroy = board_destroy };
MACHINE_TYPE(toy_board);

ToyBoard *toy_open(const char *accel, unsigned cpus, ClockMode clock, unsigned shift)
{
    MachineConfig config = { .accel = accel, .smp = { .cpus = cpus }, .clock = clock, .icount_shift = shift };
    Error *err = NULL;
    Machine *m = machine_open(NULL, &toy_board, &config, &err);

    if (!m || !machine_ready(m, &err)) {
        g_error("%s", error_message(err));
    }
    return (ToyBoard *)m;
}

void toy_close(ToyBoard *b)
{
    machine_pause(&b->m, RUN_PAUSED);
    machine_close(&b->m);
}

TcgState *toy_state(ToyBoard *b) { return b->m.accel_state; }
TcgVcpu *toy_vcpu(ToyBoard *b, unsigned i) { return machine_cpu(&b->m, i)->accel; }

void toy_emit(ToyAsm *a, ToyOp op, unsigned d, unsigned s, int imm)
{
    uint32_t insn = toy_insn(op, d, s, imm);

    memcpy(a->b->ram->host + a->at, &insn, 4);
    a->at += 4;
}

void toy_const(ToyAsm *a, unsigned d, uint64_t val)
{
    toy_emit(a, T_LI, d, 0, (int)(val >> 60 & 7));
    for (int shift = 45; shift >= 0; shift -= 15) {
        toy_emit(a, T_SHLI, d, d, 15);
        toy_emit(a, T_ADDI, d, d, (int)(val >> shift & 0x7fff));
    }
}

void toy_branch(ToyAsm *a, ToyOp op, unsigned d, unsigned s, paddr to)
{
    toy_emit(a, op, d, s, (int)((int64_t)(to - a->at) / 4));
}

void toy_map(ToyBoard *b, paddr pt, vaddr va, paddr pa, unsigned flags)
{
    *toy_ram(b, pt + (va >> 12 & 0xfff) * 8) = pa | flags;
}

bool toy_run(ToyBoard *b)
{
    gint64 end = wait_end();
    bool all = false;

    machine_run(&b->m);
    while (!all && g_get_monotonic_time() < end) {
        all = true;
        for (unsigned n = 0; n < machine_ncpus(&b->m); n++) {
            all &= __atomic_load_n(&machine_cpu(&b->m, n)->power_off, __ATOMIC_ACQUIRE);
        }
        if (!all) {
            g_usleep(200);
        }
    }
    machine_pause(&b->m, RUN_PAUSED);
    return all;
}
