/* SPDX-License-Identifier: MIT */
/* A64 cryptographic instructions: Arm ARM (DDI 0487), C4.1.96 "Cryptographic ..." and C7.2. */
#include "target/arm/trans-simd-priv.h"

static bool aes(A64Dis *d, int rd, int x, int key, unsigned what)
{
    if (simd_on(d)) {
        v_set(d, rd, ir_op2(d->ir, OP_vaes, IR_V128, (uint16_t)what, 0, v_get(d, x), v_get(d, key)));
    }
    return true;
}
TRANS(aese, c_rr, aes(d, a->rd, a->rd, a->rn, IR_AESE))
TRANS(aesd, c_rr, aes(d, a->rd, a->rd, a->rn, IR_AESD))
TRANS(aesmc, c_rr, aes(d, a->rd, a->rn, a->rn, IR_AESMC))
TRANS(aesimc, c_rr, aes(d, a->rd, a->rn, a->rn, IR_AESIMC))

/* Both instructions do four rounds on all of the state, and keep one half of it. */
static bool sha256_rounds(A64Dis *d, int rd, int x, int y, int w, bool second)
{
    IrVal nx, ny;

    if (simd_on(d)) {
        ir_vsha256r(d->ir, v_get(d, x), v_get(d, y), v_get(d, w), &nx, &ny);
        v_set(d, rd, second ? ny : nx);
    }
    return true;
}
TRANS(sha256h, c_rrr, sha256_rounds(d, a->rd, a->rd, a->rn, a->rm, false))
TRANS(sha256h2, c_rrr, sha256_rounds(d, a->rd, a->rn, a->rd, a->rm, true))

static bool sha256_schedule(A64Dis *d, int rd, int rn, int rm, unsigned kind)
{
    if (simd_on(d)) {
        v_set(d, rd, ir_op3(d->ir, OP_vsha256m, IR_V128, (uint16_t)kind, 0, v_get(d, rd), v_get(d, rn), v_get(d, rm)));
    }
    return true;
}
TRANS(sha256su0, c_rr, sha256_schedule(d, a->rd, a->rn, a->rn, 0))
TRANS(sha256su1, c_rrr, sha256_schedule(d, a->rd, a->rn, a->rm, 1))

#define CALL2(name) TRANS(name, c_rr, simd_call_v(d, RT_##name, 2, 1, a->rd, a->rn, a->rn, 0, 0))
#define CALL3(name) TRANS(name, c_rrr, simd_call_v(d, RT_##name, 2, 1, a->rd, a->rn, a->rm, 0, 0))
CALL3(sha1c)
CALL3(sha1p)
CALL3(sha1m)
CALL3(sha1su0)
CALL2(sha1h)
CALL2(sha1su1)
CALL3(sha512h)
CALL3(sha512h2)
CALL3(sha512su1)
CALL2(sha512su0)
CALL3(rax1)
CALL3(sm3partw1)
CALL3(sm3partw2)
CALL3(sm4ekey)
CALL2(sm4e)
TRANS(xar, c_rrri, simd_call_v(d, RT_xar, 3, 1, a->rd, a->rn, a->rm, (unsigned)a->imm, 0))
TRANS(sm3tt1a, sm3tt, simd_call_v(d, RT_sm3tt, 2, 1, a->rd, a->rn, a->rm, (unsigned)a->idx, 0))
TRANS(sm3tt1b, sm3tt, simd_call_v(d, RT_sm3tt, 2, 1, a->rd, a->rn, a->rm, (unsigned)a->idx, 1))
TRANS(sm3tt2a, sm3tt, simd_call_v(d, RT_sm3tt, 2, 1, a->rd, a->rn, a->rm, (unsigned)a->idx, 2))
TRANS(sm3tt2b, sm3tt, simd_call_v(d, RT_sm3tt, 2, 1, a->rd, a->rn, a->rm, (unsigned)a->idx, 3))

bool trans_eor3(A64Dis *d, arg_c_rrrr *a)
{
    IrVal v;

    if (simd_on(d)) {
        v = ir_v2(d->ir, OP_vxor, IR_E64, 0, v_get(d, a->rn), v_get(d, a->rm));
        v_set(d, a->rd, ir_v2(d->ir, OP_vxor, IR_E64, 0, v, v_get(d, a->ra)));
    }
    return true;
}

bool trans_bcax(A64Dis *d, arg_c_rrrr *a)
{
    IrVal v;

    if (simd_on(d)) {
        v = ir_v2(d->ir, OP_vandc, IR_E64, 0, v_get(d, a->rm), v_get(d, a->ra));
        v_set(d, a->rd, ir_v2(d->ir, OP_vxor, IR_E64, 0, v_get(d, a->rn), v));
    }
    return true;
}

bool trans_sm3ss1(A64Dis *d, arg_c_rrrr *a)
{
    if (simd_on(d)) {
        ir_call(d->ir, RT_sm3ss1, IR_SIO(vslot((unsigned)a->rd)), IR_SIN(vslot((unsigned)a->rn)), IR_SIN(vslot((unsigned)a->rm)), IR_SIN(vslot((unsigned)a->ra)));
    }
    return true;
}
