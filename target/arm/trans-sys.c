/* SPDX-License-Identifier: MIT */
/* A64 exceptions, hints, barriers, PSTATE and system registers: Arm ARM (DDI 0487), C4.1.94 and C5. */
#include "target/arm/sysregs.h"
#include "target/arm/translate.h"

/* ---- exceptions ---- */

bool trans_svc(A64Dis *d, arg_exc *a)
{
    raise_after(d, EC_SVC64, a->imm);
    return true;
}

/* Without EL2 and EL3 these are undefined, unless the board answers firmware calls by them. */
static bool firmware(A64Dis *d, unsigned conduit)
{
    if (!el1(d)) {
        return false;
    }
    ir_call(d->ir, RT_firmware, IR_V(ir_i64(d->ir, conduit)));
    end_mode(d);
    return true;
}

bool trans_hvc(A64Dis *d, arg_exc *a)
{
    return firmware(d, 0);
}

bool trans_smc(A64Dis *d, arg_exc *a)
{
    return firmware(d, 1);
}

bool trans_brk(A64Dis *d, arg_exc *a)
{
    raise_esr(d, EC_BRK64, a->imm);
    return true;
}

/* HLT is for external debuggers; halting debug is not allowed here */
bool trans_hlt(A64Dis *d, arg_exc *a)
{
    return false;
}

/* ---- hints ---- */

bool trans_nop(A64Dis *d, arg_none *a)
{
    return true;
}

bool trans_hint(A64Dis *d, arg_hint *a)
{
    return true;
}

static void leave(A64Dis *d, IrLeave why)
{
    if (d->key & KEY_SS) {
        end_mode(d);            /* a stepped hint is a NOP */
        return;
    }
    ir_leave(d->ir, why, d->off + 4);
    d->done = true;
}

bool trans_yield(A64Dis *d, arg_none *a)
{
    leave(d, IR_LEAVE_YIELD);
    return true;
}

bool trans_wfi(A64Dis *d, arg_none *a)
{
    if (!el1(d) && !(d->key & KEY_NTWI)) {
        raise_esr(d, EC_WFX, 0x1e00000);
        return true;
    }
    leave(d, IR_LEAVE_HALT);
    return true;
}

/* WFE: the event register is local; other processors' SEVs arrive as a spurious wake. */
bool trans_wfe(A64Dis *d, arg_none *a)
{
    if (!el1(d) && !(d->key & KEY_NTWE)) {
        raise_esr(d, EC_WFX, 0x1e00001);
        return true;
    }
    leave(d, IR_LEAVE_YIELD);
    return true;
}

bool trans_sev(A64Dis *d, arg_none *a)
{
    return true;            /* WFE never sleeps for long */
}

bool trans_sevl(A64Dis *d, arg_none *a)
{
    return true;
}

/* No SError is ever deferred: there is nothing to synchronise. */
bool trans_esb(A64Dis *d, arg_none *a)
{
    return true;
}

/* Who may land here was asked when the block was looked up: a64_landing_key(). */
bool trans_bti(A64Dis *d, arg_bti *a)
{
    return true;
}

/* ---- barriers ---- */

static unsigned fence_kind(unsigned crm)
{
    return (crm & 3) == 1 ? IR_FENCE_LOAD : (crm & 3) == 2 ? IR_FENCE_STORE : IR_FENCE_FULL;
}

bool trans_dmb(A64Dis *d, arg_barrier *a)
{
    ir_fence(d->ir, fence_kind(a->crm));
    return true;
}

/* DSB completes TLB maintenance too. */
bool trans_dsb(A64Dis *d, arg_barrier *a)
{
    ir_fence(d->ir, fence_kind(a->crm));
    if (el1(d) && (a->crm & 3) != 1) {
        ir_call(d->ir, RT_dsb, IR_V(ir_i64(d->ir, 0)));
    }
    return true;
}

bool trans_ssbb(A64Dis *d, arg_none *a)
{
    return true;
}

/* Context changes take effect where they are made, stores to code too: nothing is left to do but look at interrupts. */
bool trans_isb(A64Dis *d, arg_barrier *a)
{
    end_goto(d, d->off + 4);
    return true;
}

bool trans_sb(A64Dis *d, arg_none *a)
{
    return true;
}

/* ---- flags ---- */

bool trans_cfinv(A64Dis *d, arg_none *a)
{
    ir_set(d->ir, SLOT_C, ir_xor(d->ir, ir_get(d->ir, SLOT_C), ir_i32(d->ir, 1)));
    d->cc = CC_NONE;
    return true;
}

bool trans_axflag(A64Dis *d, arg_none *a)
{
    IrBlock *b = d->ir;
    IrVal z = ir_get(b, SLOT_Z), c = ir_get(b, SLOT_C), v = ir_get(b, SLOT_V), zero = ir_i32(b, 0);

    flags_set(d, (IrFlags){ .n = zero, .z = ir_or(b, z, v), .c = ir_andc(b, c, v), .v = zero });
    return true;
}

bool trans_xaflag(A64Dis *d, arg_none *a)
{
    IrBlock *b = d->ir;
    IrVal z = ir_get(b, SLOT_Z), c = ir_get(b, SLOT_C), one = ir_i32(b, 1);

    flags_set(d, (IrFlags){
        .n = ir_xor(b, ir_or(b, c, z), one), .z = ir_and(b, z, c), .c = ir_or(b, c, z), .v = ir_andc(b, z, c) });
    return true;
}

/* ---- PSTATE fields ---- */

static bool pstate(A64Dis *d, unsigned field, unsigned imm)
{
    ir_call(d->ir, RT_pstate_imm, IR_V(ir_i64(d->ir, field)), IR_V(ir_i64(d->ir, imm)));
    end_mode(d);
    return true;
}

bool trans_msr_uao(A64Dis *d, arg_msr_i *a)
{
    return el1(d) && pstate(d, 003, a->imm);
}

bool trans_msr_pan(A64Dis *d, arg_msr_i *a)
{
    return el1(d) && pstate(d, 004, a->imm);
}

bool trans_msr_spsel(A64Dis *d, arg_msr_i *a)
{
    return el1(d) && pstate(d, 005, a->imm);
}

bool trans_msr_ssbs(A64Dis *d, arg_msr_i *a)
{
    return pstate(d, 031, a->imm);
}

bool trans_msr_dit(A64Dis *d, arg_msr_i *a)
{
    return pstate(d, 032, a->imm);
}

static bool daif_trapped(A64Dis *d, unsigned op2, unsigned imm)
{
    if (el1(d) || d->key & KEY_UMA) {
        return false;
    }
    raise_esr(d, EC_SYSREG, op2 << 17 | 3 << 14 | 4 << 10 | 31 << 5 | imm << 1);
    return true;
}

/* More masked than before: nothing can become due. */
bool trans_msr_daifset(A64Dis *d, arg_msr_i *a)
{
    if (!daif_trapped(d, 6, a->imm)) {
        ir_set(d->ir, SLOT_DAIF, ir_or(d->ir, ir_get(d->ir, SLOT_DAIF), ir_i32(d->ir, a->imm)));
        if (d->key & KEY_DEBUG_D && a->imm & 8) {
            end_mode(d);
        }
    }
    return true;
}

/* The run loop looks for an interrupt that is due now. */
bool trans_msr_daifclr(A64Dis *d, arg_msr_i *a)
{
    if (!daif_trapped(d, 7, a->imm)) {
        ir_set(d->ir, SLOT_DAIF, ir_andi(d->ir, ir_get(d->ir, SLOT_DAIF), ~(int64_t)a->imm));
        end_mode(d);
    }
    return true;
}

static bool write_daif(A64Dis *d, IrVal v)
{
    IrBlock *b = d->ir;
    IrVal masks = ir_extract(b, ir_trunc(b, v), 6, 4);

    ir_set(b, SLOT_DAIF, masks);
    if (d->key & KEY_DEBUG_D) {
        end_mode(d);
        return true;
    }
    ir_exit_if(b, IR_EQ, ir_andi(b, masks, 3), ir_i32(b, 3), d->off + 4);      /* IRQ and FIQ masked */
    end_mode(d);
    return true;
}

/* ---- registers ---- */

static uint32_t sys_iss(const arg_sys *a)
{
    return (uint32_t)(a->op0 << 20 | a->op2 << 17 | a->op1 << 14 | a->crn << 10 | a->rt << 5 | a->crm << 1 | a->read);
}

/* The GIC's CPU interface: a port of the board's interrupt controller. */
static bool gic_register(const arg_sys *a)
{
    return a->op0 == 3 && a->op1 == 0 && ((a->crn == 12 && a->crm >= 8) || (a->crn == 4 && a->crm == 6));
}

static bool gic_access(A64Dis *d, const arg_sys *a)
{
    IrBlock *b = d->ir;
    IrVal key = ir_i64(b, CPU_KEY_A64(a->op0, a->op1, a->crn, a->crm, a->op2));

    if (!el1(d)) {
        return false;
    }
    if (a->read) {
        gpr_set(d, a->rt, ir_call(b, RT_gic_read, IR_V(key)));
    } else {
        ir_call(b, RT_gic_write, IR_V(key), IR_V(gpr_get(d, a->rt, true)));
        end_goto(d, d->off + 4);
    }
    return true;
}

static bool access_ok(const A64Dis *d, const A64SysReg *r, bool read)
{
    return r->access & (el1(d) ? (read ? SR_R1 : SR_W1) : (read ? SR_R0 : SR_W0));
}

static bool read_reg(A64Dis *d, const arg_sys *a, const A64SysReg *r, unsigned id)
{
    IrBlock *b = d->ir;
    IrVal v;

    if (id == SR_NZCV) {
        v = flags_nzcv(d);
    } else if (id == SR_DAIF && el1(d)) {
        v = ir_zext(b, ir_shli(b, ir_get(b, SLOT_DAIF), 6));
    } else if (id == SR_FPSR) {
        v = ir_call(b, RT_fpsr_read, IR_V(ir_i64(b, 0)));
    } else if (r->access & SR_PLAIN) {
        v = ir_get(b, a64_slot_of_sysreg(id));
    } else if (r->access & SR_CONST && (el1(d) || !r->allow)) {
        v = ir_i64(b, (int64_t)d->cpu->sys[id]);
    } else {
        v = ir_call(b, RT_sysreg_read, IR_V(ir_i64(b, id | (uint64_t)sys_iss(a) << 16)));
    }
    if (id == SR_RNDR || id == SR_RNDRRS) {
        flags_set_nzcv(d, 0);
    }
    gpr_set(d, a->rt, v);
    return true;
}

static bool write_reg(A64Dis *d, const arg_sys *a, const A64SysReg *r, unsigned id)
{
    IrBlock *b = d->ir;
    IrVal v = gpr_get(d, a->rt, true);

    if (id == SR_NZCV) {
        flags_from_nzcv(d, v);
        return true;
    }
    if (id == SR_DAIF && el1(d)) {
        return write_daif(d, v);
    }
    if (id == SR_FPSR) {
        ir_call(b, RT_fpsr_write, IR_V(v));
        ir_set(b, SLOT_QC, ir_vconst(b, IR_V128, 0));
        ir_set(b, SLOT_IDC, ir_vconst(b, IR_V128, 0));
        ir_set(b, SLOT_IDC + 1, ir_vconst(b, IR_V128, 0));
        if (d->key & KEY_FZ) {
            end_mode(d);            /* KEY_IXC */
        }
        return true;
    }
    if (r->access & SR_PLAIN) {
        ir_set(b, a64_slot_of_sysreg(id), v);
        return true;
    }
    ir_call(b, RT_sysreg_write, IR_V(ir_i64(b, id | (uint64_t)sys_iss(a) << 16)), IR_V(v));
    if (r->access & SR_MODE) {
        end_mode(d);
    }
    return true;
}

/* Cache maintenance by address touches nothing, but the address must be readable; for an invalidation, which loses data, writable. */
static void touch(A64Dis *d, IrVal addr, bool invalidate)
{
    ir_insn_word(d->ir, A64_WORD_CM);
    ir_probe(d->ir, addr, 1, invalidate, 0);
}

static void zero_block(A64Dis *d, IrVal addr)
{
    IrBlock *b = d->ir;
    IrVal line = ir_andi(b, addr, -64), zero = ir_vconst(b, IR_V128, 0);

    ir_probe(b, addr, 1, true, 0);          /* a fault names the address that was given */
    for (unsigned i = 0; i < 64; i += 16) {
        ir_st(b, ir_addi(b, line, i), zero, 4);
    }
}

static bool sys_op(A64Dis *d, const arg_sys *a, const A64SysReg *r, unsigned id)
{
    IrVal addr = gpr_get(d, a->rt, true);

    if (!el1(d) && r->allow && !(d->key & (id == SR_DC_ZVA ? KEY_DZE : KEY_UCI))) {
        raise_esr(d, EC_SYSREG, sys_iss(a));
    } else if (r->access & SR_NOP) {
        return true;
    } else if (id == SR_DC_ZVA) {
        zero_block(d, addr);
    } else if (!r->write) {
        touch(d, addr, id == SR_DC_IVAC);
    } else {
        return write_reg(d, a, r, id);
    }
    return true;
}

/* Identification registers, there or not: with FEAT_IDST a read at EL0 is a trap that says which (D19.1). */
static bool id_trap(A64Dis *d, const arg_sys *a)
{
    if (el1(d) || !a->read || a->op0 != 3 || a->op1 == 2 || a->op1 > 3 || a->crn || a->crm > 7 || !a64_feature(d, A64_FEAT_ids)) {
        return false;
    }
    raise_esr(d, EC_SYSREG, sys_iss(a));
    return true;
}

static bool sys_access(A64Dis *d, const arg_sys *a)
{
    const A64SysReg *r;
    int id;

    if (gic_register(a)) {
        return gic_access(d, a);
    }
    id = a64_sysreg_find(a->op0, a->op1, a->crn, a->crm, a->op2);
    r = id < 0 ? NULL : &a64_sysregs[id];
    if (!r || !a64_feature(d, r->feature) || !access_ok(d, r, a->read)) {
        return id_trap(d, a);
    }
    if (r->access & SR_FP && !fp_enabled(d)) {
        return true;
    }
    if (r->access & SR_OP) {
        return !a->read && sys_op(d, a, r, id);
    }
    if (id == SR_SP_EL0 && !(d->key & KEY_SPSEL)) {
        return false;
    }
    return a->read ? read_reg(d, a, r, id) : write_reg(d, a, r, id);
}

bool trans_msr_mrs(A64Dis *d, arg_sys *a)
{
    return sys_access(d, a);
}

bool trans_sys(A64Dis *d, arg_sys *a)
{
    return sys_access(d, a);
}
