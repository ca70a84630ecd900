/* SPDX-License-Identifier: MIT */
/*
 * Inline arithmetic under FPCR.FZ: Arm ARM (DDI 0487), A1.5.4 and FPUnpack(), FPRound() of the shared pseudocode.
 *
 * The host flushes operands and results as Arm does, but tells of operands nothing.  So operands that may be denormal leave their bits in a
 * slot (SLOT_IDC) where they compare equal to zero: a flag is due where any bit but a sign is set.  d->flushed remembers values
 * that cannot be denormal: results of arithmetic and what was looked at before.
 *
 * For results the host raises inexact as well, Arm does not.  Once FPSR.IXC is set (KEY_IXC) that changes nothing; before, the block is
 * translated as flush_exact: the host looks at operands, and where a result could be tiny the evaluator computes (tcg/x86_64/fp.c).
 */
#include "target/arm/trans-simd-priv.h"

/* Which elements: all, the lowest one; as singles, shifted by one as doubles. */
enum { ALL = 1, LOW = 4 };

static unsigned as(int size, unsigned bits)
{
    return bits << (size - 2);
}

static bool known(const A64Dis *d, int size, IrVal v, unsigned which)
{
    return !(d->key & KEY_FZ) || d->flushed[v.id] & as(size, which);
}

/* Ones where an element is zero or denormal; its bits go to the slot. */
static IrVal gather(A64Dis *d, int size, IrVal v)
{
    unsigned slot = SLOT_IDC + (unsigned)size - 2;
    IrVal small = ir_v2(d->ir, OP_vfcmp, size, IR_FEQ, v, v_rep(d, 0));

    ir_set(d->ir, slot, ir_v2(d->ir, OP_vor, IR_E64, 0, ir_get(d->ir, slot), ir_v2(d->ir, OP_vand, IR_E64, 0, v, small)));
    return small;
}

void fz_mark(A64Dis *d, int size, IrVal v)
{
    d->flushed[v.id] |= (uint8_t)as(size, ALL | LOW);
}

IrVal fz_vector(A64Dis *d, int size, IrVal v)
{
    if (!known(d, size, v, ALL)) {
        gather(d, size, v);
        fz_mark(d, size, v);
    }
    return v;
}

IrVal fz_vector_flush(A64Dis *d, int size, IrVal v)
{
    uint64_t sign = 1ull << ((8 << size) - 1);
    IrVal digits;

    if (known(d, size, v, ALL)) {
        return v;
    }
    digits = ir_v2(d->ir, OP_vandc, IR_E64, 0, gather(d, size, v), v_rep(d, rep_of(size, sign)));
    v = ir_v2(d->ir, OP_vandc, IR_E64, 0, v, digits);
    fz_mark(d, size, v);
    return v;
}

IrVal fz_lane_arith(A64Dis *d, int size, IrVal v, int lane)
{
    IrVal m = ir_v1(d->ir, OP_vduplane, size, lane, v);

    if (known(d, size, v, ALL)) {
        fz_mark(d, size, m);
    }
    return fz_vector_arith(d, size, m);
}

IrVal fz_element_arith(A64Dis *d, int size, IrVal v, int lane)
{
    IrVal f = ir_vget(d->ir, f_type(size), size, v, (unsigned)lane, false);

    return d->ir->flush_exact || known(d, size, v, ALL) ? f : fz_scalar(d, size, f);
}

/* The lowest element of a register's value. */
IrVal fz_low(A64Dis *d, int size, IrVal v)
{
    IrVal f = ir_vlow(d->ir, f_type(size), v);

    if (!known(d, size, v, ALL | LOW)) {
        gather(d, size, ir_vzext(d->ir, IR_V128, f));
        d->flushed[v.id] |= (uint8_t)as(size, LOW);
    }
    return f;
}

IrVal fz_low_flush(A64Dis *d, int size, IrVal v)
{
    IrVal f = ir_vlow(d->ir, f_type(size), v);

    return known(d, size, v, ALL | LOW) ? f : ir_vlow(d->ir, f_type(size), fz_vector_flush(d, size, ir_vzext(d->ir, IR_V128, f)));
}

IrVal fz_scalar(A64Dis *d, int size, IrVal f)
{
    if (d->key & KEY_FZ) {
        gather(d, size, ir_vzext(d->ir, IR_V128, f));
    }
    return f;
}
