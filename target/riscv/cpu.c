/* SPDX-License-Identifier: MIT */
/* The processor as the rest of the machine sees it: reset, registers for debugger and monitor, saved state. */
#include "target/riscv/cpu.h"

#include <stdio.h>
#include <string.h>

#include "hw/core/machine.h"
#include "target/riscv/disas.h"

static void reset(Cpu *cpu)
{
    RvCpu *c = rv_cpu(cpu);

    memset(c->x, 0, sizeof(c->x));
    memset(c->f, 0, sizeof(c->f));
    rv_csr_reset(c);
    rv_fflags_set(c, 0);
    c->frm = c->cross = 0;
    c->priv = PRIV_M;
    memset(c->pmpcfg, 0, sizeof(c->pmpcfg));
    memset(c->pmpaddr, 0, sizeof(c->pmpaddr));
    rv_pmp_update(c);
    c->res_addr = UINT64_MAX;
    c->res_misses = 0;
    for (unsigned line = 0; line < 10; line += 1) {         /* what software had set in mip; the others follow their wires */
        if (line == RV_LINE_SSI || line == 5 || line == 9) {
            cpu_line(cpu, (int)line, 0);
        }
    }
    c->env.exc = 0;
    c->env.pc = c->resetvec;
    rv_mode_changed(c);
}

static void set_pc(Cpu *cpu, vaddr pc)
{
    rv_cpu(cpu)->env.pc = pc;
    rv_cpu(cpu)->cross = 0;
}

static vaddr get_pc(Cpu *cpu)
{
    return rv_cpu(cpu)->env.pc;
}

static const char *const abi[32] = {
    "zero", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1", "a0", "a1", "a2", "a3", "a4", "a5",
    "a6", "a7", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6",
};

static void dump(Cpu *cpu, uint32_t flags, GString *out)
{
    static const unsigned shown[] = { CSR_mhartid, CSR_mstatus, CSR_mip, CSR_mie, CSR_mideleg, CSR_medeleg, CSR_mtvec, CSR_stvec, CSR_mepc, CSR_sepc,
                                      CSR_mcause, CSR_scause, CSR_mtval, CSR_stval, CSR_mscratch, CSR_sscratch, CSR_satp };
    RvCpu *c = rv_cpu(cpu);
    uint64_t v;

    g_string_append_printf(out, " pc       %016" PRIx64 "\n", c->env.pc);
    for (unsigned i = 0; i < G_N_ELEMENTS(shown); i++) {
        if (rv_csr_access(c, rv_csrs[shown[i]].number, &v, NULL, true)) {
            g_string_append_printf(out, " %-8s %016" PRIx64 "\n", rv_csrs[shown[i]].name, v);
        }
    }
    for (unsigned i = 0; i < 32; i++) {
        g_string_append_printf(out, " x%u/%-5s%s %016" PRIx64 "%s", i, abi[i], i < 10 ? " " : "", c->x[i], i % 4 == 3 ? "\n" : "");
    }
    for (unsigned i = 0; i < 32 && flags & 1; i++) {
        g_string_append_printf(out, " f%-2u %016" PRIx64 "%s", i, c->f[i], i % 4 == 3 ? "\n" : "");
    }
}

/* The debugger's translation: user pages can be seen from supervisor mode. */
static bool translate(Cpu *cpu, vaddr va, paddr *pa, uint64_t *page_size)
{
    RvCpu *c = rv_cpu(cpu);
    uint64_t s = c->mstatus;
    WalkResult res;
    bool ok;

    c->mstatus |= MSTATUS_SUM | MSTATUS_MXR;
    ok = rv_walk(cpu, va, ACC_LOAD, RV_MMU_CURRENT, true, &res) || rv_walk(cpu, va, ACC_FETCH, RV_MMU_CURRENT, true, &res);
    c->mstatus = s;
    if (ok) {
        *pa = res.pa;
        *page_size = res.size;
    }
    return ok;
}

static bool reg_by_name(Cpu *cpu, const char *name, uint64_t *val)
{
    RvCpu *c = rv_cpu(cpu);
    unsigned n;
    char tail;

    if (sscanf(name, "x%u%c", &n, &tail) == 1 && n < 32) {
        *val = c->x[n];
        return true;
    }
    if (sscanf(name, "f%u%c", &n, &tail) == 1 && n < 32) {
        *val = c->f[n];
        return true;
    }
    if (!strcmp(name, "pc")) {
        *val = c->env.pc;
        return true;
    }
    for (unsigned i = 0; i < 32; i++) {
        if (!strcmp(name, abi[i])) {
            *val = c->x[i];
            return true;
        }
    }
    for (unsigned i = 0; i < CSR_COUNT; i++) {
        if (!strcmp(name, rv_csrs[i].name)) {
            return rv_csr_access(c, rv_csrs[i].number, val, NULL, true);
        }
    }
    return false;
}

static int disassemble(Cpu *cpu, const uint8_t *code, size_t len, vaddr pc, char *buf, size_t room)
{
    (void)cpu;
    return rv_disas_bytes(code, len, pc, buf, room);
}

/* ---- saved state ---- */

static void pre_save(void *obj)
{
    RvCpu *c = obj;

    c->cross = 0;               /* the instruction begins anew */
    c->fflags = rv_fflags_get(c);
    if (c->res_addr == UINT64_MAX) {
        c->res_size = 0;
    }
    rv_mode_changed(c);
}

static bool post_load(void *obj, Error **errp)
{
    RvCpu *c = obj;

    (void)errp;
    c->cross = 0;
    rv_fflags_set(c, c->fflags);
    c->x[0] = 0;
    rv_pmp_update(c);
    rv_mode_changed(c);
    return true;
}

static bool check(const void *obj, Error **errp)
{
    const RvCpu *c = obj;

    return c->priv != 2 || error_set(errp, "there is no privilege level 2");
}

static const StateField fields[] = {
    STATE_ARRAY(RvCpu, x, uint64_t),
    STATE_ARRAY(RvCpu, f, uint64_t),
    STATE_U64(RvCpu, env.pc),
    STATE_U64(RvCpu, mstatus),
    STATE_ARRAY(RvCpu, csr, uint64_t),
    STATE_U32(RvCpu, priv, .max = 3),
    STATE_U32(RvCpu, frm, .max = 7),
    STATE_U32(RvCpu, fflags, .max = 31),
    STATE_BUF(RvCpu, pmpcfg),
    STATE_ARRAY(RvCpu, pmpaddr, uint64_t),
    STATE_U64(RvCpu, cycle_off),
    STATE_U64(RvCpu, instret_off),
    STATE_U64(RvCpu, res_addr),
    STATE_U32(RvCpu, res_size),
    STATE_U32(RvCpu, res_misses),
    STATE_I64(RvCpu, res_miss_at),
    STATE_BOOL(RvCpu, open_res),
    {}
};
static const StateTable state = {
    .name = "cpu-rv64", .version = 1, .fields = fields, .pre_save = pre_save, .post_load = post_load, .check = check, .obj_size = sizeof(RvCpu),
};

const CpuOps rv_cpu_ops = {
    .arch = "riscv64", .state = &state, .reset = reset, .set_pc = set_pc, .get_pc = get_pc, .has_work = rv_has_work, .dump = dump,
    .gdb_xml = rv_gdb_xml, .gdb_read = rv_gdb_read, .gdb_write = rv_gdb_write, .gdb_core_regs = 33,
    .translate = translate, .reg_by_name = reg_by_name, .disassemble = disassemble,
};
