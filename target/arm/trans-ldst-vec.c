/* SPDX-License-Identifier: MIT */
/* A64 loads and stores of SIMD and floating-point registers: Arm ARM (DDI 0487), C4.1.97. */
#include "target/arm/trans-mem.h"

/* What of a register goes to or comes from memory: words and doublewords stay in vector registers but where bytes are turned. */
static IrType vec_type(const A64Dis *d, unsigned sz)
{
    bool be = d->key & KEY_BE;

    return sz == 4 ? IR_V128 : sz == 3 ? (be ? IR_I64 : IR_F64) : sz == 2 && !be ? IR_F32 : IR_I32;
}

static IrVal vec_low(A64Dis *d, unsigned rt, unsigned sz)
{
    IrVal v = ir_get(d->ir, vslot(rt));
    IrType t = vec_type(d, sz);

    return t == IR_V128 ? v : t == IR_F32 || t == IR_F64 ? ir_vlow(d->ir, t, v) : ir_vget(d->ir, t, sz, v, 0, false);
}

/* Only the low 1 << sz bytes of a register are stored; a load clears the rest. */
static void vec_store(A64Dis *d, unsigned rt, unsigned sz, IrVal addr, IrMem m)
{
    ir_st(d->ir, addr, vec_low(d, rt, sz), m);
}

static void vec_loaded(A64Dis *d, unsigned rt, unsigned sz, IrVal v)
{
    ir_set(d->ir, vslot(rt), sz == 4 ? v : ir_vzext(d->ir, IR_V128, v));
}

static IrVal vec_load(A64Dis *d, unsigned sz, IrVal addr, IrMem m)
{
    IrVal v = ir_ld(d->ir, vec_type(d, sz), addr, m);

    return sz == 4 ? v : ir_vzext(d->ir, IR_V128, v);
}

bool trans_str_f(A64Dis *d, arg_ldst_f *a)
{
    if (fp_enabled(d)) {
        IrVal addr = ldst_addr(d, a->rn, a->imm, a->p);

        vec_store(d, a->rt, a->sz, addr, mem_desc(d, a->sz));
        ldst_writeback(d, a->rn, addr, a->imm, a->w, a->p);
    }
    return true;
}

bool trans_ldr_f(A64Dis *d, arg_ldst_f *a)
{
    if (fp_enabled(d)) {
        IrVal addr = ldst_addr(d, a->rn, a->imm, a->p), v = vec_load(d, a->sz, addr, mem_desc(d, a->sz));

        ldst_writeback(d, a->rn, addr, a->imm, a->w, a->p);
        ir_set(d->ir, vslot(a->rt), v);
    }
    return true;
}

bool trans_str_fr(A64Dis *d, arg_ldst_fr *a)
{
    if (fp_enabled(d)) {
        vec_store(d, a->rt, a->sz, ldst_addr_reg(d, a->rn, a->rm, a->option, a->s ? a->sz : 0), mem_desc(d, a->sz));
    }
    return true;
}

bool trans_ldr_fr(A64Dis *d, arg_ldst_fr *a)
{
    if (fp_enabled(d)) {
        ir_set(d->ir, vslot(a->rt), vec_load(d, a->sz, ldst_addr_reg(d, a->rn, a->rm, a->option, a->s ? a->sz : 0), mem_desc(d, a->sz)));
    }
    return true;
}

bool trans_ldr_lit_f(A64Dis *d, arg_ldlit *a)
{
    if (fp_enabled(d)) {
        ir_set(d->ir, vslot(a->rt), vec_load(d, a->sz, ir_pc(d->ir, d->off + a->imm), mem_desc(d, a->sz)));
    }
    return true;
}

bool trans_stp_f(A64Dis *d, arg_ldstp *a)
{
    IrVal addr;

    if (fp_enabled(d)) {
        addr = ldst_addr(d, a->rn, a->imm, a->p);
        ir_st2(d->ir, addr, vec_low(d, a->rt, a->sz), vec_low(d, a->rt2, a->sz), mem_desc(d, a->sz));
        ldst_writeback(d, a->rn, addr, a->imm, a->w, a->p);
    }
    return true;
}

bool trans_ldp_f(A64Dis *d, arg_ldstp *a)
{
    IrVal lo, hi;

    if (fp_enabled(d)) {
        IrVal addr = ldst_addr(d, a->rn, a->imm, a->p);

        ir_ld2(d->ir, vec_type(d, a->sz), addr, mem_desc(d, a->sz), &lo, &hi);
        ldst_writeback(d, a->rn, addr, a->imm, a->w, a->p);
        vec_loaded(d, a->rt, a->sz, lo);
        vec_loaded(d, a->rt2, a->sz, hi);
    }
    return true;
}

/* ---- structures ---- */

static void structure_writeback(A64Dis *d, unsigned rn, unsigned rm, bool post, unsigned bytes)
{
    if (post) {
        d->sp_checked = d->sp_checked && (rn != 31 || (rm == 31 && bytes % 16 == 0));
        gpr_set_sp(d, rn, rm == 31 ? ir_addi(d->ir, gpr_get_sp(d, rn, true), bytes) : ir_add(d->ir, gpr_get_sp(d, rn, true), gpr_get(d, rm, true)));
    }
}

/* Alignment is that of an element; with SCTLR.A off there is none to check. */
static IrMem element_desc(A64Dis *d, unsigned size)
{
    return mem_desc(d, size);
}

static IrMem wide_desc(A64Dis *d, unsigned access, unsigned elem)
{
    return (mem_desc(d, access) & ~IR_MEM_ALIGN(7)) | (d->key & KEY_ALIGN ? IR_MEM_ALIGN(elem) : 0) | IR_MEM_UNIT(elem);
}

/* LD1 and ST1 of whole registers: memory order is register order when data are little-endian. */
static bool plain_registers(const A64Dis *d, const arg_ldstn *a)
{
    return a->n == 1 && (a->size == 0 || !(d->key & KEY_BE));
}

static IrMem no_be(IrMem m)
{
    return m & ~IR_MEM_BE;
}

/* A part of 16 bytes of interleaved elements; in a big-endian regime each element is turned by itself. */
static IrVal turned(A64Dis *d, unsigned size, IrVal v)
{
    return d->key & KEY_BE && size ? ir_v1(d->ir, OP_vrev, IR_E8, 1 << size, v) : v;
}

static IrVal v2(A64Dis *d, IrOpcode op, unsigned size, IrVal x, IrVal y)
{
    return ir_v2(d->ir, op, size, 0, x, y);
}

/* LD2, LD4: whole parts are loaded and their even and odd elements collected; with q = 0 half as many parts hold everything. */
static void deinterleave(A64Dis *d, const arg_ldstn *a, IrVal base, IrVal *out)
{
    IrVal p[4], even, odd, even2, odd2;
    unsigned size = a->size;

    for (int i = 0; i < (a->q ? a->n : a->n / 2); i++) {
        p[i] = turned(d, size, ir_ld(d->ir, IR_V128, ir_addi(d->ir, base, 16 * i), no_be(wide_desc(d, 4, size))));
    }
    if (a->n == 2) {
        out[0] = v2(d, OP_vuzp1, size, p[0], p[a->q]);
        out[1] = v2(d, OP_vuzp2, size, p[0], p[a->q]);
    } else {
        even = v2(d, OP_vuzp1, size, p[0], p[1]);
        odd = v2(d, OP_vuzp2, size, p[0], p[1]);
        even2 = a->q ? v2(d, OP_vuzp1, size, p[2], p[3]) : even;
        odd2 = a->q ? v2(d, OP_vuzp2, size, p[2], p[3]) : odd;
        out[0] = v2(d, OP_vuzp1, size, even, even2);
        out[1] = v2(d, OP_vuzp1, size, odd, odd2);
        out[2] = v2(d, OP_vuzp2, size, even, even2);
        out[3] = v2(d, OP_vuzp2, size, odd, odd2);
    }
    for (int i = 0; i < a->n && !a->q; i++) {
        out[i] = ir_vzext(d->ir, IR_V128, out[i]);
    }
}

/* ST2, ST4 */
static void interleave(A64Dis *d, const arg_ldstn *a, IrVal base)
{
    IrVal in[4], p[4], x, y;
    unsigned size = a->size;

    for (int i = 0; i < a->n; i++) {
        in[i] = ir_get(d->ir, vslot((unsigned)(a->rt + i) & 31));
    }
    if (a->n == 2) {
        p[0] = v2(d, OP_vzip1, size, in[0], in[1]);
        p[1] = a->q ? v2(d, OP_vzip2, size, in[0], in[1]) : p[0];
    } else {
        x = v2(d, OP_vzip1, size, in[0], in[2]);
        y = v2(d, OP_vzip1, size, in[1], in[3]);
        p[0] = v2(d, OP_vzip1, size, x, y);
        p[1] = v2(d, OP_vzip2, size, x, y);
        x = a->q ? v2(d, OP_vzip2, size, in[0], in[2]) : x;
        y = a->q ? v2(d, OP_vzip2, size, in[1], in[3]) : y;
        p[2] = v2(d, OP_vzip1, size, x, y);
        p[3] = v2(d, OP_vzip2, size, x, y);
    }
    for (int i = 0; i < (a->q ? a->n : a->n / 2); i++) {
        ir_st(d->ir, ir_addi(d->ir, base, 16 * i), turned(d, size, p[i]), no_be(wide_desc(d, 4, size)));
    }
}

static bool interleaved(const arg_ldstn *a)
{
    return a->n == 2 || a->n == 4;
}

bool trans_stn(A64Dis *d, arg_ldstn *a)
{
    IrBlock *b = d->ir;
    unsigned bytes = a->q ? 16 : 8, lanes = bytes >> a->size;
    IrVal base;

    if (!fp_enabled(d)) {
        return true;
    }
    base = base_get(d, a->rn);
    if (a->regs * bytes > 8) {
        ir_probe(b, base, a->regs * bytes, true, element_desc(d, a->size));
    }
    for (int i = 0; i < a->regs && plain_registers(d, a); i++) {
        vec_store(d, (a->rt + i) & 31, a->q ? 4 : 3, ir_addi(b, base, i * bytes), no_be(wide_desc(d, a->q ? 4 : 3, a->size)));
    }
    if (interleaved(a)) {
        interleave(d, a, base);
        lanes = 0;
    }
    for (unsigned e = 0; e < lanes && !plain_registers(d, a); e++) {
        for (int r = 0; r < a->regs; r++) {
            unsigned at = a->n == 1 ? r * bytes + (e << a->size) : (e * a->n + r) << a->size;
            IrVal v = ir_vget(b, a->size == 3 ? IR_I64 : IR_I32, a->size, ir_get(b, vslot((a->rt + r) & 31)), e, false);

            ir_st(b, ir_addi(b, base, at), v, element_desc(d, a->size));
        }
    }
    structure_writeback(d, a->rn, a->rm, a->post, a->regs * bytes);
    return true;
}

bool trans_ldn(A64Dis *d, arg_ldstn *a)
{
    IrBlock *b = d->ir;
    unsigned bytes = a->q ? 16 : 8, lanes = bytes >> a->size;
    IrVal base, v[4];

    if (!fp_enabled(d)) {
        return true;
    }
    base = base_get(d, a->rn);
    if (plain_registers(d, a)) {
        for (int i = 0; i < a->regs; i++) {
            v[i] = vec_load(d, a->q ? 4 : 3, ir_addi(b, base, i * bytes), no_be(wide_desc(d, a->q ? 4 : 3, a->size)));
        }
    } else if (interleaved(a)) {
        deinterleave(d, a, base, v);
    } else {
        for (int r = 0; r < a->regs; r++) {
            v[r] = ir_vconst(b, IR_V128, 0);
        }
        for (unsigned e = 0; e < lanes; e++) {
            for (int r = 0; r < a->regs; r++) {
                unsigned at = a->n == 1 ? r * bytes + (e << a->size) : (e * a->n + r) << a->size;

                v[r] = ir_vset(b, a->size, v[r], e, ir_ld(b, a->size == 3 ? IR_I64 : IR_I32, ir_addi(b, base, at), element_desc(d, a->size)));
            }
        }
    }
    structure_writeback(d, a->rn, a->rm, a->post, a->regs * bytes);
    for (int r = 0; r < a->regs; r++) {
        ir_set(b, vslot((a->rt + r) & 31), v[r]);
    }
    return true;
}

bool trans_st_lane(A64Dis *d, arg_ldst1 *a)
{
    IrBlock *b = d->ir;
    IrVal base;

    if (!fp_enabled(d)) {
        return true;
    }
    base = base_get(d, a->rn);
    if (a->n > 1) {
        ir_probe(b, base, a->n << a->size, true, element_desc(d, a->size));
    }
    for (int r = 0; r < a->n; r++) {
        IrVal v = ir_vget(b, a->size == 3 ? IR_I64 : IR_I32, a->size, ir_get(b, vslot((a->rt + r) & 31)), a->idx, false);

        ir_st(b, ir_addi(b, base, r << a->size), v, element_desc(d, a->size));
    }
    structure_writeback(d, a->rn, a->rm, a->post, a->n << a->size);
    return true;
}

/* One element for each of n registers from consecutive places; the base is written back.  False: the trap of a disabled unit was emitted. */
static bool load_elements(A64Dis *d, unsigned rn, unsigned rm, bool post, unsigned size, unsigned n, IrVal v[4])
{
    IrVal base;

    if (!fp_enabled(d)) {
        return false;
    }
    base = base_get(d, rn);
    for (unsigned r = 0; r < n; r++) {
        v[r] = ir_ld(d->ir, size == 3 ? IR_I64 : IR_I32, ir_addi(d->ir, base, r << size), element_desc(d, size));
    }
    structure_writeback(d, rn, rm, post, n << size);
    return true;
}

bool trans_ld_lane(A64Dis *d, arg_ldst1 *a)
{
    IrVal v[4];

    if (load_elements(d, a->rn, a->rm, a->post, a->size, a->n, v)) {
        for (int r = 0; r < a->n; r++) {
            unsigned slot = vslot((a->rt + r) & 31);

            ir_set(d->ir, slot, ir_vset(d->ir, a->size, ir_get(d->ir, slot), a->idx, v[r]));
        }
    }
    return true;
}

bool trans_ldn_r(A64Dis *d, arg_ldr_dup *a)
{
    IrVal v[4];

    if (load_elements(d, a->rn, a->rm, a->post, a->size, a->n, v)) {
        for (int r = 0; r < a->n; r++) {
            IrVal dup = ir_vdup(d->ir, IR_V128, a->size, v[r]);

            ir_set(d->ir, vslot((a->rt + r) & 31), a->q ? dup : ir_vzext(d->ir, IR_V128, dup));
        }
    }
    return true;
}
