/* SPDX-License-Identifier: MIT */
/* A64 pointer authentication: Arm ARM (DDI 0487), D8.10.  Keys: 0 IA, 1 IB, 2 DA, 3 DB. */
#include "target/arm/translate.h"

static bool key_enabled(const A64Dis *d, unsigned key)
{
    static const uint64_t bit[4] = { KEY_ENIA, KEY_ENIB, KEY_ENDA, KEY_ENDB };

    return d->key & bit[key];
}

static IrVal call(A64Dis *d, unsigned rt, IrVal ptr, IrVal mod, unsigned key)
{
    if (!key_enabled(d, key)) {
        return ptr;
    }
    return ir_call(d->ir, rt, IR_V(ptr), IR_V(mod), IR_V(ir_i64(d->ir, key)));
}

IrVal pauth_aut(A64Dis *d, IrVal ptr, IrVal mod, unsigned key)
{
    return call(d, RT_aut, ptr, mod, key);
}

static IrVal modifier(A64Dis *d, const arg_pac *a)
{
    return a->z ? ir_i64(d->ir, 0) : gpr_get_sp(d, a->rn, true);
}

bool trans_pac(A64Dis *d, arg_pac *a)
{
    gpr_set(d, a->rd, call(d, RT_pac, gpr_get(d, a->rd, true), modifier(d, a), a->key));
    return true;
}

bool trans_aut(A64Dis *d, arg_pac *a)
{
    gpr_set(d, a->rd, call(d, RT_aut, gpr_get(d, a->rd, true), modifier(d, a), a->key));
    return true;
}

bool trans_pac_hint(A64Dis *d, arg_pac_hint *a)
{
    IrVal mod;

    if (!a64_feature(d, A64_FEAT_pauth)) {
        return true;
    }
    mod = a->zero ? ir_i64(d->ir, 0) : a->rd == 17 ? gpr_get(d, 16, true) : gpr_get_sp(d, 31, true);
    gpr_set(d, a->rd, call(d, a->aut ? RT_aut : RT_pac, gpr_get(d, a->rd, true), mod, a->b));
    return true;
}

static void strip(A64Dis *d, unsigned rd, bool data)
{
    gpr_set(d, rd, ir_call(d->ir, RT_xpac, IR_V(gpr_get(d, rd, true)), IR_V(ir_i64(d->ir, data))));
}

bool trans_xpac(A64Dis *d, arg_xpac *a)
{
    strip(d, a->rd, a->data);
    return true;
}

bool trans_xpaclri(A64Dis *d, arg_none *a)
{
    if (a64_feature(d, A64_FEAT_pauth)) {
        strip(d, 30, false);
    }
    return true;
}

bool trans_pacga(A64Dis *d, arg_rrr *a)
{
    gpr_set(d, a->rd, ir_call(d->ir, RT_pacga, IR_V(gpr_get(d, a->rn, true)), IR_V(gpr_get_sp(d, a->rm, true))));
    return true;
}
