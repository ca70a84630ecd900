/* SPDX-License-Identifier: MIT */
/* Vector operations on values, one element at a time. */
#include "tcg/interp/eval.h"

#include <string.h>

#include "tcg/ir-raw.h"

static unsigned vec_bytes(unsigned type)
{
    return type == IR_V64 ? 8 : type == IR_V256 ? 32 : 16;
}

static uint64_t lane(const TcgVal *v, unsigned e, unsigned i)
{
    switch (e) {
    case IR_E8: return v->b[i];
    case IR_E16: return v->h[i];
    case IR_E32: return v->w[i];
    default: return v->q[i];
    }
}

static void put(TcgVal *v, unsigned e, unsigned i, uint64_t x)
{
    switch (e) {
    case IR_E8: v->b[i] = (uint8_t)x; break;
    case IR_E16: v->h[i] = (uint16_t)x; break;
    case IR_E32: v->w[i] = (uint32_t)x; break;
    default: v->q[i] = x; break;
    }
}

static int64_t sx(unsigned e, uint64_t x)
{
    unsigned sh = 64 - (8u << e);

    return (int64_t)(x << sh) >> sh;
}

static uint64_t clamp_s(unsigned e, __int128 v)
{
    __int128 top = ((__int128)1 << ((8u << e) - 1)) - 1;

    return (uint64_t)(v > top ? top : v < -top - 1 ? -top - 1 : v);
}

static uint64_t clamp_u(unsigned e, __int128 v)
{
    __int128 top = ((__int128)1 << (8u << e)) - 1;

    return (uint64_t)(v > top ? top : v < 0 ? 0 : v);
}

/* Shift by a signed count: left, or right when negative. */
static uint64_t shift_by(uint64_t x, int64_t xs, int n, unsigned bits, bool arithmetic)
{
    if (n >= 0) {
        return n < (int)bits ? x << n : 0;
    }
    if (arithmetic) {
        return (uint64_t)(xs >> (-n < (int)bits ? -n : (int)bits - 1));
    }
    return -n < (int)bits ? x >> -n : 0;
}

/* Element by element, one or two inputs. */
static bool element(const TcgEvalOp *op, unsigned e, uint64_t x, uint64_t y, uint64_t *r)
{
    int64_t xs = sx(e, x), ys = sx(e, y);
    unsigned n = op->imm & 63, bits = 8u << e;

    switch (op->opc) {
    case OP_vadd: *r = x + y; return true;
    case OP_vsub: *r = x - y; return true;
    case OP_vmul: *r = x * y; return true;
    case OP_vneg: *r = 0 - x; return true;
    case OP_vabs: *r = xs < 0 ? 0 - x : x; return true;
    case OP_vcmp: *r = ir_cond_eval((unsigned)op->imm, IR_I64, op->imm >= IR_LTU && op->imm <= IR_GTU ? (int64_t)x : xs,
                                    op->imm >= IR_LTU && op->imm <= IR_GTU ? (int64_t)y : ys) ? ~0ull : 0; return true;
    case OP_vshli: *r = x << n; return true;
    case OP_vshri: *r = x >> n; return true;
    case OP_vsari: *r = (uint64_t)(xs >> n); return true;
    case OP_vushlr: *r = shift_by(x, xs, (int8_t)y, bits, false); return true;
    case OP_vsshlr: *r = shift_by(x, xs, (int8_t)y, bits, true); return true;
    case OP_vmins: *r = xs < ys ? x : y; return true;
    case OP_vmaxs: *r = xs > ys ? x : y; return true;
    case OP_vminu: *r = x < y ? x : y; return true;
    case OP_vmaxu: *r = x > y ? x : y; return true;
    case OP_vsadds: *r = clamp_s(e, (__int128)xs + ys); return true;
    case OP_vsaddu: *r = clamp_u(e, (__int128)x + y); return true;
    case OP_vssubs: *r = clamp_s(e, (__int128)xs - ys); return true;
    case OP_vssubu: *r = clamp_u(e, (__int128)x - y); return true;
    case OP_vavgu: *r = (uint64_t)(((unsigned __int128)x + y + 1) >> 1); return true;
    case OP_vcnt: *r = (uint64_t)__builtin_popcountll(x); return true;
    case OP_vfadd: *r = tcg_fp2(OP_fadd, bits, op->nan_mode, x, y); return true;
    case OP_vfsub: *r = tcg_fp2(OP_fsub, bits, op->nan_mode, x, y); return true;
    case OP_vfmul: *r = tcg_fp2(OP_fmul, bits, op->nan_mode, x, y); return true;
    case OP_vfdiv: *r = tcg_fp2(OP_fdiv, bits, op->nan_mode, x, y); return true;
    case OP_vfmin: *r = tcg_fp2(OP_fmin, bits, op->nan_mode, x, y); return true;
    case OP_vfmax: *r = tcg_fp2(OP_fmax, bits, op->nan_mode, x, y); return true;
    case OP_vfminnm: *r = tcg_fp2(OP_fminnm, bits, op->nan_mode, x, y); return true;
    case OP_vfmaxnm: *r = tcg_fp2(OP_fmaxnm, bits, op->nan_mode, x, y); return true;
    case OP_vfround: *r = tcg_fround(bits, (unsigned)op->imm, op->nan_mode, x); return true;
    case OP_vfsqrt: *r = tcg_fsqrt(bits, op->nan_mode, x); return true;
    case OP_vfabs: *r = x & ~(1ull << (bits - 1)); return true;
    case OP_vfneg: *r = x ^ (1ull << (bits - 1)); return true;
    case OP_vfcmp: *r = tcg_fcompare(bits, (unsigned)op->imm, x, y) ? ~0ull : 0; return true;
    case OP_vf2i: *r = tcg_f2i(bits, bits, op->imm & 255, (unsigned)op->imm >> 8, op->nan_mode, x); return true;
    case OP_vi2f: *r = tcg_i2f(bits, bits, op->imm & IR_CVT_UNSIGNED, (unsigned)op->imm >> 8, x); return true;
    default: return false;
    }
}

static bool elements(const TcgEvalOp *op, unsigned bytes, const TcgVal *x, const TcgVal *y, TcgVal *r)
{
    for (unsigned i = 0; i < bytes >> op->sub; i++) {
        uint64_t v;

        if (!element(op, op->sub, lane(x, op->sub, i), y ? lane(y, op->sub, i) : 0, &v)) {
            return false;
        }
        put(r, op->sub, i, v);
    }
    return true;
}

static bool logic(const TcgEvalOp *op, const TcgVal *const in[], TcgVal *r)
{
    for (unsigned i = 0; i < 4; i++) {
        uint64_t x = in[0]->q[i], y = ir_op_info[op->opc].nin > 1 ? in[1]->q[i] : 0;

        switch (op->opc) {
        case OP_vmov: r->q[i] = x; break;
        case OP_vand: r->q[i] = x & y; break;
        case OP_vor: r->q[i] = x | y; break;
        case OP_vxor: r->q[i] = x ^ y; break;
        case OP_vandc: r->q[i] = x & ~y; break;
        case OP_vorc: r->q[i] = x | ~y; break;
        case OP_vnot: r->q[i] = ~x; break;
        case OP_vsel: r->q[i] = (x & y) | (~x & in[2]->q[i]); break;
        default: return false;
        }
    }
    return true;
}

/* Element i of the concatenation of two vectors. */
static uint64_t lane2(const TcgVal *x, const TcgVal *y, unsigned e, unsigned n, unsigned i)
{
    return i < n ? lane(x, e, i) : lane(y, e, i - n);
}

static bool permute(const TcgEvalOp *op, unsigned bytes, const TcgVal *x, const TcgVal *y, TcgVal *r)
{
    unsigned e = op->sub, n = bytes >> e;

    for (unsigned i = 0; i < n; i++) {
        uint64_t v;

        switch (op->opc) {
        case OP_vzip1: v = lane(i & 1 ? y : x, e, i / 2); break;
        case OP_vzip2: v = lane(i & 1 ? y : x, e, n / 2 + i / 2); break;
        case OP_vuzp1: v = lane2(x, y, e, n, 2 * i); break;
        case OP_vuzp2: v = lane2(x, y, e, n, 2 * i + 1); break;
        case OP_vtrn1: v = lane(i & 1 ? y : x, e, i & ~1u); break;
        case OP_vtrn2: v = lane(i & 1 ? y : x, e, i | 1); break;
        case OP_vrev: v = lane(x, e, i ^ (((unsigned)op->imm >> e) - 1)); break;
        case OP_vduplane: v = lane(x, e, (unsigned)op->imm); break;
        case OP_vdup: v = x->q[0]; break;
        case OP_vpaddl: v = lane2(x, y, e, n, 2 * i) + lane2(x, y, e, n, 2 * i + 1); break;
        case OP_vpaddf: v = tcg_fp2(OP_fadd, 8u << e, op->nan_mode, lane2(x, y, e, n, 2 * i), lane2(x, y, e, n, 2 * i + 1)); break;
        default: return false;
        }
        put(r, e, i, v);
    }
    return true;
}

static bool bytewise(const TcgEvalOp *op, unsigned bytes, const TcgVal *x, const TcgVal *y, TcgVal *r)
{
    for (unsigned i = 0; i < bytes; i++) {
        if (op->opc == OP_vext) {
            r->b[i] = (uint8_t)lane2(x, y, IR_E8, bytes, i + (unsigned)op->imm);
        } else if (op->opc == OP_vtbl) {
            r->b[i] = y->b[i] < 16 ? x->b[y->b[i]] : 0;
        } else {
            return false;
        }
    }
    return true;
}

static bool widths(const TcgEvalOp *op, unsigned bytes, const TcgVal *x, const TcgVal *y, TcgVal *r)
{
    unsigned e = op->sub, n = bytes >> (e + 1), from = op->imm & 1 ? n : 0;

    for (unsigned i = 0; i < n; i++) {
        switch (op->opc) {
        case OP_vwidenu: put(r, e + 1, i, lane(x, e, from + i)); break;
        case OP_vwidens: put(r, e + 1, i, (uint64_t)sx(e, lane(x, e, from + i))); break;
        case OP_vnarrow: put(r, e, i, lane(x, e + 1, i)); break;
        case OP_vmulls: put(r, e + 1, i, (uint64_t)(sx(e, lane(x, e, from + i)) * sx(e, lane(y, e, from + i)))); break;
        case OP_vmullu: put(r, e + 1, i, lane(x, e, from + i) * lane(y, e, from + i)); break;
        default: return false;
        }
    }
    return true;
}

static void clmul(uint64_t x, uint64_t y, TcgVal *r)
{
    unsigned __int128 p = 0;

    for (unsigned i = 0; i < 64; i++) {
        p ^= y >> i & 1 ? (unsigned __int128)x << i : 0;
    }
    r->q[0] = (uint64_t)p;
    r->q[1] = (uint64_t)(p >> 64);
}

static uint64_t scalar_bits(const TcgEvalOp *op, const TcgVal *v)
{
    return op->in_type == IR_I32 || op->in_type == IR_F32 ? v->w[0] : v->q[0];
}

static bool moves(const TcgEvalOp *op, const TcgVal *const in[], TcgVal *r)
{
    unsigned e = op->sub;

    switch (op->opc) {
    case OP_vconst:
        r->q[0] = r->q[1] = r->q[2] = r->q[3] = (uint64_t)op->imm;
        return true;
    case OP_vget:
        r->q[0] = lane(in[0], e, op->imm & 255);
        if (op->imm & 256) {
            r->q[0] = (uint64_t)sx(e, r->q[0]);
        }
        r->q[0] = op->type == IR_I32 ? r->w[0] : r->q[0];
        return true;
    case OP_vset:
        *r = *in[0];
        put(r, e, (unsigned)op->imm, in[1]->q[0]);
        return true;
    case OP_vsetlane:
        *r = *in[0];
        put(r, e, op->imm & 255, lane(in[1], e, op->imm >> 8 & 255));
        return true;
    case OP_vzext:
        r->q[0] = scalar_bits(op, in[0]);
        return true;
    case OP_vlow:
        r->q[0] = op->type == IR_F32 ? in[0]->w[0] : in[0]->q[0];
        return true;
    case OP_vclmul:
        clmul(in[0]->q[op->imm & 1], in[1]->q[op->imm >> 4 & 1], r);
        return true;
    case OP_vaes:
        tcg_aes(op->sub, in[0], in[1], r);
        return true;
    case OP_vsha256m:
        tcg_sha256_schedule(op->sub, in[0], in[1], in[2], r);
        return true;
    default:
        return false;
    }
}

bool tcg_eval_vec(const TcgEvalOp *op, const TcgVal *const in[], TcgVal *const out[])
{
    unsigned bytes = vec_bytes(op->type), nin = ir_op_info[op->opc].nin;
    const TcgVal *x = nin ? in[0] : NULL, *y = nin > 1 ? in[1] : NULL;
    TcgVal r = {};

    if (op->opc == OP_vsha256r) {
        tcg_sha256_rounds(in[0], in[1], in[2], out[0], out[1]);
        return true;
    }
    if (op->opc == OP_vfma) {
        for (unsigned i = 0; i < bytes >> op->sub; i++) {
            put(&r, op->sub, i, tcg_fma(8u << op->sub, op->nan_mode, (unsigned)op->imm, lane(x, op->sub, i), lane(y, op->sub, i),
                                        lane(in[2], op->sub, i)));
        }
    } else if (op->opc == OP_movcond || op->opc == OP_movfcond || op->opc == OP_mov) {
        return false;
    } else if (!moves(op, in, &r) && !(x && (logic(op, in, &r) || elements(op, bytes, x, y, &r) || permute(op, bytes, x, y, &r) ||
                                             bytewise(op, bytes, x, y, &r) || widths(op, bytes, x, y, &r)))) {
        return false;
    }
    *out[0] = r;
    return true;
}
